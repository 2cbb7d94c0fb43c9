package request

import (
	"slices"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// A worker thread waits for a connection in a lock, as who gives one back wakes it:
//
//	giver   reads the answer ─► waits for the GIL ─► puts the connection into the pool, wakes
//	waiter  sleeps in the lock ─────────────────────────────────────────────────────────────► waits for the GIL ─► sends
//
// The answer may have been read long before the wake-up, even before the waiter slept; and the
// connection that the waiter takes then may be another one, given back meanwhile. So what tells is
// who woke it: a thread that has just read an answer of that pool and has sent nothing since.

// A gift is an answer that a worker thread has read to its end: it will give the connection back.
type gift struct {
	conn   *outbound
	pool   *connections
	at     int64
	until  int64 // when the thread went on to something else; 0: not yet
	waited int64 // for the GIL, for a lock and for a processor in between
}

const (
	keptGifts = 4 // of a thread: it may be a few calls on when the one that it woke runs
	// A waiter takes the GIL within the call that woke it, and runs Python code between two locks. One that
	// is woken in vain looks through the pool before it sleeps again.
	sameCall, sameWait, wokenInVain = 60_000, 200_000, 1_000_000 // ns
)

// gives notes that the thread has read the last answer that was out on c.
func (th *thread) gives(c *outbound, p *connections, at int64) {
	if th.isLoop {
		c.rests = at
		return
	}
	c.rests = 0
	th.goesOn(at)
	th.gifts.Push(gift{conn: c, pool: p, at: at}, keptGifts)
}

// goesOn notes that a worker thread begins something else: what it had it has given back.
func (th *thread) goesOn(at int64) {
	for g := range th.gifts.Newest() {
		if g.until != 0 {
			return
		}
		if g.until = at; g.conn.freeSince == g.at {
			g.conn.rests = at
		}
	}
}

// held notes that a worker thread could not run: it may have waited for the pool's own lock.
func (th *thread) held(e *event.Event) {
	if e.Flags&(event.Preempted|event.GIL|event.Futex) == 0 {
		return
	}
	for g := range th.gifts.Newest() {
		if g.until == 0 {
			g.waited += e.Time - max(e.Arrive, g.at)
		}
		return
	}
}

// giving returns the pool to which the thread gave a connection back at a time, if it did.
func (th *thread) giving(at int64) *connections {
	for g := range th.gifts.Newest() {
		if g.at > at {
			continue
		}
		if g.until != 0 && g.until < at || at-g.at-g.waited > atOnce {
			return nil
		}
		return g.pool
	}
	return nil
}

// giver returns the pool to which a sleep's end gave a connection back, as far as that can be told.
func (t *Tracker) giver(e *event.Event) *connections {
	if by := t.threads[e.Len]; e.Has(event.Futex) && by != nil && by.pid == e.PID && !by.isLoop {
		return by.giving(int64(e.Other))
	}
	return nil
}

// blockedOver looks for the sleeps of a worker thread that ended as a connection of the pool was given
// back: the one that it takes now at freed, or, by who woke it, any. Those before it are a part of the
// wait, as somebody else may have been faster.
func blockedOver(th *thread, p *connections, freed int64) (w stretch) {
	last := len(th.cuts) - 1
	for ; last >= 0 && !th.cuts[last].ends(p, freed); last-- {
	}
	if last < 0 {
		return th.wokenOften()
	}
	c := &th.cuts[last]
	w = stretch{from: c.off, sure: c.off, to: th.goesOnAfter(last), woken: c.woken}
	ran := int64(0)
	for i := last - 1; i >= 0 && ran <= wokenInVain; i-- {
		c := &th.cuts[i]
		ran += th.cuts[i+1].off - c.on
		switch again := c.ends(p, freed); {
		case again && ran <= wokenInVain:
			w.from, w.sure, ran = c.off, c.off, 0
		case c.kind&event.Futex != 0 && !c.shared && ran <= sameWait:
			w.from, ran = c.off, 0
		}
	}
	if w.from != w.sure {
		w.again = []int64{w.sure}
	}
	if often := th.wokenOften(); often.from != 0 && often.from < w.from {
		w.from, w.again = often.from, often.again
	}
	return w
}

// wokenOften looks for the sleeps of a worker thread that was woken in a lock of its own again and again, and went to
// sleep again at once: httpcore wakes all who wait for each connection that comes back, also as somebody asks for one. Such a wait is unsure.
func (th *thread) wokenOften() stretch {
	var w stretch
	ran := int64(0)
	for i := len(th.cuts) - 1; i >= 0; i-- {
		c := &th.cuts[i]
		if i+1 < len(th.cuts) {
			ran += th.cuts[i+1].off - c.on
		}
		if ran > wokenInVain {
			break
		}
		if c.kind&event.Futex == 0 {
			continue
		}
		if ran = 0; w.to == 0 {
			w.to = c.on
		}
		if !c.shared {
			w.from = c.off
		}
		if c.on-c.off >= overtake {
			w.again = append(w.again, c.off)
		}
	}
	if w.from == 0 || len(w.again) < herd {
		return stretch{}
	}
	slices.Reverse(w.again)
	w.sure = w.to
	return w
}

// ends reports whether the sleep ended as a connection of the pool was given back.
func (c *cut) ends(p *connections, freed int64) bool {
	if c.kind&event.Futex == 0 || c.shared {
		return false
	}
	// Who gives it back wakes the next one right away; a lock is given back at any other time.
	return c.gave == p || c.off <= freed && freed <= c.woken && c.woken-freed <= atOnce
}

// goesOnAfter is when the thread ran on after a sleep: it may have to wait for the GIL, and for the
// pool's own lock, before it has the connection.
func (th *thread) goesOnAfter(i int) int64 {
	to, on, ran := th.cuts[i].on, th.cuts[i].on, int64(0)
	for _, c := range th.cuts[i+1:] {
		switch ran += c.off - on; {
		case ran > wokenInVain:
			return to
		case c.kind&event.Futex != 0:
			to, ran = c.on, 0
		case c.kind&(event.Preempted|event.GIL) != 0 && on == to && ran <= sameCall:
			to, ran = c.on, 0
		}
		on = c.on
	}
	return to
}

// asleepWith reports whether the thread slept on in a lock between two times while a connection lay idle
// that was meant for nobody: others that were woken may have had to wait for the GIL.
func (th *thread) asleepWith(idle gap, from, to int64, handed []gap) bool {
	for i := range th.cuts {
		c := &th.cuts[i]
		if c.kind&event.Futex == 0 || c.off < from || to < c.on {
			continue
		}
		g := gap{max(c.off, idle.from), min(c.woken, idle.to)}
		rest := g.to - g.from
		for _, h := range handed {
			rest -= max(0, min(g.to, h.to)-max(g.from, h.from))
		}
		if rest > starved {
			return true
		}
	}
	return false
}

// free is the latest time at which it is sure that the thread had not taken the connection that it sends
// on at a time: a worker may have been given it as it was woken, and have waited for a processor and the GIL since.
func (th *thread) free(at int64) int64 {
	if th.isLoop {
		return at
	}
	if th.current == nil {
		return 0 // not known
	}
	for i := len(th.cuts) - 1; i >= 0; i-- {
		if c := &th.cuts[i]; c.kind&(event.Preempted|event.GIL) == 0 {
			return min(max(c.woken, c.off), c.on)
		}
	}
	return th.since
}
