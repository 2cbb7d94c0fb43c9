package request

import (
	"cmp"
	"slices"
)

// acquire decides whether the call had to wait for its connection, or to make it.
func (t *Tracker) acquire(c *outbound, x *exchange, th *thread, at int64) {
	k, l := x.call, x.live
	switch {
	case !c.shaken && c.made.dialed != 0:
		if begin := c.made.begin(); begin <= at && c.madeFor(x) { // else told out of order
			k.Connect, k.Intent = at-begin, begin
			if l != nil {
				l.add(connect, begin, at, c.peer.System, nil)
				t.waitedForRoom(c, x, th, begin)
			}
		}
	case l != nil && l.Followed && c.freeSince != 0 && c.lastUser != x.node && len(c.pending) == 1:
		w := t.stoodStill(c, x, th, at)
		if w.to > w.from && !t.gaps.within(l.Read, at) {
			x.paused = true
			t.waitedFor(c, x, th, w)
		}
	}
	c.shaken = true
	c.lastUser = x.node
	c.onThread = !th.isLoop
}

// stoodStill looks for the stretch that ended as a connection of the pool was given back.
func (t *Tracker) stoodStill(c *outbound, x *exchange, th *thread, at int64) stretch {
	p := t.connectionsOf(c)
	w := t.pausedOver(p, x, th, c.freeSince, at)
	if w.woken != 0 {
		p.handed.Push(gap{w.woken, at}, keptIdle)
	}
	if w.to == 0 && th.isLoop && th.slept < c.freeSince {
		w = t.givenLate(c, x, at)
	}
	return w
}

// givenLate looks for the pause that ended as who had read the answer on c before it went on. A loop that has not slept
// since then may have had to run others first, for turns: that one had no time to give c back. It is unsure: c may have
// been free already.
func (t *Tracker) givenLate(c *outbound, x *exchange, at int64) stretch {
	if c.lastUser == nil {
		return stretch{}
	}
	steps, from := c.lastUser.steps, max(c.freeSince, x.live.Read)
	for i := len(steps) - 1; i >= max(0, len(steps)-lateSteps) && steps[i].start > from; i-- {
		if w := t.waited(x.node, steps[i].start, at); w.to > 0 {
			w.sure = w.to
			return w
		}
	}
	return stretch{}
}

const lateSteps = 8 // in which who has read an answer gives its connection back

// pausedOver looks for the stretch, before a time, that ended as the pool had a connection, or room for one.
func (t *Tracker) pausedOver(p *connections, x *exchange, th *thread, freed, at int64) stretch {
	if th.isLoop {
		return t.waited(x.node, freed, at)
	}
	return blockedOver(th, p, freed)
}

// madeFor reports whether the connection was made because the call needed one: its context
// opened it, or, where nobody is known to have done so, had nothing else to do since then.
func (c *outbound) madeFor(x *exchange) bool {
	if c.opener != nil || x.node == nil {
		return c.opener == x.live
	}
	return c.made.dialed >= x.node.top().wants()
}

// waitedFor makes a pause that ended with c a wait for it, unless another connection could have
// served the call all the while: then it waited for something else.
func (t *Tracker) waitedFor(c *outbound, x *exchange, th *thread, w stretch) {
	k, l := x.call, x.live
	p := t.connectionsOf(c)
	idle := p.idleSince(c, w.from)
	rested := p.restedWithin(c, th, w.sure, w.to)
	switch free := len(idle) > 0 || rested; {
	case free && len(w.again) >= herd:
		p.herds++
		w.sure = w.to
	case free && (len(w.again) > 0 || p.herds >= herd):
		w.sure = w.to
	case len(idle) > 0:
		t.passOver(p, idle, l, w.to)
		return
	case rested: // whoever waits for a connection takes one that is free
		return
	case len(w.again) < herd:
		for _, again := range w.again { // it waited for something else while one was free
			if !p.restedWithin(c, th, w.from, w.sure) {
				break
			}
			w.from = again
		}
	}
	if p.underLimit(l.Endpoint, w) {
		w.sure = w.to
	}
	t.leftUnread(p, w.from, l)
	k.PoolWaitStart, k.PoolWait, k.Intent = w.from, w.to-w.from, w.from
	k.PoolWaitUnsure = w.sure - w.from
	l.add(poolWait, w.from, w.to, c.peer.System, nil)
	th.heldUp(w)
	t.waitFor(c, Waited, l, w.from, w.to, k.PoolWaitUnsure)
}

// Who holds a lock or semaphore around the client opens it in the step that gives the connection back: who waited for that
// looks like who waited for the connection. But then requests of an endpoint never have more connections at once than
// it lets through, and one of them has just gone.

// back is how a connection was given back last: by whom, and how many its endpoint had then.
type back struct {
	endpoint string
	held     int
}

// underLimit reports whether a wait may have been one for a lock of the endpoint's own: it held a request's giving back,
// as the endpoint had as many connections as ever, and not all.
func (p *connections) underLimit(endpoint string, w stretch) bool {
	for _, o := range p.byID {
		if b := o.back; b.endpoint == endpoint && b.held >= p.peaks[endpoint] && b.held < len(p.byID)-p.leaked && w.from <= o.freeSince && o.freeSince <= w.to {
			return true
		}
	}
	return false
}

// A thread may have taken a connection that lies idle on the wire, and not come to send for want of the GIL.
const starved = 50_000_000 // ns

// A client may promise the connection that comes back to all who wait: they are woken, one has it, and the others go on
// waiting, while another connection lies idle for as long as nobody happens to ask for one (httpcore does so). Who was
// woken this often before it had a connection was woken for connections, for a lock is got when one is woken for
// it; and where that was seen this often, an idle connection says nothing. Such waits are unsure.
const herd = 3

// idleSince returns the other connections that were free during the whole supposed wait. The read that brings one to
// rest is what shows the loop that a step has ended: one that rests from the wait's begin on came after it.
func (p *connections) idleSince(c *outbound, from int64) (idle []*outbound) {
	for _, o := range p.byID {
		if o != c && o.shaken && !o.leaked && len(o.pending) == 0 && o.rests != 0 && o.onThread == c.onThread && (o.rests < from && !c.onThread || o.rests <= from-starved) {
			idle = append(idle, o)
		}
	}
	slices.SortFunc(idle, func(a, b *outbound) int { return cmp.Compare(a.id, b.id) })
	return idle
}
