package collect

import (
	"slices"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

// maxTicks bounds the timeline: 6 hours; later seconds are in the figures, not in the timeline.
const maxTicks = 6 * 3600

const wholeSecond = 1_000_000_000 // ns

// second is one of the timeline.
type second struct {
	requests, errors, active int64
	latency                  recording.Dist
	stages                   [2]shares // of requests that were followed, and of the others
	cpu                      float64
	sealed                   bool    // latency has no more than its sums, the percentiles are those below
	p50, p95                 float64 // seconds
}

// at is the second that t lies in. Seconds begin where the clock's do, so that those of all stretches agree.
func (c *Collector) at(t int64) *second {
	i := int(t/wholeSecond - c.begin/wholeSecond)
	if i < 0 || i >= maxTicks {
		return nil
	}
	for len(c.ticks) <= i {
		c.ticks = append(c.ticks, &second{})
	}
	return c.ticks[i]
}

// tick adds the request to the second in which it ended.
func (c *Collector) tick(r *request.Request, e *endpoint) {
	s := c.at(r.Last)
	if s == nil {
		return
	}
	s.requests++
	if r.Status >= 500 || r.Status == 0 {
		s.errors++
	}
	s.latency.Observe(float64(r.Total()) / 1e9)
	for _, k := range e.perReq {
		s.stages[of(r)].add(k.stage, k.peer, k.seconds)
	}
}

// Sample notes the requests under way and the cores that the target uses, at a time.
func (c *Collector) Sample(at int64, active int64, cores float64) {
	if s := c.at(at); s != nil {
		s.active = max(s.active, active)
		s.cpu = cores
	}
}

func (s *second) absorb(o *second) {
	s.requests += o.requests
	s.errors += o.errors
	s.latency.Merge(o.latency)
	for i := range o.stages {
		for _, k := range o.stages[i] {
			s.stages[i].add(k.stage, k.peer, k.seconds)
		}
	}
}

// open is how many seconds at the end of a timeline may still be told of requests: they are told when they have ended,
// some hundred milliseconds later.
const open = 10

// seal closes the seconds before the open ones: a distribution of thousands of requests takes 30 kB, and a run has
// thousands of seconds.
func (c *Collector) seal() {
	for ; c.sealed < len(c.ticks)-open; c.sealed++ {
		c.ticks[c.sealed].seal()
	}
}

// Rate is the requests of each second, and no more of the timeline.
func (c *Collector) Rate() []recording.Tick {
	out := make([]recording.Tick, len(c.ticks))
	for i, s := range c.ticks {
		out[i] = recording.Tick{T: float64(i), Requests: s.requests}
	}
	return out
}

func (s *second) seal() {
	s.p50, s.p95, s.sealed = s.latency.Quantile(.5), s.latency.Quantile(.95), true
	s.latency = recording.Dist{Count: s.latency.Count, Sum: s.latency.Sum, Max: s.latency.Max}
	for i := range s.stages {
		s.stages[i] = slices.Clone(s.stages[i]) // without room for more
	}
}

func (s *second) recording(i int) recording.Tick {
	t := recording.Tick{
		T: float64(i), Requests: s.requests, Errors: s.errors, Active: s.active,
		P50: s.p50, P95: s.p95, Max: s.latency.Max, CPU: s.cpu, Stages: s.named(),
	}
	if !s.sealed {
		t.P50, t.P95 = s.latency.Quantile(.5), s.latency.Quantile(.95)
	}
	return t
}

// named is the seconds of each stage, the peer behind its name.
func (s *second) named() map[string]float64 {
	best := s.stages[followed]
	if len(best) == 0 {
		best = s.stages[unfollowed]
	}
	out := make(map[string]float64, len(best))
	for _, k := range best {
		name := k.stage
		if k.peer != "" {
			name += " " + k.peer
		}
		out[name] += k.seconds
	}
	return out
}
