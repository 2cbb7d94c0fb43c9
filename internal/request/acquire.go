package request

// acquire decides whether the call had to wait for its connection, or to make it.
func (t *Tracker) acquire(c *outbound, x *exchange, th *thread, at int64) {
	k, l := x.call, x.live
	switch {
	case !c.shaken && c.opened != 0:
		if c.madeFor(x) {
			k.Connect = at - c.opened
			k.Intent = c.opened
			if l != nil {
				l.add(connect, c.opened, at, c.peer.System, nil)
			}
		}
	case l != nil && l.Followed && c.freeSince != 0 && c.lastUser != x.node && len(c.pending) == 1:
		from, to := t.waited(x.node, th, c.freeSince, at)
		if to > from && !t.idleSince(c, from) && !t.gaps.within(l.Read, at) {
			k.PoolWaitStart, k.PoolWait, k.Intent = from, to-from, from
			l.add(poolWait, from, to, c.peer.System, nil)
			t.connection(c, from, Waited, l, to)
		}
	}
	c.shaken = true
	c.lastUser = x.node
	c.onThread = !th.isLoop
}

// madeFor reports whether the connection was made because the call needed one: its context
// opened it, or, where nobody is known to have done so, had nothing else to do since then.
func (c *outbound) madeFor(x *exchange) bool {
	if c.opener != nil || x.node == nil {
		return c.opener == x.live
	}
	return c.opened >= x.node.top().wants()
}

// idleSince reports whether another connection to the peer was free during the whole supposed
// wait: then the wait was for something else.
func (t *Tracker) idleSince(c *outbound, from int64) bool {
	for _, o := range t.pools[poolKey{c.pid, c.remote}] {
		if o != c && o.shaken && len(o.pending) == 0 && o.freeSince != 0 && o.freeSince <= from && o.onThread == c.onThread {
			return true
		}
	}
	return false
}
