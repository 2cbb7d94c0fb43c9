package request

import (
	"slices"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// A front is a process whose clients are served by threads that run no Python (granian's). It has the event loop
// make a context for each request, in the order in which it read them, and all of them from one context: their source.
//
// Which context that is is learned. A source makes one for each request, none before the request is read and
// none after it is answered, so that it has made as many as were read whenever no request is under way. What
// its order says is held against who wakes the thread that sends an answer.
type front struct {
	aligned     bool  // no request was under way when the counts were 0
	since       int64 // the first request that they count was read
	reads, done int
	open        int     // read and not done
	queue       []*live // read, the oldest that is not done first
	passed      int     // requests that were read before those
	makers      map[uint64]*maker
	against     int // answers in a row that came from another request's context
}

const mistaken = "its execution context may have been taken for another's"

// A maker is a context that belongs to no request and makes others.
type maker struct {
	made   int // since the counts were 0
	proven int // and before, when it was right
	wrong  bool
}

const (
	leastProven  = 8    // contexts that a source has made one for each request
	mostAgainst  = 3    // of a front
	maxMakers    = 256  // of a front
	maxQueue     = 4096 // requests of a front that have no context yet
	keptSteppers = 16
)

// stepper is a context that an event loop's thread ran.
type stepper struct {
	from, to int64
	node     *node
}

// reads counts a request that a thread without Python has read; l is nil for one of the agent's own.
func (t *Tracker) readByFront(th *thread, e *event.Event, l *live) *front {
	if e.Context != 0 || th.async || t.step == Apart {
		return nil
	}
	f := t.fronts[e.PID]
	if f == nil {
		f = &front{makers: map[uint64]*maker{}, aligned: true}
		for _, c := range t.in {
			f.aligned = f.aligned && (c.pid != e.PID || !c.midway)
		}
		t.fronts[e.PID] = f
	}
	th.fronts = true
	if l == nil {
		l = &live{answered: true}
	} else if l.conn.h2 != nil {
		f.disorder(l)
	}
	if f.reads++; f.reads == 1 {
		f.since = e.Time
	}
	f.open++
	if f.queue = append(f.queue, l); len(f.queue) > maxQueue {
		f.pass(1)
	}
	return f
}

// disorder marks streams of one connection that wait together: the threads may go on with them in any order.
func (f *front) disorder(l *live) {
	for _, o := range f.queue {
		if o.conn == l.conn && !o.bound && !o.answered {
			o.unordered, l.unordered = true, true
		}
	}
}

func (f *front) pass(n int) {
	f.queue = slices.Delete(f.queue, 0, n)
	f.passed += n
}

// madeByFront gives a context that one of no request has made to the request that it is for. That one is older than
// the requests, else it may be one of theirs.
func (t *Tracker) madeByFront(e *event.Event, n *node) {
	f := t.fronts[e.PID]
	if f == nil || !f.aligned || e.Context == 0 || f.reads > 0 && t.contexts.at(e.PID, e.Context).born >= f.since {
		return
	}
	m := f.makers[e.Context]
	if m == nil {
		if len(f.makers) == maxMakers {
			clear(f.makers)
		}
		m = &maker{wrong: f.done > 0}
		f.makers[e.Context] = m
	}
	if m.made++; m.made > f.reads {
		t.fails(m)
	}
	i := m.made - 1 - f.passed
	if i < 0 || i >= len(f.queue) || !f.source(m) {
		return
	}
	switch l := f.queue[i]; {
	case l.answered || l.bound:
	case l.unordered:
		t.lose("inbound", "context of an HTTP/2 request not known: several waited together")
	default:
		l.own(n)
	}
}

// source reports whether m has proved to be the source, and no other has half as well.
func (f *front) source(m *maker) bool {
	for _, o := range f.makers {
		if o != m && !o.wrong && 2*o.right() >= m.right() {
			return false
		}
	}
	return !m.wrong && m.right() >= leastProven
}

// right is for how many requests it made a context, and was never wrong.
func (m *maker) right() int { return m.proven + m.made }

func (t *Tracker) fails(m *maker) {
	if m.proven >= leastProven {
		t.lose("inbound", "order in which contexts are made for requests lost")
	}
	m.wrong, m.proven = true, 0
}

// doneByFront counts a request that is answered or given up.
func (t *Tracker) doneByFront(f *front) {
	f.open--
	f.done++
	for _, m := range f.makers {
		if f.aligned && m.made < f.done && !m.wrong {
			t.fails(m)
		}
	}
	n := 0
	for n < len(f.queue) && f.queue[n].answered {
		n++
	}
	f.pass(n)
	if f.open == 0 {
		t.settle(f)
	}
}

// settle is called when no request is under way.
func (t *Tracker) settle(f *front) {
	for k, m := range f.makers {
		if f.aligned && m.made != f.reads && !m.wrong {
			t.fails(m)
		}
		if m.proven += m.made; m.wrong {
			m.proven = 0
		}
		if m.made, m.wrong = 0, false; m.proven == 0 {
			delete(f.makers, k)
		}
	}
	f.aligned, f.reads, f.done, f.passed, f.queue = true, 0, 0, 0, f.queue[:0]
}

// unsettle forgets what a front has learned: events were lost.
func (t *Tracker) unsettle() {
	for _, f := range t.fronts {
		f.aligned, f.reads, f.done, f.passed, f.queue = false, 0, 0, 0, nil
		clear(f.makers)
	}
}

// stepped keeps what an event loop's thread ran, in a process that is a front.
func (t *Tracker) stepped(th *thread, n *node, from, to int64) {
	if th.isLoop && len(t.fronts) > 0 && t.fronts[th.pid] != nil {
		th.steppers.Push(stepper{from, to, n}, keptSteppers)
	}
}

// wokeFront notes whose context has woken a thread that serves clients.
func (t *Tracker) wokeFront(th *thread, e *event.Event) {
	if !th.fronts {
		return
	}
	th.wokenBy = nil
	w := t.threads[e.Len]
	if w == nil || w.pid != th.pid {
		return
	}
	woken := int64(e.Other)
	if w.current != nil && w.since <= woken {
		th.wokenBy = w.current.owner()
		return
	}
	for s := range w.steppers.Newest() {
		if s.from <= woken {
			if woken <= s.to {
				th.wokenBy = s.node.owner()
			}
			return
		}
	}
}

// sentByFront holds the first answer that a thread sends after it was woken against whose context woke it.
func (t *Tracker) sentByFront(th *thread, l *live) {
	by := th.wokenBy
	if th.wokenBy = nil; by == nil || l.front == nil || !l.bound {
		return
	}
	f := l.front
	if by == l {
		f.against = 0
		return
	}
	if f.against++; f.against < mostAgainst {
		return
	}
	f.against = 0
	for _, m := range f.makers {
		if !m.wrong {
			t.fails(m)
		}
	}
	for _, l := range f.queue {
		l.miss(mistaken)
	}
}
