package memory

import (
	"cmp"
	"math"
	"slices"

	"github.com/ragscope/ragscope/internal/recording"
)

// Asked is a request, and what it asked allocators for while they were watched.
type Asked struct {
	PID        uint32
	Start, End int64 // CLOCK_MONOTONIC, ns: it was read, its answer was sent
	Endpoint   string
	Bytes      int64
}

// minAsked is of how many requests at least an interval is told.
const minAsked = 4

// perRequest is what is known of an endpoint: the sums over its requests of their parts f that were watched, of their
// bytes y, and of their products.
type perRequest struct {
	n                int
	f, y, ff, fy, yy float64
}

func (p *perRequest) add(f, y float64) {
	p.n++
	p.f, p.y = p.f+f, p.y+y
	p.ff, p.fy, p.yy = p.ff+f*f, p.fy+f*y, p.yy+y*y
}

// mean is the bytes of a whole request, with its standard error, as of a ratio of two sums (Cochran, Sampling
// Techniques, 1977, 6.4).
func (p *perRequest) mean() (bytes, standardError float64) {
	if p.f == 0 {
		return 0, 0
	}
	m, n := p.y/p.f, float64(p.n)
	if p.n < 2 {
		return m, math.Inf(1)
	}
	return m, math.Sqrt(max(0, p.yy-2*m*p.fy+m*m*p.ff)*n/(n-1)) / p.f
}

// PerRequest adds to the sums of endpoints what one of their requests asks for, and which share of all that requests
// asked for in the recording that is: answered says how many there were.
//
// The windows hold few requests, and by chance more of one endpoint than of another. So bytes are divided by the
// requests that lie in them as a whole; and how many requests there were altogether is known. Where nearly all are longer than
// the windows, a request that lies in one for a third of its time is a third, and its time what it takes without the
// traps: that is too many where requests queue while the traps hold them up, as they ask for nothing until it is their turn. The intervals are those of 95 %; they tell
// of chance, not of a load that asked for something else while nobody watched.
func PerRequest(list []recording.EndpointAllocation, asked []Asked, windows []recording.AllocationWindow, answered map[string]int64) {
	byPID := map[int][]recording.AllocationWindow{}
	for _, w := range windows {
		byPID[w.PID] = append(byPID[w.PID], w)
	}
	for _, w := range byPID {
		slices.SortFunc(w, func(a, b recording.AllocationWindow) int { return cmp.Compare(a.Begin, b.Begin) })
	}
	sums, whole := map[string]*perRequest{}, map[string]*perRequest{}
	for _, a := range asked {
		f := watched(a, byPID[int(a.PID)])
		if f == 0 && a.Bytes == 0 {
			continue
		}
		if sums[a.Endpoint] == nil {
			sums[a.Endpoint], whole[a.Endpoint] = &perRequest{}, &perRequest{}
		}
		sums[a.Endpoint].add(f, float64(a.Bytes))
		if f > 1-1e-9 {
			whole[a.Endpoint].add(1, float64(a.Bytes))
		}
	}
	for endpoint, p := range whole {
		if p.n >= minAsked {
			sums[endpoint] = p
		}
	}
	all, variance := 0., 0.
	for endpoint, p := range sums {
		m, se := p.mean()
		n := float64(answered[endpoint])
		all, variance = all+n*m, variance+n*n*se*se
	}
	for i := range list {
		e := &list[i]
		p := sums[e.Endpoint]
		if p == nil || p.f == 0 {
			continue
		}
		e.Requests = p.f
		if p.n < minAsked {
			continue
		}
		m, se := p.mean()
		t := student975(float64(p.n - 1))
		e.PerRequest = around(m, t*se)
		if n := float64(answered[e.Endpoint]); n > 0 && !math.IsInf(variance, 0) {
			share, own := n*m/all, n*n*se*se
			e.Share = around(share, t*math.Sqrt((1-share)*(1-share)*own+share*share*(variance-own))/all)
			e.Share.High = min(1, e.Share.High)
		}
	}
}

func around(x, margin float64) *recording.Estimate {
	return &recording.Estimate{Estimate: x, Low: max(0, x-margin), High: x + margin}
}

// watched is the part of a request that lies in windows of its process, which ascend.
func watched(a Asked, windows []recording.AllocationWindow) float64 {
	start, end := float64(a.Start)/1e9, float64(a.End)/1e9
	from, _ := slices.BinarySearchFunc(windows, start, func(w recording.AllocationWindow, t float64) int { return cmp.Compare(w.Begin+w.Seconds, t) })
	own, traps := 0., 0.
	for _, w := range windows[from:] {
		if w.Begin >= end {
			break
		}
		in := min(end, w.Begin+w.Seconds) - max(start, w.Begin)
		own, traps = own+in*w.Own/w.Seconds, traps+in*(1-w.Own/w.Seconds)
	}
	if own <= 0 {
		return 0
	}
	return own / (end - start - traps)
}
