package collect

import "github.com/ragscope/ragscope/internal/recording"

// Absorb adds what a shorter stretch that lies in this one has gathered, so that stretches which overlap need not
// each be told of everything. Pools are no part of it: each stretch follows them on its own.
func (c *Collector) Absorb(o *Collector) {
	for name, e := range o.endpoints {
		c.endpoint(name).absorb(e)
	}
	for i, s := range o.ticks {
		if t := c.at((o.begin/wholeSecond + int64(i)) * wholeSecond); t != nil {
			t.absorb(s)
		}
	}
	c.seal()
	c.calls += o.calls
	c.loop.absorb(&o.loop)
	for endpoint, bytes := range o.allocated {
		c.addAllocated(endpoint, bytes)
	}
	for endpoint, places := range o.slept {
		for _, p := range places {
			c.addSlept(endpoint, *p)
		}
	}
}

func (e *endpoint) absorb(o *endpoint) {
	f, g := &e.fact, &o.fact
	f.Requests += g.Requests
	f.Incomplete += g.Incomplete
	f.Latency.Merge(g.Latency)
	f.FirstByte.Merge(g.FirstByte)
	f.Cache.Hits += g.Cache.Hits
	f.Cache.Misses += g.Cache.Misses
	for code, n := range o.status {
		e.status[code] += n
	}
	for i := range o.staged {
		e.staged[i].absorb(&o.staged[i])
	}
	for key, k := range o.calls {
		e.call(key).Add(k)
	}
	e.absorbLLM(o)
}

func (g *staged) absorb(o *staged) {
	g.requests += o.requests
	g.seconds += o.seconds
	g.cpu += o.cpu
	g.off += o.off
	g.overlapped += o.overlapped
	for _, s := range o.stages {
		g.stage(s.Stage, s.Peer).Add(s)
	}
}

func (e *endpoint) absorbLLM(o *endpoint) {
	g := o.fact.LLM
	if g == nil {
		return
	}
	f := e.llm()
	f.Add(g)
	f.Operation = g.Operation
	if g.TokensFrom != fromProtocol {
		f.TokensFrom = g.TokensFrom
	}
	for name := range o.models {
		e.model(name)
	}
}

// call finds or adds the calls of a peer and operation.
func (e *endpoint) call(key [2]string) *recording.Call {
	c := e.calls[key]
	if c == nil && len(e.calls) >= maxOperations {
		key[1] = other
		c = e.calls[key]
	}
	if c == nil {
		c = &recording.Call{Peer: key[0], Operation: key[1]}
		e.calls[key] = c
	}
	return c
}

func (e *endpoint) model(name string) {
	if len(e.models) >= maxModels && !e.models[name] {
		name = other
	}
	e.models[name] = true
}

const fromProtocol = "protocol"

func (e *endpoint) llm() *recording.LLM {
	if e.fact.LLM == nil {
		e.fact.LLM = &recording.LLM{TokensFrom: fromProtocol}
	}
	return e.fact.LLM
}
