package request

import (
	"cmp"
	"container/heap"
	"slices"
)

// sweep turns the overlapping parts into spans: disjoint, ascending, without a gap from Start
// to Last, so that their sum is the total by construction. Each instant goes to the part whose
// stage comes first in Stages; among calls that are outstanding together, to the one whose
// answer arrives last (the critical path). Instants without a part are unexplained.
// It returns the spans and the time of calls hidden behind another call.
func sweep(start, last int64, parts []part) (spans []Span, overlap int64) {
	var now active
	return now.sweep(start, last, parts)
}

func (a *active) sweep(start, last int64, parts []part) (spans []Span, overlap int64) {
	a.begin(len(parts))
	edges := a.edges[:0]
	for i := range parts {
		p := &a.swept[i]
		p.part = &parts[i]
		from, to := max(p.start, start), min(p.end, last)
		if from < to {
			edges = append(edges, edge{from, p, true}, edge{to, p, false})
		}
	}
	slices.SortStableFunc(edges, func(a, b edge) int { return cmp.Compare(a.at, b.at) })
	at := start
	spans = a.spans[:0]
	for i := 0; i < len(edges); {
		t := edges[i].at
		spans = a.span(spans, at, t)
		overlap += int64(max(0, a.n[upstream]-1)) * (t - at)
		for ; i < len(edges) && edges[i].at == t; i++ {
			a.apply(edges[i])
		}
		at = t
	}
	spans = a.span(spans, at, last)
	a.end(edges, spans)
	return slices.Clone(spans), overlap
}

// maxScratch bounds what one sweep leaves for the next in parts: few requests have more.
const maxScratch = 256

// begin makes room for so many parts.
func (a *active) begin(parts int) {
	a.n, a.looked = [unexplained + 1]int{}, 0
	if cap(a.swept) < parts {
		a.swept = make([]sweptPart, parts)
		a.edges = make([]edge, 0, 2*parts)
	}
	a.swept = a.swept[:parts]
	clear(a.swept)
}

// end keeps the room, unless it is large, and nothing of the request.
func (a *active) end(edges []edge, spans []Span) {
	if len(a.swept) > maxScratch {
		*a = active{looked: a.looked}
		return
	}
	clear(a.swept)
	clear(edges)
	a.spans = spans
	for s := range a.peers {
		clear(a.peers[s])
		a.peers[s] = a.peers[s][:0]
	}
}

// exact reports whether spans are disjoint and ascending, without a gap from start to last: whether
// they sum to the total and give each instant to one stage. They do by construction; each request
// is checked all the same, and a violation counted as a loss.
func exact(spans []Span, start, last int64) bool {
	at := start
	for i := range spans {
		if spans[i].Start != at || spans[i].End <= at {
			return false
		}
		at = spans[i].End
	}
	return at == last
}

type edge struct {
	at    int64
	part  *sweptPart
	begin bool
}

// sweptPart is a part as the sweep sees it.
type sweptPart struct {
	*part
	rank int  // in the order in which they begin
	over bool // the sweep has passed it
}

// active counts the parts that hold at the sweep's position.
type active struct {
	n      [unexplained + 1]int
	peers  [unexplained + 1]rivals // of the stages that have one
	looked int                     // parts looked at, to hold the work to its bound

	swept []sweptPart // room that sweeps share
	edges []edge
	spans []Span
}

func hasPeer(stage uint8) bool { return stage == poolWait || stage == connect || stage == upstream }

func (a *active) apply(e edge) {
	s := e.part.stage
	if !e.begin {
		a.n[s]--
		e.part.over = true
		return
	}
	a.n[s]++
	if hasPeer(s) {
		e.part.rank = a.looked
		heap.Push(&a.peers[s], e.part)
		a.looked++
	}
}

// critical is the part of a stage whose call is answered last, else the one that ends last.
func (a *active) critical(stage uint8) *sweptPart {
	r := &a.peers[stage]
	for (*r)[0].over {
		heap.Pop(r)
		a.looked++
	}
	return (*r)[0]
}

// rivals is a heap of parts, the critical one first. A part that is over leaves it when it comes
// first, so that a request with thousands of parallel calls costs little more than one with few.
type rivals []*sweptPart

func (r rivals) Len() int { return len(r) }
func (r rivals) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(r[j].finish(), r[i].finish()), cmp.Compare(r[i].rank, r[j].rank)) < 0
}
func (r rivals) Swap(i, j int) { r[i], r[j] = r[j], r[i] }
func (r *rivals) Push(x any)   { *r = append(*r, x.(*sweptPart)) }
func (r *rivals) Pop() any {
	o := *r
	p := o[len(o)-1]
	*r = o[:len(o)-1]
	return p
}

// span appends the interval, joined with the one before where nothing changed.
func (a *active) span(spans []Span, from, to int64) []Span {
	if from >= to {
		return spans
	}
	stage := uint8(unexplained)
	for s := range a.n {
		if a.n[s] > 0 {
			stage = uint8(s)
			break
		}
	}
	peer := ""
	if hasPeer(stage) {
		peer = a.critical(stage).peer
	}
	name := Stages[stage]
	if k := len(spans); k > 0 && spans[k-1].Stage == name && spans[k-1].Peer == peer {
		spans[k-1].End = to
		return spans
	}
	return append(spans, Span{name, peer, from, to})
}

func (p *part) finish() int64 {
	if p.call != nil && p.call.LastArrived > p.end {
		return p.call.LastArrived
	}
	return p.end
}
