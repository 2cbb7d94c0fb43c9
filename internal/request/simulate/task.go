package simulate

import "slices"

// A task runs its steps one after the other, each until it has to wait.
type task struct {
	p      *process
	req    *Request
	ctx    uint64
	steps  []step
	conn   *conn
	phase  int
	since  int64 // when it began to wait
	waited int64
	lock   int64 // ns it waited for a lock, before the next call
	kids   int   // that it awaits
	parent *task
	client uint64 // its request's connection
	chat   *chat
	done   func() // when the steps are over; it may add more
}

type kind uint8

const (
	compute kind = iota
	sleep
	yield
	call
	gather // several calls at once
	block  // a call that sleeps, on the event loop
	locked // a call under a lock
	thread // work in a thread
	spawn  // a task that nobody awaits
	remote // a call over the channel
	stream // a language model's answer
	share  // a call over the connection that all share
	enough // the kinds that a handler may choose
	unlock
)

type step struct {
	kind kind
	d    int64
	pool *pool
	lock *lock
	n    int
	of   kind // of a gather
}

func (p *process) anyPool() *pool { return p.pools[p.rng.IntN(len(p.pools))] }

// handler is what a request does.
func (p *process) handler() (steps []step) {
	needs := [enough]Traits{block: Blocking, locked: Locks, thread: Threads, spawn: Background, remote: GRPC, stream: Streams, share: Shared}
	for range 1 + p.rng.IntN(5) {
		s := step{kind: kind(p.rng.IntN(int(enough))), pool: p.anyPool()}
		if n := needs[s.kind]; n&p.with != n || p.rng.IntN(3) == 0 {
			s.kind = call
		}
		switch s.kind {
		case sleep:
			s.d = p.rng.Int64N(10 * ms)
		case gather:
			s.n, s.of = 2+p.rng.IntN(4), call
			if p.with&GRPC != 0 && p.rng.IntN(2) == 0 {
				s.of = remote
			}
		case compute:
			s.d = p.rng.Int64N(500 * us)
		case block:
			s.d = p.rng.Int64N(3 * ms)
		case locked:
			s.lock = p.locks[p.rng.IntN(len(p.locks))]
		case thread:
			s.d = p.rng.Int64N(4 * ms)
		}
		steps = append(steps, s)
	}
	return steps
}

func (p *process) task(r *Request, ctx uint64, steps []step) *task {
	p.open++
	return &task{p: p, req: r, ctx: ctx, steps: steps}
}

func (t *task) cpu(d int64) {
	before := t.p.now
	t.p.spend(d)
	t.charge(t.p.now - before)
}

// charge is CPU time of its request, which may have been answered.
func (t *task) charge(d int64) {
	if t.req.Last == 0 {
		t.req.CPU += d
	}
}

func (t *task) wake() { t.p.soon(callback{ctx: t.ctx, fn: t.step}) }

// idles notes that it waits for something that is no call, and idled that it goes on.
func (t *task) idles() { t.since = t.p.now }

func (t *task) idled() {
	if t.since != 0 && t.req.Last == 0 {
		t.req.Idle += t.p.now - t.since
	}
	t.since = 0
}

// step runs until it has to wait.
func (t *task) step() {
	t.cpu(t.p.rng.Int64N(20 * us))
	for {
		for len(t.steps) > 0 {
			if !t.do(t.steps[0]) {
				return
			}
			t.phase = 0
			t.steps = t.steps[1:]
		}
		if t.done == nil {
			break
		}
		done := t.done
		t.done = nil
		done()
	}
	if p := t.parent; p != nil {
		if p.kids--; p.kids == 0 {
			p.wake()
		}
	}
	t.p.open--
	t.p.free = append(t.p.free, t.ctx)
}

// do goes on with a step and reports whether it is over.
func (t *task) do(s step) bool {
	p := t.p
	switch s.kind {
	case compute:
		t.cpu(s.d)
	case block:
		before := p.now
		p.away(0, s.d)
		t.charge(p.now - before)
	case call:
		return t.call(s.pool)
	case remote:
		return t.remote()
	case stream:
		return t.call(p.model)
	case share:
		return t.share()
	case locked:
		return t.locked(s)
	case unlock:
		s.lock.unlock()
	case spawn:
		c := p.task(t.req, p.copied(), []step{{kind: sleep, d: p.rng.Int64N(8 * ms)}, {kind: call, pool: s.pool}})
		c.wake()
	default:
		if t.phase == 1 {
			t.idled()
			return true
		}
		t.phase = 1
		switch s.kind {
		case sleep:
			t.idles()
			p.timer(s.d, t.wake)
		case yield:
			t.wake()
		case thread:
			t.idles()
			t.offload(s.d)
		case gather:
			t.kids = s.n
			for range s.n {
				c := p.task(t.req, p.copied(), []step{{kind: s.of, pool: s.pool}})
				c.parent = t
				c.wake()
			}
		}
		return false
	}
	return true
}

// A lock, or a semaphore, of the application's own: whoever is woken has it.
type lock struct {
	free    int
	waiters []*task
}

// locked is a call under a lock.
func (t *task) locked(s step) bool {
	switch l := s.lock; {
	case t.phase == 1:
		t.lock = t.p.now - t.since
		t.idled()
	case l.free == 0:
		t.phase = 1
		t.idles()
		l.waiters = append(l.waiters, t)
		return false
	default:
		l.free--
	}
	t.steps = slices.Insert(t.steps, 1, step{kind: call, pool: s.pool}, step{kind: unlock, lock: s.lock})
	return true
}

func (l *lock) unlock() {
	if len(l.waiters) == 0 {
		l.free++
		return
	}
	l.waiters[0].wake()
	l.waiters = l.waiters[1:]
}
