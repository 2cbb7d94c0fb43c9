package request

import (
	"cmp"
	"slices"
)

// sweep turns the overlapping parts into spans: disjoint, ascending, without a gap from Start
// to Last, so that their sum is the total by construction. Each instant goes to the part whose
// stage comes first in Stages; among calls that are outstanding together, to the one whose
// answer arrives last (the critical path). Instants without a part are unexplained.
// It returns the spans and the time of calls hidden behind another call.
func sweep(start, last int64, parts []part) (spans []Span, overlap int64) {
	edges := make([]edge, 0, 2*len(parts))
	for i := range parts {
		p := &parts[i]
		from, to := max(p.start, start), min(p.end, last)
		if from < to {
			edges = append(edges, edge{from, p, true}, edge{to, p, false})
		}
	}
	slices.SortStableFunc(edges, func(a, b edge) int { return cmp.Compare(a.at, b.at) })
	var now active
	at := start
	for i := 0; i < len(edges); {
		t := edges[i].at
		spans = now.span(spans, at, t)
		overlap += int64(max(0, now.n[upstream]-1)) * (t - at)
		for ; i < len(edges) && edges[i].at == t; i++ {
			now.apply(edges[i])
		}
		at = t
	}
	return now.span(spans, at, last), overlap
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
	part  *part
	begin bool
}

// active counts the parts that hold at the sweep's position.
type active struct {
	n     [unexplained + 1]int
	peers [unexplained + 1][]*part // of the stages that have one
}

func hasPeer(stage uint8) bool { return stage == poolWait || stage == connect || stage == upstream }

func (a *active) apply(e edge) {
	s := e.part.stage
	if e.begin {
		a.n[s]++
		if hasPeer(s) {
			a.peers[s] = append(a.peers[s], e.part)
		}
		return
	}
	a.n[s]--
	if hasPeer(s) {
		if i := slices.Index(a.peers[s], e.part); i >= 0 {
			a.peers[s] = slices.Delete(a.peers[s], i, i+1)
		}
	}
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
		peer = critical(a.peers[stage]).peer
	}
	name := Stages[stage]
	if k := len(spans); k > 0 && spans[k-1].Stage == name && spans[k-1].Peer == peer {
		spans[k-1].End = to
		return spans
	}
	return append(spans, Span{name, peer, from, to})
}

// critical is the part whose call is answered last, else the one that ends last.
func critical(parts []*part) *part {
	best := parts[0]
	for _, p := range parts[1:] {
		if p.finish() > best.finish() {
			best = p
		}
	}
	return best
}

func (p *part) finish() int64 {
	if p.call != nil && p.call.LastArrived > p.end {
		return p.call.LastArrived
	}
	return p.end
}
