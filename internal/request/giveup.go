package request

import "slices"

// A context that wanted a connection, waited, and gave up leaves nothing on the wire. What can be
// told is this, all of it together:
//
//   - it stood still until a timer of its own ran (a worker thread: until it woke), and what it
//     did then was no call to that peer;
//   - all that while every connection to the peer was taken, and nobody who asked later was given
//     one, so it may have stood in the queue;
//   - requests of its endpoint call that peer: this one made fewer calls than any that ended
//     well, or it failed before it had made as many;
//   - such pauses have come before it more often than they do before calls that are made: so it
//     is none of the sleeps that the endpoint's code has before its call.
//
// So it is likely a time-out of the pool, and is named so.

const (
	leastGiveUp  = 5_000_000 // ns: shorter time-outs are not looked for
	leastHabit   = 3         // requests of the endpoint that must have ended well
	maxEndpoints = 512       // whose habits are kept
	maxHabits    = 16        // peers of each
)

// made is how many calls a request made to a pool.
type made struct {
	to    poolKey
	calls int
}

func (l *live) callsTo(k poolKey) int {
	for _, m := range l.made {
		if m.to == k {
			return m.calls
		}
	}
	return 0
}

// habits are what the requests of an endpoint do that end well.
type habits struct {
	requests int
	calls    map[poolKey]*habit
}

type habit struct {
	with     int // requests that call the peer
	min, max int // calls of those
	slept    int // at most, pauses right before a call to it that a time-out may look like
}

// follows notes whom a call goes to: for the request, and for the pauses of its context before
// the call. The call may have waited for its connection since a time.
func (l *live) follows(n *node, p *connections, waited int64) {
	if i := slices.IndexFunc(l.made, func(m made) bool { return m.to == p.key }); i >= 0 {
		l.made[i].calls++
	} else if len(l.made) < maxHabits {
		l.made = append(l.made, made{p.key, 1})
	}
	for i := len(l.pauses) - 1; i >= 0 && n != nil; i-- {
		if k := &l.pauses[i]; k.after == nil && k.likeTimeout() && k.node.related(n) {
			k.after, k.granted = p, waited != 0 && waited < k.to
		}
	}
}

// related reports whether one of both was made by the other, or they are one.
func (n *node) related(o *node) bool { return n.within(o) || o.within(n) }

func (n *node) within(o *node) bool {
	for depth := 0; n != nil && depth < maxDepth; depth++ {
		if n == o {
			return true
		}
		if n.live != nil {
			return false
		}
		n = n.parent
	}
	return false
}

// gaveUp finds the pauses that were likely waits for a connection that never came, and makes
// them such. It learns the endpoint's habits from the others.
func (t *Tracker) gaveUp(l *live) {
	if !l.Followed {
		return
	}
	h := t.habits[l.Endpoint]
	suspect := false
	for i := len(l.pauses) - 1; i >= 0; i-- { // the last one before it went on is the likeliest
		p := &l.pauses[i]
		if !p.likeTimeout() || t.gaps.within(l.Read, p.to) {
			continue
		}
		from := l.wokenInVain(i)
		pool := t.pool(l.PID, p, from, h)
		if pool == nil && from != p.from {
			from = p.from
			pool = t.pool(l.PID, p, from, h)
		}
		switch {
		case pool == nil || p.after == pool:
		case h.calls[pool.key].slept > l.sleptBefore(i):
		case h.fails(l, pool.key, l.callsTo(pool.key)):
			t.timedOut(l, from, p.to, pool)
			l.follows(nil, pool, 0) // the call that it did not make: there is none beyond those
			suspect = true
		default:
			suspect = true
		}
	}
	if !suspect && len(l.Missing) == 0 && l.Status < 500 {
		t.learn(l)
	}
}

// wokenInVain returns where the wait began that ended with the i-th pause: those right before it
// that another context ended may be a part of it, as the pool's lock wakes who then finds nothing.
func (l *live) wokenInVain(i int) int64 {
	p := l.pauses[i]
	from := p.from
	for k := i - 1; k >= 0; k-- {
		o := l.pauses[k]
		if o.node != p.node {
			continue
		}
		vain := o.why == LockOrSemaphore && from-o.to <= overtake || o.threads && p.threads && from-o.to <= brief
		if !vain || o.after != p.after {
			break
		}
		from = o.from
	}
	return from
}

// pool is the one pool of a process that the pause may have been a wait for: one that the
// endpoint calls and that was full meanwhile.
func (t *Tracker) pool(pid uint32, p *pause, from int64, h *habits) (found *connections) {
	if h == nil {
		return nil
	}
	for k := range h.calls {
		c := t.pools[k]
		if k.pid != pid || c == nil || !c.full(from, p.to, p.threads) || c.overtaken(p.from, p.to) {
			continue
		}
		if found != nil {
			return nil // it cannot be told which
		}
		found = c
	}
	return found
}

// fails reports whether a request with so many calls to a peer lacks one.
func (h *habits) fails(l *live, k poolKey, calls int) bool {
	c := h.calls[k]
	switch {
	case c == nil || c.with < leastHabit:
		return false
	case l.Status >= 500:
		return calls < c.max
	}
	return c.with == h.requests && calls < c.min
}

func (t *Tracker) timedOut(l *live, from, to int64, pool *connections) {
	c := pool.byID[sorted(pool.byID)[0]]
	for i := range l.parts { // a worker thread's sleeps
		if p := &l.parts[i]; p.stage == blocked && p.start >= from && p.end <= to {
			p.end = p.start
		}
	}
	l.add(poolWait, from, to, c.peer.System, nil)
	l.TimedOut = append(l.TimedOut, c.peer.System)
	t.waitFor(c, TimedOut, l, from, to, 0)
}

// learn takes a request that ended well.
func (t *Tracker) learn(l *live) {
	h := t.habits[l.Endpoint]
	if h == nil {
		if len(t.habits) == maxEndpoints {
			return
		}
		h = &habits{calls: map[poolKey]*habit{}}
		t.habits[l.Endpoint] = h
	}
	h.requests++
	for _, m := range l.made {
		c := h.calls[m.to]
		if c == nil {
			if len(h.calls) == maxHabits {
				continue
			}
			c = &habit{min: m.calls}
			h.calls[m.to] = c
		}
		c.with++
		c.min, c.max = min(c.min, m.calls), max(c.max, m.calls)
	}
	for i := range l.pauses {
		if p := &l.pauses[i]; p.after != nil && !p.granted && h.calls[p.after.key] != nil {
			c := h.calls[p.after.key]
			c.slept = max(c.slept, l.sleptBefore(i)+1)
		}
	}
}

// sleptBefore counts the pauses right before the i-th that a time-out may look like: those of the
// same context, with no call in between.
func (l *live) sleptBefore(i int) (n int) {
	p := &l.pauses[i]
	for k := range l.pauses[:i] {
		if o := &l.pauses[k]; o.likeTimeout() && o.after == p.after && o.node.related(p.node) {
			n++
		}
	}
	return n
}

func (p *pause) likeTimeout() bool {
	return p.to-p.from >= leastGiveUp && (p.why == Timer || p.threads)
}
