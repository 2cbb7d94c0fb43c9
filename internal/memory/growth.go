package memory

import (
	"math"

	"github.com/ragscope/ragscope/internal/recording"
)

// The four verdicts.
const (
	Stable        = "stable"
	Growing       = "growing"
	LeakSuspected = "leak suspected"
	TooShort      = "too short to say"
)

const (
	minTicks = 30

	// A leak is suspected from this many readings after the warm-up on: in a minute an API that has
	// just been put under load fills caches and buffers, and that looks like one. Those in which a crowd grew
	// count as well, but not for more than a third.
	minLeakTicks = 90
	minCalmTicks = 60

	// Growth below this in the whole stretch is the allocators' granularity.
	minGrowth = 256 << 10 // bytes
	minLeak   = 512 << 10 // … and below this what a cache is still filled by when most of it is full

	// Growth that the interval cannot rule out and that would still count as none: this share of
	// the memory held, and where requests came, what leakPerRequest makes of them if that is less.
	negligible     = .05
	leakPerRequest = 1000. // bytes: the smallest leak that is to be found within minutes

	// With fewer requests memory is judged by the time alone.
	minRequests = 100
)

// stretch is what growth is judged by: memory (resident and swapped) over the time, and over the
// requests answered until then.
type stretch struct {
	seconds, requests, bytes []float64
	active                   []float64 // the most requests under way since the reading before
	before                   float64   // … before the first reading
	crowded                  int       // readings that were left out because a crowd grew
	byRequests               bool      // there were enough to judge by
}

// newStretch puts readings beside the requests of the run. Where there were requests, what came
// before the first and after the last of them is left out: an idle target does not grow.
func newStretch(ticks []recording.MemoryTick, timeline []recording.Tick) stretch {
	var s stretch
	count, next := int64(0), 0
	first, last := 0, -1
	for i, t := range ticks {
		before := count
		for next < len(timeline) && timeline[next].T+1 <= t.T { // that second is over
			count += timeline[next].Requests
			next++
		}
		if count > before {
			if last < 0 {
				first = max(0, i-1)
			}
			last = i
		}
		s.seconds = append(s.seconds, t.T)
		s.requests = append(s.requests, float64(count))
		s.bytes = append(s.bytes, float64(t.RSS+t.Swap))
		s.active = append(s.active, float64(t.Active))
	}
	if s.byRequests = count >= minRequests; s.byRequests {
		s = s.cut(first, last+1)
	}
	return s
}

func (s stretch) cut(from, to int) stretch {
	before := s.before
	for _, n := range s.active[:from] {
		before = max(before, n)
	}
	return stretch{s.seconds[from:to], s.requests[from:to], s.bytes[from:to], s.active[from:to], before, s.crowded, s.byRequests}
}

// thin takes the means of neighbours until there are no more than maxReadings.
func (s stretch) thin() stretch {
	group := (len(s.bytes) + maxReadings - 1) / maxReadings
	if group <= 1 {
		return s
	}
	mean := func(x []float64) (out []float64) {
		for ; len(x) >= group; x = x[group:] {
			sum := 0.
			for _, v := range x[:group] {
				sum += v
			}
			out = append(out, sum/float64(group))
		}
		return out
	}
	return stretch{mean(s.seconds), mean(s.requests), mean(s.bytes), mean(s.active), s.before, s.crowded, s.byRequests}
}

func (s stretch) len() int { return len(s.bytes) }

// axis is what growth is the slope over: with requests the load may come and go.
func (s stretch) axis() []float64 {
	if s.byRequests {
		return s.requests
	}
	return s.seconds
}

func span(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	return x[len(x)-1] - x[0]
}

func meanOf(x []float64) float64 { return dot(x, ones(len(x))) / float64(len(x)) }

// normalised is x from 0 to 1.
func normalised(x []float64) []float64 {
	out := make([]float64, len(x))
	for i := range x {
		out[i] = (x[i] - x[0]) / span(x)
	}
	return out
}

// slope of the stretch's bytes over x with its 95 % confidence interval, see regress; nil where x
// does not run.
func (s stretch) slope(x []float64) *recording.Estimate {
	if span(x) <= 0 {
		return nil
	}
	b, se := regress(s.bytes, s.with(normalised(x))...)
	if math.IsInf(se, 0) || math.IsNaN(se) {
		return nil
	}
	margin := student975(float64(len(x)-3)) * se
	return &recording.Estimate{Estimate: b / span(x), Low: (b - margin) / span(x), High: (b + margin) / span(x)}
}

// halves are the slopes of the first and the second half; slows says that the second is less than
// half of the first, or less for sure.
func (s stretch) halves() (early, late float64, slows bool) {
	x, h := normalised(s.axis()), s.len()/2
	columns := s.with(x, bend(x, h))
	beta, _ := leastSquares(s.bytes, columns)
	if beta == nil {
		return 0, 0, false
	}
	d, se := regress(s.bytes, columns...)
	k := len(beta) - 2
	early, late = beta[k]/span(s.axis()), (beta[k]+beta[k+1])/span(s.axis())
	return early, late, late < early/2 || late < .75*early && d < -2*se
}

// trend is the line through the stretch's mean.
func (s stretch) trend(perSecond float64) *recording.Trend {
	from, to := s.seconds[0], s.seconds[s.len()-1]
	at := func(t float64) float64 { return meanOf(s.bytes) + perSecond*(t-meanOf(s.seconds)) }
	return &recording.Trend{From: from, To: to, BytesFrom: at(from), BytesTo: at(to)}
}
