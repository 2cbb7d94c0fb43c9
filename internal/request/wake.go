package request

import (
	"cmp"
	"slices"
)

// A pause is a stretch in which a context of a request did not run on its event loop, or in
// which a worker thread of it slept.
type pause struct {
	from, to int64
	turn     uint32 // of the event loop, when it ended
	why      Why
	node     *node
	threads  bool         // of a worker thread
	after    *connections // whom it, or what it made, called next
	granted  bool         // that call had waited for its connection
}

// Why names what ended a pause that no other stage explains.
type Why string

// What may end a pause. Empty: not told.
const (
	// LockOrSemaphore: another request's context woke it, and not by giving back a connection.
	LockOrSemaphore Why = "lock or semaphore"
	// Timer: a timer of its own, a sleep or a time-out.
	Timer Why = "timer"
	// outside: something that is no context at all, or one that a worker thread made.
	outside Why = "outside the event loop"
)

const (
	leastPause = 200_000 // ns
	maxPauses  = 256     // of one request; later ones keep no reason
)

// round is what an event loop's thread ran between two looks for events.
type round struct {
	number  uint32
	owners  [4]*live // whose contexts ran
	n       int
	slept   bool // the thread slept in that look
	ran     bool // anything at all
	foreign bool // a context that a worker thread made, or an answer that nobody is known to await
	brought bool // something was read
}

// thisRound returns the one under way, and the one before it.
func (th *thread) thisRound() (now, before *round) {
	now, before = &th.ranIn[th.turn&1], &th.ranIn[(th.turn+1)&1]
	if now.number != th.turn {
		*now = round{number: th.turn}
	}
	if before.number+1 != th.turn {
		*before = round{number: th.turn - 1}
	}
	return now, before
}

// runs notes a step of n that begins.
func (u *round) runs(n *node, l *live) {
	u.ran = true
	if n.bornOff {
		u.foreign = true
	}
	if l != nil && u.n < len(u.owners) && !slices.Contains(u.owners[:u.n], l) {
		u.owners[u.n] = l
		u.n++
	}
}

// resumes looks at what ended the pause of a context that is about to run on an event loop.
func (th *thread) resumes(n *node, l *live, at int64, called bool) {
	now, before := th.thisRound()
	defer now.runs(n, l)
	n.wait = gap{}
	if len(n.steps) == 0 {
		n.startsIn(th.turn, at, called)
		return
	}
	if n.parent != nil {
		n.parent.kidTurn = th.turn
	}
	last := n.steps[len(n.steps)-1]
	if l == nil || !last.loop || last.by != th || at-last.end < leastPause || last.end == 0 {
		return
	}
	p := pause{from: last.end, to: at, turn: th.turn, node: n}
	if !l.awaits(n) {
		p.why = th.woke(n, l, last.end, now, before)
	}
	if p.why == LockOrSemaphore || p.why == outside {
		n.wait = gap{last.end, at}
	}
	l.paused(p)
}

// woke says what ended a pause, where that can be told. What is woken in one turn of the loop runs
// in the next one; a timer runs its callback first, in a context of its own.
func (th *thread) woke(n *node, l *live, since int64, now, before *round) Why {
	recent := func(u uint32) bool { return u != 0 && th.turn-u <= 1 }
	switch {
	case n.fired > since && recent(n.firedIn):
		return Timer
	case recent(n.kidTurn), l.ready != 0, l.woken != 0, recent(l.fedIn):
		return "" // its own child, an answer, its thread, its client
	case before.foreign || now.foreign || now.slept && !now.ran:
		return outside
	case !now.slept && (before.n > 1 || before.n == 1 && before.owners[0] != l):
		return LockOrSemaphore
	}
	return ""
}

// startsIn tells n's parent that n, a callback that had to wait for something, runs: a timer,
// unless another child ran just before it, which may be what it waited for.
func (n *node) startsIn(turn uint32, at int64, called bool) {
	p := n.parent
	if p == nil {
		return
	}
	if turn-n.bornIn <= 1 || called { // a task, or what it waited for is done
		p.kidTurn = turn
		return
	}
	if p.kidTurn != 0 && turn-p.kidTurn <= 1 {
		return
	}
	p.fired, p.firedIn = at, turn
}

// awaits reports whether a call of n, or of what it made or was made by, is not answered yet.
func (l *live) awaits(n *node) bool {
	return slices.ContainsFunc(l.awaiting, func(x *exchange) bool { return x.node.related(n) })
}

func (l *live) paused(p pause) {
	if len(l.pauses) < maxPauses && !l.answered {
		l.pauses = append(l.pauses, p)
	}
}

// A Reason is why a part of a request's unexplained time passed.
type Reason struct {
	Why Why
	NS  int64
}

// reasons shares out the unexplained spans among the pauses that overlap them.
func (l *live) reasons() (out []Reason) {
	for _, why := range []Why{LockOrSemaphore, Timer} {
		var of []gap
		for _, p := range l.pauses {
			if p.why == why {
				of = append(of, gap{p.from, p.to})
			}
		}
		if ns := overlap(l.Spans, of); ns > 0 {
			out = append(out, Reason{why, ns})
		}
	}
	return out
}

// overlap is the time that unexplained spans share with any of the stretches.
func overlap(spans []Span, of []gap) (ns int64) {
	slices.SortFunc(of, func(a, b gap) int { return cmp.Compare(a.from, b.from) })
	for _, s := range spans {
		if s.Stage != Unexplained {
			continue
		}
		at := s.Start
		for _, g := range of {
			from, to := max(g.from, at), min(g.to, s.End)
			if from < to {
				ns += to - from
				at = to
			}
		}
	}
	return ns
}
