// Package collect gathers the facts of one stretch of time into a recording.
//
// In: finished requests, calls and pool changes of room request. Out: the endpoints, pools and
// timeline of a recording.Recording; the rest (target, host, memory, backends, losses,
// overhead) is put in by who knows it. It is pure: no I/O, no clock, no goroutine.
package collect

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/ragscope/ragscope/internal/pool"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

// Collector is one stretch of time.
type Collector struct {
	begin     int64 // CLOCK_MONOTONIC, ns
	pools     *pool.Pools
	endpoints map[string]*endpoint
	ticks     []*second
	sealed    int   // of them, the first ones
	calls     int64 // of no request
	loop      loop
	allocated map[string]int64                           // bytes by endpoint, of no request too; nil: none yet
	slept     map[string]map[place]*recording.SleepPlace // by endpoint; nil: none yet
}

type endpoint struct {
	fact   recording.Endpoint
	status map[int]int64
	staged [2]staged // of requests that were followed, and of the others
	calls  map[[2]string]*recording.Call
	models map[string]bool
	perReq shares // scratch: of one request
}

// staged is what is known by stage of some requests.
type staged struct {
	requests                      int64
	seconds, cpu, off, overlapped float64
	stages                        []*recording.Stage
}

const (
	followed = iota
	unfollowed
)

func of(r *request.Request) int {
	if r.Followed {
		return followed
	}
	return unfollowed
}

// share is the time of one stage. There are so few of them that a search finds one sooner than a map.
type share struct {
	stage, peer string
	seconds     float64
}

type shares []share

func (s *shares) add(stage, peer string, seconds float64) {
	for i := range *s {
		if k := &(*s)[i]; k.stage == stage && k.peer == peer {
			k.seconds += seconds
			return
		}
	}
	*s = append(*s, share{stage, peer, seconds})
}

// Names that come from the wire are bounded; what goes beyond is counted together as other.
const (
	maxOperations = 64 // of one endpoint
	maxModels     = 32 // of one endpoint
	other         = recording.Others
)

// New begins at a time; pools are those that are open then, nil for none.
func New(begin int64, pools *pool.Pools) *Collector {
	if pools == nil {
		pools = pool.New(begin)
	} else {
		pools = pools.From(begin)
	}
	return &Collector{begin: begin, pools: pools, endpoints: map[string]*endpoint{}}
}

// Pools returns the pools of the stretch.
func (c *Collector) Pools() *pool.Pools { return c.pools }

func (c *Collector) endpoint(name string) *endpoint {
	e := c.endpoints[name]
	if e == nil {
		e = &endpoint{
			fact: recording.Endpoint{Endpoint: name}, status: map[int]int64{},
			calls: map[[2]string]*recording.Call{}, models: map[string]bool{},
		}
		c.endpoints[name] = e
	}
	return e
}

// Request adds a finished request. One that ended before the stretch is not of it.
func (c *Collector) Request(r *request.Request) {
	if r.Last < c.begin {
		return
	}
	e := c.endpoint(r.Endpoint)
	f := &e.fact
	f.Requests++
	if len(r.Missing) > 0 {
		f.Incomplete++
	}
	e.status[r.Status]++
	f.Latency.Observe(float64(r.Total()) / 1e9)
	if r.First > 0 {
		f.FirstByte.Observe(float64(r.First-r.Start) / 1e9)
	}
	e.addStages(r)
	for _, k := range r.Calls {
		e.addCall(k)
	}
	if f.LLM != nil {
		for _, ns := range r.Forwards {
			f.LLM.ForwardDelay.Observe(float64(ns) / 1e9)
		}
	}
	c.tick(r, e)
}

func status(code int) string {
	if code == 0 {
		return "none"
	}
	return strconv.Itoa(code)
}

func (e *endpoint) addStages(r *request.Request) {
	g := &e.staged[of(r)]
	g.requests++
	g.seconds += float64(r.Total()) / 1e9
	g.cpu += float64(r.CPU) / 1e9
	g.off += float64(r.OffCPU) / 1e9
	g.overlapped += float64(r.Overlap) / 1e9
	e.perReq = e.perReq[:0]
	for _, s := range r.Spans {
		e.perReq.add(s.Stage, s.Peer, float64(s.End-s.Start)/1e9)
	}
	for _, k := range e.perReq {
		s := g.stage(k.stage, k.peer)
		s.Requests++
		s.Observe(k.seconds)
	}
	for _, why := range r.Reasons {
		g.stage(request.Unexplained, "").Because(recording.Reason{Reason: string(why.Why), Requests: 1, Seconds: float64(why.NS) / 1e9})
	}
}

func (g *staged) stage(stage, peer string) *recording.Stage {
	for _, s := range g.stages {
		if s.Stage == stage && s.Peer == peer {
			return s
		}
	}
	s := &recording.Stage{Stage: stage, Peer: peer}
	g.stages = append(g.stages, s)
	return s
}

// best is what the endpoint's stages are told of: of the requests that were followed, where there are any.
func (e *endpoint) best() *staged {
	if e.staged[followed].requests > 0 {
		return &e.staged[followed]
	}
	return &e.staged[unfollowed]
}

func (e *endpoint) addCall(k *request.Call) {
	c := e.call([2]string{k.Peer.System, k.Operation})
	c.Count++
	if k.Error != "" {
		c.Errors++
	}
	if k.LastArrived > k.Sent {
		c.Latency.Observe(float64(k.LastArrived-k.Sent) / 1e9)
		c.FirstByte.Observe(float64(k.FirstArrived-k.Sent) / 1e9)
	}
	if k.PoolWait > 0 {
		c.PoolWait.Observe(float64(k.PoolWait) / 1e9)
	}
	e.fact.Cache.Hits += int64(min(k.Hits, k.Lookups))
	e.fact.Cache.Misses += int64(max(0, k.Lookups-k.Hits))
	if k.LLM != nil && k.LLM.Operation != "embeddings" {
		e.addLLM(k)
	}
}

func (e *endpoint) addLLM(k *request.Call) {
	m := k.LLM
	f := e.llm()
	f.Streams++
	f.Operation = m.Operation
	e.model(m.Model)
	f.InputTokens += int64(m.InputTokens)
	f.OutputTokens += int64(m.OutputTokens)
	if !m.FromProtocol {
		f.TokensFrom = "chunks"
	}
	if len(m.Tokens) == 0 {
		return
	}
	f.TimeToFirstToken.Observe(float64(m.Tokens[0]-k.Sent) / 1e9)
	f.Generating += float64(m.Tokens[len(m.Tokens)-1]-m.Tokens[0]) / 1e9
	for i := 1; i < len(m.Tokens); i++ {
		f.TimePerToken.Observe(float64(m.Tokens[i]-m.Tokens[i-1]) / 1e9)
	}
}

// Call adds a finished call that is in no request's list.
func (c *Collector) Call(k *request.Call) {
	if k.LastRead < c.begin {
		return
	}
	if k.Endpoint == "" {
		c.calls++
		return
	}
	c.endpoint(k.Endpoint).addCall(k)
}

// Connection passes a pool change on.
func (c *Collector) Connection(k request.Connection) { c.pools.Apply(k) }

// Begin is where the stretch begins, on CLOCK_MONOTONIC in ns.
func (c *Collector) Begin() int64 { return c.begin }

// Requests is the number of requests that ended in the stretch.
func (c *Collector) Requests() (n int64) {
	for _, e := range c.endpoints {
		n += e.fact.Requests
	}
	return n
}

// Orphans is the number of calls that belonged to no request.
func (c *Collector) Orphans() int64 { return c.calls }

// Fill puts the stretch's endpoints, pools and timeline into r.
func (c *Collector) Fill(r *recording.Recording, end int64) {
	r.Endpoints = []recording.Endpoint{}
	for _, e := range c.endpoints {
		r.Endpoints = append(r.Endpoints, e.recording())
	}
	slices.SortFunc(r.Endpoints, func(a, b recording.Endpoint) int { return cmp.Compare(a.Endpoint, b.Endpoint) })
	r.Pools = c.pools.Recording(end)
	r.EventLoop = c.loop.recording()
	for i, s := range c.ticks {
		r.Timeline = append(r.Timeline, s.recording(i))
	}
}

func (e *endpoint) recording() recording.Endpoint {
	f := e.fact
	f.Status = map[string]int64{}
	for code, n := range e.status {
		f.Status[status(code)] = n
	}
	f.Latency, f.FirstByte = f.Latency.Clone(), f.FirstByte.Clone()
	f.Stages, f.Calls = []recording.Stage{}, []recording.Call{}
	g := e.best()
	f.CPUSeconds, f.OffCPUSeconds, f.Overlapped = g.cpu, g.off, g.overlapped
	if g.requests < f.Requests {
		f.Followed = &recording.Followed{Requests: g.requests, Seconds: g.seconds}
	}
	for _, s := range g.stages {
		c := *s
		c.Dist = s.Clone()
		c.Reasons = slices.SortedFunc(slices.Values(s.Reasons), func(a, b recording.Reason) int { return cmp.Compare(a.Reason, b.Reason) })
		f.Stages = append(f.Stages, c)
	}
	slices.SortFunc(f.Stages, func(a, b recording.Stage) int {
		return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Peer, b.Peer))
	})
	for _, k := range e.calls {
		c := *k
		c.Latency, c.FirstByte, c.PoolWait = k.Latency.Clone(), k.FirstByte.Clone(), k.PoolWait.Clone()
		if f.Requests > 0 {
			c.PerRequest = float64(c.Count) / float64(f.Requests)
		}
		f.Calls = append(f.Calls, c)
	}
	slices.SortFunc(f.Calls, func(a, b recording.Call) int {
		return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Operation, b.Operation))
	})
	if e.fact.LLM != nil {
		m := *e.fact.LLM
		m.TimeToFirstToken, m.TimePerToken, m.ForwardDelay = m.TimeToFirstToken.Clone(), m.TimePerToken.Clone(), m.ForwardDelay.Clone()
		for name := range e.models {
			m.Models = append(m.Models, name)
		}
		slices.Sort(m.Models)
		f.LLM = &m
	}
	return f
}
