package load

import (
	"fmt"
	"math"
	"time"
)

// Pacer says when things are meant to happen: requests in the open model, the start of users
// in the closed one. Pacers are values without state: the same hit has the same instant, however
// late the caller is, so that lateness can be measured.
type Pacer interface {
	// Next returns the instant of hit (the first is 0) as an offset from the start of the run,
	// given the instant of the hit before it. Instants never go back.
	Next(previous time.Duration, hit uint64) time.Duration
	// String describes the pace: "50/s".
	String() string
}

var (
	_ Pacer = Constant{}
	_ Pacer = Poisson{}
)

// Wait is how long to wait, elapsed into the run, for an intended instant; 0 when it is past.
func Wait(intended, elapsed time.Duration) time.Duration { return max(intended-elapsed, 0) }

// Constant is an even pace: hit n at n ÷ PerSecond seconds.
type Constant struct{ PerSecond float64 }

// Next implements Pacer. It counts from the start and not from previous, so that rounding does
// not add up.
func (c Constant) Next(_ time.Duration, hit uint64) time.Duration {
	return seconds(float64(hit) / c.PerSecond)
}

// String is "50/s".
func (c Constant) String() string { return fmt.Sprintf("%g/s", c.PerSecond) }

// Poisson is the pace of many independent callers: exponential gaps with the mean
// 1 ÷ PerSecond. Each gap is drawn from Seed and the hit's number alone.
type Poisson struct {
	PerSecond float64
	Seed      uint64
}

// Next implements Pacer.
func (p Poisson) Next(previous time.Duration, hit uint64) time.Duration {
	// 53 random bits, moved by half a step off 0, where the logarithm has no value.
	u := (float64(mix(p.Seed^mix(hit))>>11) + 0.5) / (1 << 53)
	return previous + seconds(-math.Log(u)/p.PerSecond)
}

// String is "50/s, Poisson".
func (p Poisson) String() string { return fmt.Sprintf("%g/s, Poisson", p.PerSecond) }

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
