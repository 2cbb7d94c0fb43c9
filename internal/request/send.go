package request

import "github.com/ragscope/ragscope/internal/kernel/event"

// Response bytes wait for a slow client from a send of which the kernel took only a part (or
// nothing) to the next send on the connection: the server keeps the rest and is told when there
// is room again. What the kernel took is on its way, and no longer the request's time. An event loop
// that was told and does not come to send, for want of a CPU or with other callbacks, is not the
// client's slowness: from then on the request waits for its loop.

// waits notes how long the client made response bytes wait until the send that is e, and whether
// it goes on doing so. A worker thread may have slept in the call itself.
func (c *inbound) waits(th *thread, e *event.Event) {
	for i := range th.cuts {
		if k := &th.cuts[i]; k.kind == event.Sending {
			k.toClient = true
		}
	}
	l, since := c.open, c.stalled
	c.stalled = 0
	if e.Has(event.Short) {
		c.stalled = e.Time
	}
	if l == nil || since == 0 {
		return
	}
	room := th.toldOfRoom(since, e)
	l.add(send, since, room, "", nil)
	l.add(loopWait, room, e.Time, "", nil)
	if c.stalled == 0 {
		l.drained, l.drainedIn = e.Time, th.turn
	}
}

// toldOfRoom is when the client had made room, at the latest, for a send that is e, after it had none.
func (th *thread) toldOfRoom(since int64, e *event.Event) int64 {
	if e.Len == 0 || !th.isLoop || th.roused <= since || th.roused > e.Time {
		return e.Time
	}
	return th.roused
}

// writable adds the wait of a context for the event loop after its response bytes were taken, if
// that is what it waited for: then the loop runs it in this turn or the next.
func (l *live) writable(th *thread, at int64) {
	if l.drained != 0 && th.isLoop && th.turn-l.drainedIn <= 1 {
		l.add(loopWait, l.drained, at, "", nil)
	}
	l.drained = 0
}
