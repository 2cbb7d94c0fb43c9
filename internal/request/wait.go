package request

import (
	"cmp"
	"math"
	"slices"
)

// waited decides whether a context, before its send at a time, stood still until the
// connection that it now uses was given back at freed. It returns that stretch, or 0, 0.
//
// A wait is claimed only for a suspension that holds the moment of release and that was ended
// by neither a timer nor a worker thread; suspensions that follow one another without such an
// end are one wait (a condition that woke in vain). It ends when the context runs again after
// the release. The look goes from the sending context outwards to those that made it, since
// some clients send from a task of their own: an outer context counts only for suspensions
// that it had ended itself before it made the inner one.
func (t *Tracker) waited(n *node, freed, at int64) (w stretch) {
	until := at
	for depth := 0; n != nil && depth < maxDepth; depth++ {
		left := maxLook
		w = suspendedOver(n, freed, until, &left)
		if left == 0 {
			t.lose("heart", "wait not judged: too many contexts and steps to look at")
			return stretch{}
		}
		if w.to > 0 {
			return w
		}
		if n.live != nil || n.born == 0 {
			break
		}
		until = n.born
		n = n.parent
	}
	return stretch{}
}

// A stretch is a wait. Until sure it may have been one for something else: it ran in between and
// waited again, as a waiter does that was woken in vain, but also one that got a lock. It began to wait
// again at each time of again, ascending, the last of which is sure.
type stretch struct {
	from, sure, to int64
	again          []int64
	woken          int64 // of a worker thread: when it was woken for the last time
}

const atOnce = 5_000_000 // ns

// maxLook bounds how many steps, and contexts without one, a wait is judged by: a request may have made
// thousands of contexts.
const maxLook = 8192

// suspendedOver looks for the suspension of n and of what it made that holds the release.
func suspendedOver(n *node, freed, until int64, left *int) stretch {
	want := n.wantsItself()
	if freed < want || freed > until {
		return stretch{}
	}
	var runs []run
	if collect(n, want, until, 0, left, &runs); *left == 0 {
		return stretch{}
	}
	slices.SortFunc(runs, inOrder)
	runs = causes(n, runs)
	for _, r := range runs {
		io := r.node.ownIO
		if r.beside {
			io = min(io, r.end)
		}
		want = max(want, io)
	}
	if freed < want {
		return stretch{}
	}
	var waits suspensions
	var last run
	for i, r := range runs {
		if i == 0 {
			last = r
			continue
		}
		gap := r.start > last.end && last.end >= want
		if gap && waits.ended(last, r) {
			if w := waits.over(freed, last.end, r.start); w.from != 0 {
				w.to = goesOn(runs[i:])
				w.sure = min(w.sure, w.to)
				return w
			}
		}
		if r.end > last.end || !last.loop && r.node == n && last.end-r.end <= leaves {
			last = r
		}
	}
	return stretch{}
}

// suspensions follow one another, each ended by something else than a timer or a thread.
type suspensions struct {
	begins []int64 // of those that are sure
	all    []int64 // of those as well that a timer may have ended
	called int     // how often a callback ended one, surely
}

// ended takes the suspension between two runs. It returns false where that is none.
func (s *suspensions) ended(last, r run) bool {
	switch {
	case !r.loop || !last.loop:
		*s = suspensions{}
		return false
	case elsewhere(r, last):
		s.begins, s.all = nil, append(s.all, last.end)
		return true
	case r.turn-last.endsIn <= 1 && r.slept < last.end: // it yielded, its turn came with the loop's next one; or was woken in vain at once
		return len(s.all) > 0
	}
	if r.first {
		s.called++
	}
	s.begins, s.all = append(s.begins, last.end), append(s.all, last.end)
	return true
}

// over returns the stretch of those that hold a moment, the last of which began and ended at two times. What a timer
// may have ended is among them for a context that callbacks wake again and again: it does not sleep.
func (s *suspensions) over(freed, began, ended int64) stretch {
	switch {
	case s.called >= herd && s.all[0] <= freed && freed <= ended:
		w := stretch{from: s.all[0], sure: began, again: s.all[1:]}
		if len(s.begins) == 0 {
			w.sure = math.MaxInt64
		}
		return w
	case len(s.begins) > 0 && s.begins[0] <= freed && freed <= ended:
		return stretch{from: s.begins[0], sure: began, again: s.begins[1:]}
	}
	return stretch{}
}

// leaves is how long a worker thread may take, in ns, to leave its context after it has woken who waits for it.
const leaves = 50_000

// goesOn is when the last of the runs before a send began: who was given a connection may have to come
// by its lock, or to try again, and sends at once when it has it. A timer or a thread is something else.
func goesOn(runs []run) (at int64) {
	last := runs[0]
	at = last.start
	for _, r := range runs[1:] {
		if r.start > last.end {
			if elsewhere(r, last) {
				return at
			}
			at = r.start
		}
		if r.end > last.end {
			last = r
		}
	}
	return at
}

// elsewhere reports whether a suspension was ended by a timer or a thread.
func elsewhere(r, last run) bool {
	return r.first && r.loop && !r.called || !r.loop || !last.loop
}

// A run is a step, and whose it is.
type run struct {
	step
	node   *node
	beside bool // what the node did later is no concern of the one that is looked at
}

// causes leaves out what n made and did not wait for, as a task that goes on beside it: only what
// ran within a turn of the loop before n went on can have woken it, or have woken what did, and the loop
// does not sleep then. What did counts from its earlier steps on, not with what it does later.
func causes(n *node, runs []run) []run {
	known, beside := map[*node]bool{n: true}, map[*node]bool{}
	var next *run // on the loop
	kept := len(runs)
	for i := len(runs) - 1; i >= 0; i-- {
		r := runs[i]
		if !known[r.node] {
			if r.loop && (next == nil || next.turn-r.endsIn > 1 || next.slept >= r.end) {
				beside[r.node] = true
				continue
			}
			known[r.node] = true
		}
		r.beside = beside[r.node]
		kept--
		runs[kept] = r
		if r.loop {
			next = &runs[kept]
		}
	}
	return runs[kept:]
}

// inOrder sorts steps by their begin; of two at one instant, the one of the earlier turn came first, and a
// timer's step before the one that it woke.
func inOrder(a, b run) int {
	if c := cmp.Compare(a.start, b.start); c != 0 {
		return c
	}
	if a.loop && b.loop && a.turn != b.turn {
		return cmp.Compare(a.turn, b.turn)
	}
	switch {
	case a.first == b.first:
		return 0
	case a.first:
		return -1
	}
	return 1
}

// wants is since when the context may want a connection: its last I/O, its own or that of a
// context it was copied from, or its birth.
func (n *node) wants() int64 { return max(n.lastIO, n.wantsItself()) }

// wantsItself leaves out what it made: it may not have waited for that.
func (n *node) wantsItself() int64 {
	want := max(n.ownIO, n.born)
	if n.live != nil {
		want = max(want, n.live.Read)
	}
	return want
}

// collect gathers the steps of n and of the contexts made by it that touch [from, until].
func collect(n *node, from, until int64, depth int, left *int, out *[]run) {
	before := len(*out)
	for i := len(n.steps) - 1; i >= 0; i-- {
		s := n.steps[i]
		if s.end != 0 && s.end < from {
			break
		}
		if s.start > until {
			continue
		}
		if s.end == 0 || s.end > until {
			s.end = until
		}
		*out = append(*out, run{step: s, node: n})
	}
	*left = max(0, *left-1-len(*out)+before)
	if depth == maxDepth || *left == 0 {
		return
	}
	for _, k := range n.kids {
		collect(k, from, until, depth+1, left, out)
	}
}
