package load

import (
	"math"
	"time"
)

// Pacer says when the requests of the open model are meant to be sent. Pacers are values without state: the same hit has the same instant, however
// late the caller is, so that lateness can be measured.
type Pacer interface {
	// Next returns the instant of hit (the first is 0) as an offset from the start of the run,
	// given the instant of the hit before it. Instants never go back.
	Next(previous time.Duration, hit uint64) time.Duration
	// String describes the pace.
	String() string
}

var (
	_ Pacer = Even{}
	_ Pacer = Poisson{}
)

// Wait is how long to wait, elapsed into the run, for an intended instant; 0 when it is past.
func Wait(intended, elapsed time.Duration) time.Duration { return max(intended-elapsed, 0) }

// Even is an even pace: hit n when the plan's load has added up to n.
type Even struct{ Plan Plan }

// Next implements Pacer. It counts from the start and not from previous, so that rounding does
// not add up.
func (e Even) Next(_ time.Duration, hit uint64) time.Duration { return e.Plan.When(float64(hit)) }

// String is "50 from 0s, requests a second".
func (e Even) String() string { return e.Plan.String() + ", requests a second" }

// Poisson is the pace of many independent callers: gaps are exponential, their mean is
// 1 ÷ the plan's rate. Each gap is drawn from Seed and the hit's number alone.
type Poisson struct {
	Plan Plan
	Seed uint64
}

// Next implements Pacer: an exponential gap with mean 1 in requests due, mapped back to time,
// which is right while the rate changes, too (the inversion method, Çinlar, 1975).
func (p Poisson) Next(previous time.Duration, hit uint64) time.Duration {
	// 53 random bits, moved by half a step off 0, where the logarithm has no value.
	u := (float64(mix(p.Seed^mix(hit))>>11) + 0.5) / (1 << 53)
	return max(previous, p.Plan.When(p.Plan.Sum(previous)-math.Log(u)))
}

// String is that of Even, with the kind of gaps.
func (p Poisson) String() string { return Even{p.Plan}.String() + ", Poisson" }

// mix spreads the bits of x (the finaliser of SplitMix64, Steele, Lea and Flood, 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// seconds turns s into a Duration, and what does not fit into the longest one.
func seconds(s float64) time.Duration {
	if s >= math.MaxInt64/1e9 {
		return math.MaxInt64
	}
	return time.Duration(s * 1e9)
}
