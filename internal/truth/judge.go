package truth

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

// callerKnows is a line of the log of app/clients.py.
type callerKnows struct {
	ID     string             `json:"id"`
	Waits  [][2]float64       `json:"waits"`  // from, to
	Handed map[string]float64 `json:"handed"` // by token
}

// judge says whose each call is that the agent links, by the tokens that crossed the relay.
//
// A connection of the agent's is that of the relay's with the same port at the application's end. On it, a call
// is the one whose token crossed last before its answer came (one request at a time), or that of its stream
// (HTTP/2). So neither the agent's links nor its order of calls is believed.
type judge struct {
	*callersTruth
	lines    map[string]*Seen
	found    []*foundCall // by crossing; nil: the agent lists no such call
	bare     int          // listed calls without a token
	unlinked map[string]int
	lateBy   map[string]int
	falseBy  map[string]int
	missedBy map[string]int
}

type foundCall struct {
	*SeenCall
	owner string // number of the request that it is listed under
}

func newJudge(truth *callersTruth, lines map[string]*Seen) *judge {
	j := &judge{callersTruth: truth, lines: lines, found: make([]*foundCall, len(truth.Crossed)), unlinked: map[string]int{}, lateBy: map[string]int{}, falseBy: map[string]int{}, missedBy: map[string]int{}}
	by := map[int][]*foundCall{} // all by the port of the application's end
	for id, l := range lines {
		for i := range l.Calls {
			c := &foundCall{&l.Calls[i], id[strings.LastIndexByte(id, '-')+1:]}
			by[c.LocalPort] = append(by[c.LocalPort], c)
		}
	}
	on := map[int][]int{}
	for i, c := range truth.Crossed {
		on[c.Port] = append(on[c.Port], i)
	}
	for port, calls := range by {
		slices.SortFunc(calls, func(a, b *foundCall) int { return cmp.Compare(a.at(), b.at()) })
		j.assign(calls, on[port])
	}
	return j
}

// at is when its answer came, or when its connection was closed.
func (c *foundCall) at() float64 { return cmp.Or(c.FirstArrived, c.LastRead) }

// assign gives each crossing of a connection its call; both are in the order of time.
func (j *judge) assign(calls []*foundCall, crossings []int) {
	streams := map[uint32]int{}
	for _, i := range crossings {
		if s := j.Crossed[i].Stream; s != 0 {
			streams[s] = i
		}
	}
	next := 0
	for _, c := range calls {
		i, ok := -1, false
		if c.Stream != 0 {
			i, ok = streams[c.Stream]
		} else {
			for next < len(crossings) && j.Crossed[crossings[next]].Time <= c.at() {
				next++
			}
			if ok = next > 0; ok {
				i = crossings[next-1]
			}
		}
		if !ok || j.found[i] != nil {
			j.bare++ // it shares the connection with calls that have one: a part of a transaction, as a rule
			continue
		}
		j.found[i] = c
	}
}

// calls counts what was made while a request was under way.
func (j *judge) calls() *CallFigures {
	f := &CallFigures{ByBasis: map[string]int{}, Bare: j.bare}
	for i := range j.Crossed {
		x, found := &j.Crossed[i], j.found[i]
		if x.Time < j.Begin {
			continue
		}
		if x.Owner == "x" {
			if found != nil {
				f.Wrong++
			}
			continue
		}
		l := j.lines["row-"+x.Owner]
		if l != nil && x.Time > l.Start+l.Seconds {
			f.Late++
			j.lateBy[l.Endpoint]++
			if found != nil && found.owner != x.Owner {
				f.Wrong++
			}
			continue
		}
		f.Made++
		switch {
		case found == nil && l != nil:
			j.unlinked[l.Endpoint]++
		case found == nil:
		case found.owner == x.Owner:
			f.Linked++
			f.ByBasis[found.Basis]++
		default:
			f.Wrong++
		}
	}
	return f
}

// late counts the calls made after the answer that the recording has for the right endpoint: no
// line of a request can hold them.
func (j *judge) late(f *CallFigures, rec *recording.Recording) {
	listed := map[string]int{}
	for _, l := range j.lines {
		listed[l.Endpoint] += len(l.Calls)
	}
	for _, e := range rec.Endpoints {
		n := -listed[e.Endpoint]
		for _, c := range e.Calls {
			n += int(c.Count)
		}
		f.LateCounted += max(0, min(n, j.lateBy[e.Endpoint]))
	}
}

// waits compares each request's wait for a connection, or for a stream, after the first ones, for
// which connections are made.
func (j *judge) waits(c callers) *WaitFigures {
	crossed := map[string]float64{}
	for _, x := range j.Crossed {
		crossed["tk"+x.Owner+"n"+x.Call+"z"] = x.Time
	}
	w := &WaitFigures{}
	var errors []float64
	for i := range j.Known {
		k := &j.Known[i]
		l := j.lines[k.ID]
		if l == nil || slices.Contains([]string{"GET /outlives", "GET /background"}, l.Endpoint) || len(k.ID) < 4 || isEarly(k.ID, 3*c.concurrency) {
			continue
		}
		truth := k.waited()
		if c.streams > 0 {
			for token, handed := range k.Handed {
				truth += max(0, crossed[token]-handed)
			}
		}
		var found float64
		for _, x := range l.Calls {
			found += x.PoolWait
		}
		w.sees(found, l.unsure())
		errors = append(errors, math.Abs(found-truth))
		if truth > missedAbove {
			w.Waited++
			if found == 0 {
				w.Missed++
				j.missedBy[l.Endpoint]++
			}
		}
		if found > falseAbove && truth < falseTruth {
			w.falseWait(found, l.unsure())
			j.falseBy[l.Endpoint]++
		}
	}
	slices.Sort(errors)
	w.Error = Spread{at(errors, 0.5), at(errors, 0.9), at(errors, 0.99), at(errors, 1)}
	return w
}

// waited is what the request waited for connections, in seconds.
func (k *callerKnows) waited() (seconds float64) {
	for _, w := range k.Waits {
		seconds += w[1] - w[0]
	}
	return seconds
}

// isEarly reports whether the id is one of the first n of its run.
func isEarly(id string, n int) bool {
	number := 0
	for _, c := range id[strings.LastIndexByte(id, '-')+1:] {
		if c < '0' || c > '9' {
			return true
		}
		number = number*10 + int(c-'0')
	}
	return number < n
}
