package request

import "slices"

// A pool that may have no more connections makes one when another is closed: by the server, by its age, or by
// who did not read an answer to its end. Who waited for that waited for the pool, and then makes the connection itself:
//
//	waiter  stands still ────────────► dials ─► calls
//	other                 ─► closes
//
// A worker thread shows who woke it. On an event loop the pool's size has to tell that it was full: before the other
// was closed it was as large as ever.

const (
	keptLeft = 64
	maxEmpty = 64 // pools without a connection that are remembered
)

// left is the end of a connection.
type left struct {
	at   int64
	full bool // as many were open as ever, this one among them
}

// waitedForRoom makes the pause that ended before the call's connection was begun a wait for the pool, if it
// ended as another connection was closed.
func (t *Tracker) waitedForRoom(c *outbound, x *exchange, th *thread, begin int64) {
	p, l := t.connectionsOf(c), x.live
	if c.extends || !l.Followed || t.gaps.within(l.Read, begin) {
		return
	}
	for k := range p.left.Newest() {
		if k.at > begin {
			continue
		}
		if k.at < l.Read {
			return
		}
		w := t.pausedOver(p, x, th, k.at, begin)
		if w.to = min(w.to, begin); w.to <= w.sure {
			continue
		}
		c.onThread = !th.isLoop
		if (c.onThread || p.fullWithin(w.from, w.to)) && len(p.idleSince(c, w.from)) == 0 {
			t.waitedFor(c, x, th, w)
		}
		return
	}
}

// fullWithin reports whether the pool was as large as ever when one of its connections was closed between two times.
func (p *connections) fullWithin(from, to int64) bool {
	return slices.ContainsFunc(p.left.All(), func(k left) bool { return k.full && from <= k.at && k.at <= to })
}

// emptied notes that a pool has no connection. What is known of it is kept: the next one may follow at once.
func (t *Tracker) emptied(p *connections) {
	t.empty = append(slices.DeleteFunc(t.empty, func(k poolKey) bool { return k == p.key }), p.key)
	if len(t.empty) <= maxEmpty {
		return
	}
	oldest := t.pools[t.empty[0]]
	if t.empty = slices.Delete(t.empty, 0, 1); oldest != nil && len(oldest.byID) == 0 {
		delete(t.pools, oldest.key)
	}
}
