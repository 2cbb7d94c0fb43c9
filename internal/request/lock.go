package request

import "github.com/ragscope/ragscope/internal/kernel/event"

// locks are those that threads sleep in now. Who waits in a condition sleeps in a lock of its own,
// that the one who notifies it opens; a lock that two threads sleep in at once, or that somebody
// else took as it opened, is one that they share: it guards something, be it the pool itself.
type locks map[lockKey]*lock

type lockKey struct {
	pid     uint32
	address uint64
}

type lock struct {
	sleepers int
	shared   bool
}

// sleepsIn notes what the thread sleeps in, 0 for nothing.
func (t *Tracker) sleepsIn(th *thread, address uint64) {
	t.opened(th)
	if address == 0 {
		return
	}
	k := lockKey{th.pid, address}
	l := t.locks[k]
	if l == nil {
		l = &lock{}
		t.locks[k] = l
	}
	l.sleepers++
	l.shared = l.shared || l.sleepers > 1
	th.lock = k.address
}

// opened notes that the thread does not sleep in a lock any more, and says whether others share it.
func (t *Tracker) opened(th *thread) (shared bool) {
	k := lockKey{th.pid, th.lock}
	l := t.locks[k]
	th.lock = 0
	if l == nil {
		return false
	}
	if l.sleepers--; l.sleepers == 0 {
		delete(t.locks, k)
	}
	return l.shared
}

// wokeIn notes that the thread sleeps no more, and returns what its sleep was like.
func (t *Tracker) wokeIn(th *thread, e *event.Event) cut {
	c := cut{off: e.Arrive, on: e.Time, woken: int64(e.Other), kind: e.Flags}
	if c.shared = t.opened(th); !e.Has(event.Futex) {
		return c
	}
	c.lock, c.gave = e.Context, t.giver(e)
	if n := len(th.cuts); n > 0 {
		if before := &th.cuts[n-1]; before.lock == c.lock && c.off-before.on <= sameCall { // somebody else took it
			before.shared, c.shared = true, true
		}
	}
	return c
}
