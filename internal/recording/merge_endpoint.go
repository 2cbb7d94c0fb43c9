package recording

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// endpoint finds or adds the endpoint of that name.
func (r *Recording) endpoint(name string) *Endpoint {
	i := slices.IndexFunc(r.Endpoints, func(e Endpoint) bool { return e.Endpoint == name })
	if i < 0 {
		r.Endpoints = append(r.Endpoints, Endpoint{Endpoint: name, Status: map[string]int64{}})
		i = len(r.Endpoints) - 1
	}
	return &r.Endpoints[i]
}

func (r *Recording) addEndpoints(list []Endpoint) {
	for _, e := range list {
		known := slices.ContainsFunc(r.Endpoints, func(o Endpoint) bool { return o.Endpoint == e.Endpoint })
		m := r.endpoint(e.Endpoint)
		m.AllocatedBytes = addAllocated(known, m.AllocatedBytes, e.AllocatedBytes)
		m.Requests += e.Requests
		m.Incomplete += e.Incomplete
		for code, n := range e.Status {
			m.Status[code] += n
		}
		m.Latency.Merge(e.Latency)
		m.FirstByte.Merge(e.FirstByte)
		mergeStages(m, e.Stages)
		mergeCalls(m, e.Calls)
		mergeLLM(m, e.LLM)
		m.CPUSeconds += e.CPUSeconds
		m.OffCPUSeconds += e.OffCPUSeconds
		m.Cache.Hits += e.Cache.Hits
		m.Cache.Misses += e.Cache.Misses
		m.Overlapped += e.Overlapped
		if e.Client != nil {
			mergeClient(m, e.Client)
		}
	}
}

// addAllocated adds up only what every part measured.
func addAllocated(known bool, sum, n *int64) *int64 {
	if n == nil || (known && sum == nil) {
		return nil
	}
	total := *n
	if sum != nil {
		total += *sum
	}
	return &total
}

func mergeStages(m *Endpoint, stages []Stage) {
	for _, s := range stages {
		i := slices.IndexFunc(m.Stages, func(o Stage) bool { return o.Stage == s.Stage && o.Peer == s.Peer })
		if i < 0 {
			m.Stages = append(m.Stages, Stage{Stage: s.Stage, Peer: s.Peer})
			i = len(m.Stages) - 1
		}
		m.Stages[i].Requests += s.Requests
		m.Stages[i].Merge(s.Dist)
	}
}

func mergeCalls(m *Endpoint, calls []Call) {
	for _, c := range calls {
		i := slices.IndexFunc(m.Calls, func(o Call) bool { return o.Peer == c.Peer && o.Operation == c.Operation })
		if i < 0 {
			m.Calls = append(m.Calls, Call{Peer: c.Peer, Operation: c.Operation})
			i = len(m.Calls) - 1
		}
		o := &m.Calls[i]
		o.Count += c.Count
		o.Errors += c.Errors
		o.Latency.Merge(c.Latency)
		o.FirstByte.Merge(c.FirstByte)
		o.PoolWait.Merge(c.PoolWait)
	}
	for i := range m.Calls {
		if m.Requests > 0 {
			m.Calls[i].PerRequest = float64(m.Calls[i].Count) / float64(m.Requests)
		}
	}
}

func mergeLLM(m *Endpoint, l *LLM) {
	if l == nil {
		return
	}
	if m.LLM == nil {
		m.LLM = &LLM{}
	}
	m.LLM.Streams += l.Streams
	for _, model := range l.Models {
		m.LLM.Models = appendNew(m.LLM.Models, model)
	}
	m.LLM.Operation = cmp.Or(m.LLM.Operation, l.Operation)
	m.LLM.TimeToFirstToken.Merge(l.TimeToFirstToken)
	m.LLM.TimePerToken.Merge(l.TimePerToken)
	m.LLM.OutputTokens += l.OutputTokens
	m.LLM.InputTokens += l.InputTokens
	m.LLM.TokensFrom = cmp.Or(m.LLM.TokensFrom, l.TokensFrom)
}

func mergeClient(m *Endpoint, c *Client) {
	if m.Client == nil {
		m.Client = &Client{}
	}
	o := m.Client
	o.Requests += c.Requests
	o.Failures += c.Failures
	o.Limited += c.Limited
	o.Response.Merge(c.Response)
	o.Service.Merge(c.Service)
	o.FirstToken.Merge(c.FirstToken)
	o.TokenGap.Merge(c.TokenGap)
	for _, f := range c.Errors {
		i := slices.IndexFunc(o.Errors, func(g Failure) bool { return g.Error == f.Error })
		if i < 0 {
			o.Errors = append(o.Errors, f)
		} else {
			o.Errors[i].Count += f.Count
		}
	}
	for _, t := range c.Tasks {
		i := slices.IndexFunc(o.Tasks, func(u Task) bool { return u.Name == t.Name })
		if i < 0 {
			o.Tasks = append(o.Tasks, Task{Name: t.Name})
			i = len(o.Tasks) - 1
		}
		o.Tasks[i].Requests += t.Requests
		o.Tasks[i].Failures += t.Failures
		o.Tasks[i].Response.Merge(t.Response)
		o.Tasks[i].Service.Merge(t.Service)
	}
}

func (r *Recording) addPools(list []Pool, shift float64) {
	for _, p := range list {
		i := slices.IndexFunc(r.Pools, func(o Pool) bool { return o.Peer == p.Peer && o.Address == p.Address })
		if i < 0 {
			r.Pools = append(r.Pools, Pool{Peer: p.Peer, Address: p.Address, Unit: p.Unit})
			i = len(r.Pools) - 1
		}
		mergePool(&r.Pools[i], p, shift)
	}
}

func mergePool(m *Pool, p Pool, shift float64) {
	m.OpenMax, m.InUseMax = max(m.OpenMax, p.OpenMax), max(m.InUseMax, p.InUseMax)
	if p.Limit > m.Limit {
		m.Limit, m.LimitBasis = p.Limit, p.LimitBasis
	}
	m.LimitBasis = cmp.Or(m.LimitBasis, p.LimitBasis)
	m.Creates += p.Creates
	m.Timeouts += p.Timeouts
	m.WaitersMax = max(m.WaitersMax, p.WaitersMax)
	m.Create.Merge(p.Create)
	for _, w := range p.Waits {
		i := slices.IndexFunc(m.Waits, func(o PoolWait) bool { return o.Endpoint == w.Endpoint })
		if i < 0 {
			m.Waits = append(m.Waits, PoolWait{Endpoint: w.Endpoint})
			i = len(m.Waits) - 1
		}
		m.Waits[i].Acquisitions += w.Acquisitions
		m.Waits[i].Waited += w.Waited
		m.Waits[i].Merge(w.Dist)
	}
	for _, h := range p.Holders {
		i := slices.IndexFunc(m.Holders, func(o Holder) bool { return o.Endpoint == h.Endpoint })
		if i < 0 {
			m.Holders = append(m.Holders, h)
		} else {
			m.Holders[i].Seconds += h.Seconds
		}
	}
	for _, t := range p.Timeline {
		t.T += shift
		m.Timeline = append(m.Timeline, t)
	}
	if len(p.Extra) > 0 {
		m.Extra = maps.Clone(p.Extra) // the latest: their meaning is the protocol's own
	}
}

// mergeScenarios adds up what was sent. Shares of the host's CPU are weighed by the seconds
// of each scenario; nil when no part has a scenario.
func mergeScenarios(parts []*Recording) *Scenario {
	var m *Scenario
	var names, invalid []string
	var sent, weight float64
	for _, p := range parts {
		s := p.Scenario
		if s == nil {
			continue
		}
		if m == nil {
			m = &Scenario{ThinkTime: s.ThinkTime, Host: s.Host}
		}
		names = appendNew(names, s.Name)
		if s.Invalid != "" {
			invalid = appendNew(invalid, s.Name+": "+s.Invalid)
		}
		m.Users, m.Rate = max(m.Users, s.Users), max(m.Rate, s.Rate)
		m.SpawnRate = max(m.SpawnRate, s.SpawnRate)
		m.RunTime += s.RunTime
		m.Requests += s.Requests
		m.Failures += s.Failures
		m.ScheduleLagP99 = max(m.ScheduleLagP99, s.ScheduleLagP99)
		m.ThrottledByHost = m.ThrottledByHost || s.ThrottledByHost
		m.CPUBusyRatio += s.CPUBusyRatio * p.Window.Seconds
		m.LoaderCPURatio += s.LoaderCPURatio * p.Window.Seconds
		weight += p.Window.Seconds
		if s.RequestsPerSec > 0 {
			sent += float64(s.Requests) / s.RequestsPerSec
		}
	}
	if m == nil {
		return nil
	}
	m.Name, m.Invalid = strings.Join(names, ", "), strings.Join(invalid, "; ")
	if sent > 0 {
		m.RequestsPerSec = float64(m.Requests) / sent
	}
	if weight > 0 {
		m.CPUBusyRatio /= weight
		m.LoaderCPURatio /= weight
	}
	return m
}
