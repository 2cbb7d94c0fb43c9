package request

import (
	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/ring"
)

// A thread of the target: which context it runs, since when, and what it was reading.
type thread struct {
	pid      uint32
	seen     int64 // last sign of life
	isLoop   bool
	async    bool    // contexts were made on it: what it does without one belongs to nobody
	turn     uint32  // of the event loop
	base     uint64  // the context that is current between its callbacks; 0: not told
	outside  bool    // it read what came outside of any context
	inside   bool    // it read in one
	firsts   []*node // contexts that ran first in this turn of asyncio's, and may be timers as yet
	ranIn    [2]round
	current  *node
	address  uint64 // of the current context; 0: lent to a request
	asleep   int64  // since when it sleeps in something else than epoll or the GIL; 0: it does not
	slept    int64  // when the event loop last went to sleep
	roused   int64  // when what the loop runs now was there, at the latest: it was woken, or asked and had not to sleep
	since    int64  // the current step's begin
	cuts     []cut  // of the current step
	serving  *live  // thread as execution context: no contexts, one request at a time
	got      *node  // whose work of an executor it does
	told     bool   // in the current step it had the event loop go on with something
	polls    bool   // a call in the current step polls with epoll: it is no event loop for that
	reading  reading
	accepts  *inbound // the connection that accept has just returned to it
	turns    turns
	replied  *exchange // whose answer it read outside any context: the next one entered is the connection's
	history  history
	gifts    ring.Ring[gift] // of a worker thread
	lock     uint64          // that it sleeps in; 0: none
	limiter  *limiter        // of its worker threads
	fronts   bool            // it serves clients and runs no Python
	wokenBy  *live           // whose context has woken it since it last slept and sent
	steppers ring.Ring[stepper]
}

// reading is the moment after a thread has read an inbound request: contexts that it makes
// now are made for that request.
type reading struct {
	live    *live
	address uint64 // the context that makes them; 0: the next one that is entered
}

// A cut is a stretch of a step in which the thread did not run.
type cut struct {
	off, on, woken int64
	kind           event.Flags
	toClient       bool         // it slept in a send to a client
	pool           bool         // it was a wait for a connection
	lock           uint64       // that it slept in; 0: none
	shared         bool         // others slept in it, too
	gave           *connections // who woke it had just given a connection back to this pool
}

// heldUp makes the current step's sleeps in a stretch a wait for a connection, which is no
// blocking call that would have to be looked into.
func (th *thread) heldUp(w stretch) {
	for i := range th.cuts {
		if c := &th.cuts[i]; c.kind&event.Futex != 0 && w.from <= c.off && c.on <= w.to && !th.isLoop {
			c.pool = true
		}
	}
}

// run begins a step of n on the thread. A nil n means that no context runs.
func (t *Tracker) run(th *thread, n *node, address, outer uint64, at int64) {
	if n != nil && th.isLoop {
		th.comesBack(n)
		th.handsOver(n)
	}
	th.leave(at)
	t.pause(th, at)
	if n == nil {
		return
	}
	th.current, th.address, th.since = n, address, at
	th.told, th.polls = false, false
	handed := n.handedOver()
	s := step{by: th, start: at, turn: th.turn, loop: th.isLoop, slept: th.slept}
	if th.isLoop {
		if len(n.steps) == 0 {
			s.called = t.called(th, n, outer)
		} else {
			th.noTimer()
		}
		th.resumes(n, n.owner(), at, s.called)
	}
	n.begin(s)
	l := n.owner()
	if n.home != nil {
		if o := n.home.sole(); o != nil && o != l {
			o.hopped(th)
		}
	}
	if l != nil {
		l.runsOn(th)
		l.begun(th, at)
		l.resumed(th, at)
		if !th.isLoop && handed != 0 {
			l.add(loopWait, handed, at, "", nil)
			l.takenOn(n, at)
		}
	}
}

// leave notes that a worker thread is done with its context: who handed it over is woken, unless it was told
// before.
func (th *thread) leave(at int64) {
	if th.isLoop || th.current == nil || th.told {
		return
	}
	if l := th.current.owner(); l != nil {
		l.woken = at
	}
}

// pause ends the thread's current step.
func (t *Tracker) pause(th *thread, at int64) {
	th.goesOn(at)
	n := th.current
	if n == nil {
		return
	}
	if th.asleep != 0 {
		th.cuts = append(th.cuts, cut{off: th.asleep, on: at, woken: at})
		th.asleep = 0
	}
	if s := n.stepOf(th); s != nil && s.end == 0 {
		s.end, s.endsIn = at, th.turn
	}
	if l := n.owner(); l != nil {
		l.left(th)
		l.ran(th, at)
		th.history.add(th.since, at, l.Endpoint)
	}
	t.stepped(th, n, th.since, at)
	th.current = nil
	th.cuts = th.cuts[:0]
}

// split ends the current step and goes on with it, so that what was run until now counts.
func (t *Tracker) split(th *thread, at int64) {
	n := th.current
	if n == nil {
		return
	}
	t.pause(th, at)
	th.current, th.since = n, at
	if l := n.owner(); l != nil {
		l.runsOn(th)
	}
	if s := n.stepOf(th); s != nil {
		s.end = 0
	}
}

func (t *Tracker) thread(e *event.Event) *thread {
	th := t.threads[e.TID]
	if th == nil || th.pid != e.PID {
		if th != nil {
			t.opened(th)
		}
		t.makeRoom()
		th = &thread{pid: e.PID}
		t.threads[e.TID] = th
	}
	th.seen = e.Time
	return th
}

func (t *Tracker) onEnter(e *event.Event) {
	th := t.thread(e)
	th.accepts = nil // whoever accepted has gone on
	if r := &th.reading; r.live != nil {
		if r.address == 0 {
			r.address = e.Other
		} else {
			r.live = nil
		}
	}
	var n *node
	if !e.Has(event.Stale) {
		n = t.contexts.at(e.PID, e.Other)
	}
	if x := th.replied; x != nil {
		th.replied = nil
		n.readsFor(x, e.Time)
	}
	if n != nil && n.call != nil {
		t.stub(e.PID).over(n, e.Time)
	}
	t.run(th, n, e.Other, e.Context, e.Time)
}

func (t *Tracker) onLoop(e *event.Event) {
	th := t.thread(e)
	if n := th.current; n != nil && (n == th.got || e.Context != 0 && e.Context == th.address) {
		th.polls = true // it has not left what it runs: a synchronous gRPC call, as a rule
		return
	}
	t.pause(th, e.Time)
	if !th.isLoop {
		th.isLoop, th.history = true, history{limit: maxHistory}
	}
	th.limiter.turned(th.turn, e.Time)
	th.turn, th.roused = th.turn+1, e.Time
	th.base, th.firsts = e.Context, th.firsts[:0]
	t.asked(th, e)
	th.reading = reading{}
	th.replied, th.accepts = nil, nil
}

func (t *Tracker) onSwitch(e *event.Event) {
	th := t.thread(e)
	th.asleep = 0
	t.wokeFront(th, e)
	c, why := t.wokeIn(th, e), e.Flags
	if th.polls {
		why &^= event.Epoll
	}
	if why&event.Epoll != 0 {
		t.pause(th, e.Arrive) // the loop slept: its last callback was done
		delete(t.starting, e.PID)
		th.slept, th.roused = e.Arrive, c.woken
		if c.woken < c.off || c.woken > c.on { // not told
			th.roused = c.on
		}
		t.polled(th, e)
		now, _ := th.thisRound()
		now.slept = true
		return
	}
	th.turns.off(e)
	th.held(e)
	if th.current == nil {
		return
	}
	if e.Arrive < th.since || len(th.cuts) == maxCuts {
		return
	}
	c.kind = why
	th.cuts = append(th.cuts, c)
	if l := th.current.owner(); l != nil && !th.isLoop && why&^event.Futex == 0 && e.Time-e.Arrive >= leastGiveUp && !l.awaits(th.current) {
		l.paused(pause{from: e.Arrive, to: e.Time, node: th.current, threads: true})
	}
}

// onSleep ends the step of a worker thread that has left its context, else notes the sleep: its
// end is told by the switch that comes then.
func (t *Tracker) onSleep(e *event.Event) {
	th := t.thread(e)
	t.sleepsIn(th, e.Other)
	if th.current == nil {
		return
	}
	if th.address != 0 && e.Context != th.address {
		th.leave(e.Time)
		t.pause(th, e.Time)
		return
	}
	th.asleep = e.Time
}

const maxCuts = 1 << 12 // of one step; beyond it off-CPU time counts as on_cpu

// onCopy gives a context its parent, and the contexts made while a request is being read
// their request.
func (t *Tracker) onCopy(e *event.Event) {
	th := t.thread(e)
	th.async = true
	parent := t.actor(e)
	from := e.Time
	if th.current != nil {
		from = th.since
	}
	if parent.connection() != nil && t.gaps.within(from, e.Time) {
		parent = nil // of which of the connection's requests: its read may be among what was lost
	}
	if l := th.current.owner(); l != nil && !th.isLoop {
		l.woken, th.told = e.Time, true // call_soon_threadsafe: the loop is to go on
	}
	n := t.contexts.birth(e.PID, e.Other, parent, e.Time)
	n.bornIn, n.bornOff = th.turn, !th.isLoop
	t.adopt(th, n, e)
}

// onNew is a context that a server makes empty for each request: it has no parent unless one
// is being served already.
func (t *Tracker) onNew(e *event.Event) {
	th := t.thread(e)
	n := t.contexts.birth(e.PID, e.Other, nil, e.Time)
	t.adopt(th, n, e)
	if n.live == nil {
		p := t.contexts.at(e.PID, e.Context)
		if o := th.goesOnWith(p.owner()); o != nil {
			o.own(n)
		} else if p.owner() != nil {
			n.parent = p
		}
	}
}

func (t *Tracker) adopt(th *thread, n *node, e *event.Event) {
	if r := &th.reading; r.live != nil && (r.address == e.Context || r.address == 0 && (n.parent == nil || n.parent.owner() == nil)) {
		r.address = e.Context // where contexts are not entered before our eyes, the first one made tells
		r.live.own(n)
		if c := r.live.conn; c.h2 != nil { // the next one is not for it
			r.live = nil
		}
		return
	}
	if c := th.accepts; c != nil && n.owner() == nil { // the server makes one for the connection, all that serves it descends from
		n.parent, n.conn, n.home, th.accepts = nil, c, c, nil
		return
	}
	if c := n.connection(); c != nil {
		if l := c.sole(); l != nil {
			l.own(n)
			return
		}
		if c.h2 != nil && len(c.h2.streams) > 1 {
			t.drafts(c, n)
			return
		}
	}
	if o := th.goesOnWith(n.owner()); o != nil {
		o.own(n)
		return
	}
	if n.owner() == nil {
		t.madeByFront(e, n)
	}
}

// goesOnWith is the request that a context of another's, l, is made for: a pipelined or early next one of the
// connection is started from the context of the one that was just answered, in the step that sent the answer as a rule,
// with all that it makes there.
func (th *thread) goesOnWith(l *live) *live {
	if l == nil || !l.answered || l.front != nil {
		return nil
	}
	if o := l.conn.open; o != nil && o != l && (!o.bound || th.since == l.Last) {
		return o
	}
	return nil
}

// history remembers whose request a thread ran when, for turns of its event loop that turn out to be long.
type history struct {
	spans ring.Ring[ranSpan]
	limit int // 0: that of a worker thread
}

type ranSpan struct {
	start, end int64
	endpoint   string
}

const (
	maxHistory       = 1 << 14 // 2 s of a loop that makes 8,000 steps a second
	maxWorkerHistory = 1 << 8  // there may be thousands of them
)

func (h *history) add(start, end int64, endpoint string) {
	h.spans.Push(ranSpan{start, end, endpoint}, max(h.limit, maxWorkerHistory))
}
