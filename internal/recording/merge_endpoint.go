package recording

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// endpoint finds or adds the endpoint of that name.
func (r *Recording) endpoint(name string) *Endpoint {
	fresh := Endpoint{Endpoint: name, Status: map[string]int64{}}
	return slot(&r.Endpoints, fresh, func(e Endpoint) bool { return e.Endpoint == name })
}

// slot finds the first element of which same is true, or adds fresh. What it returns is valid
// until the list grows.
func slot[T any](list *[]T, fresh T, same func(T) bool) *T {
	i := slices.IndexFunc(*list, same)
	if i < 0 {
		*list = append(*list, fresh)
		i = len(*list) - 1
	}
	return &(*list)[i]
}

func (r *Recording) addEndpoints(list []Endpoint) {
	for _, e := range list {
		known := slices.ContainsFunc(r.Endpoints, func(o Endpoint) bool { return o.Endpoint == e.Endpoint })
		m := r.endpoint(e.Endpoint)
		m.AllocatedBytes = addAllocated(known, m.AllocatedBytes, e.AllocatedBytes)
		mergeFollowed(m, &e) // before the requests are added up
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
		m.Sleeps = AddSleepPlaces(m.Sleeps, e.Sleeps, MaxSleepPlaces)
		m.Cache.Hits += e.Cache.Hits
		m.Cache.Misses += e.Cache.Misses
		m.Overlapped += e.Overlapped
		if e.Client != nil {
			mergeClient(m, e.Client)
		}
	}
}

func mergeFollowed(m, e *Endpoint) {
	if m.Followed == nil && e.Followed == nil {
		return
	}
	n, seconds := m.Basis()
	more, longer := e.Basis()
	m.Followed = &Followed{n + more, seconds + longer}
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
		slot(&m.Stages, Stage{Stage: s.Stage, Peer: s.Peer}, func(o Stage) bool { return o.Stage == s.Stage && o.Peer == s.Peer }).Add(&s)
	}
}

func mergeCalls(m *Endpoint, calls []Call) {
	for _, c := range calls {
		slot(&m.Calls, Call{Peer: c.Peer, Operation: c.Operation}, func(o Call) bool { return o.Peer == c.Peer && o.Operation == c.Operation }).Add(&c)
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
	m.LLM.Add(l)
	for _, model := range l.Models {
		m.LLM.Models = appendNew(m.LLM.Models, model)
	}
	m.LLM.Operation = cmp.Or(m.LLM.Operation, l.Operation)
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
		slot(&o.Errors, Failure{Error: f.Error}, func(g Failure) bool { return g.Error == f.Error }).Count += f.Count
	}
	for _, s := range c.Slowest {
		o.Slowest = AddSlow(o.Slowest, s)
	}
	for _, t := range c.Tasks {
		u := slot(&o.Tasks, Task{Name: t.Name}, func(u Task) bool { return u.Name == t.Name })
		u.Requests += t.Requests
		u.Failures += t.Failures
		u.Limited += t.Limited
		u.Bytes += t.Bytes
		u.Response.Merge(t.Response)
		u.Service.Merge(t.Service)
	}
}

func (r *Recording) addPools(list []Pool, shift float64) {
	for _, p := range list {
		fresh := Pool{Peer: p.Peer, Address: p.Address, Unit: p.Unit}
		mergePool(slot(&r.Pools, fresh, func(o Pool) bool { return o.Peer == p.Peer && o.Address == p.Address }), p, shift)
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
	m.CreateParts.Merge(p.CreateParts)
	m.Leaks = nil // what is still leaked is the latest part's
	for _, l := range p.Leaks {
		l.Since += shift
		m.Leaks = append(m.Leaks, l)
	}
	for _, w := range p.Waits {
		slot(&m.Waits, PoolWait{Endpoint: w.Endpoint}, func(o PoolWait) bool { return o.Endpoint == w.Endpoint }).Add(&w)
	}
	for _, h := range p.Holders {
		o := slot(&m.Holders, Holder{Endpoint: h.Endpoint}, func(o Holder) bool { return o.Endpoint == h.Endpoint })
		o.Seconds += h.Seconds
		o.DelayedSeconds += h.DelayedSeconds
		for _, k := range h.Operations {
			c := slot(&o.Operations, Held{Operation: k.Operation}, func(c Held) bool { return c.Operation == k.Operation })
			c.Seconds += k.Seconds
			c.DelayedSeconds += k.DelayedSeconds
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
		m.ScheduleLagP50 = max(m.ScheduleLagP50, s.ScheduleLagP50)
		m.ScheduleLagP99 = max(m.ScheduleLagP99, s.ScheduleLagP99)
		m.LoaderRunQueue += s.LoaderRunQueue * float64(s.Requests)
		for _, why := range s.LoaderBound {
			m.LoaderBound = append(m.LoaderBound, s.Name+": "+why)
		}
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
	if m.Requests > 0 {
		m.LoaderRunQueue /= float64(m.Requests)
	}
	if weight > 0 {
		m.CPUBusyRatio /= weight
		m.LoaderCPURatio /= weight
	}
	return m
}
