package request

import (
	"slices"

	"github.com/ragscope/ragscope/internal/ring"
)

// connections are those of one process to one address: a pool, as far as the wire tells. How
// many are open is len(byID), how many of them carry a call is busy.
type connections struct {
	key     poolKey
	byID    map[uint64]*outbound
	busy    int
	opened  int64              // when the newest was opened
	freed   int64              // when an answer was last read to its end
	idle    ring.Ring[gap]     // stretches in which a connection lay idle and nobody waited for it
	granted ring.Ring[granted] // waits that ended with a connection
	handed  ring.Ring[gap]     // from when a thread was woken for one until it sent on one

	users    map[string]int // calls that are out, by endpoint
	peaks    map[string]int // the most that were ever out at once, by endpoint
	fillers  []filler
	herds    int             // waits of those who were woken in vain while a connection was idle
	grown    int             // connections ever opened
	most     int             // open at a time
	left     ring.Ring[left] // connections that had carried calls and were closed
	leaked   int
	mistaken bool // a connection that was said to be leaked was used again
}

// granted is a wait that ended with a connection.
type granted struct{ wanted, at int64 }

const (
	keptIdle    = 64
	keptGranted = 1 << 10
	// A connection that is taken this soon after it was given back says nothing: pools that
	// wake a waiter let others overtake it meanwhile.
	overtake = 1_000_000
	// A pool is as good as full while one lies idle for no longer: who is woken in vain, or has
	// just given up, keeps others waiting that long.
	brief = 3_000_000
)

// connectionsOf returns the pool of a connection.
func (t *Tracker) connectionsOf(c *outbound) *connections { return t.pools[poolKey{c.pid, c.remote}] }

func (p *connections) add(c *outbound) {
	p.byID[c.id] = c
	c.extends = len(p.byID) > p.most
	p.most = max(p.most, len(p.byID))
	p.opened = max(p.opened, c.made.dialed)
	p.grown++ // it was not at its limit
}

// take notes that a call has the connection; others may be out on it already.
func (t *Tracker) take(c *outbound, x *exchange, th *thread, at int64) {
	if c.taken {
		return
	}
	t.unleak(c, at)
	c.taken, c.user, c.operation = true, x.live, x.call.Operation
	p := t.connectionsOf(c)
	p.took(c, x, th, at)
	e := c.endpoint()
	p.users[e]++
	if n := p.users[e]; n > p.peaks[e] && len(p.peaks) < maxEndpoints {
		p.peaks[e] = n
	}
	p.filled()
	t.use(c, at, Busy, x.live, c.operation)
}

// endpoint is that of its last user.
func (c *outbound) endpoint() string {
	if c.user == nil {
		return ""
	}
	return c.user.Endpoint
}

// giveBack notes that no call is out on the connection any more.
func (t *Tracker) giveBack(c *outbound, at int64, l *live) {
	if !c.taken {
		return
	}
	c.taken = false
	t.unleak(c, at)
	t.connectionsOf(c).gave(c, at)
	t.use(c, at, Free, l, c.operation)
}

// took notes a call on a connection that carried none. Since when the caller waited for it is 0 if
// it did not; its pause may have held the moment in which the connection was given back all the same.
func (p *connections) took(c *outbound, x *exchange, th *thread, at int64) {
	p.busy++
	if wanted := x.call.PoolWaitStart; wanted != 0 {
		p.granted.Push(granted{wanted, at}, keptGranted)
	}
	if until := th.free(at); !x.paused && c.rests != 0 && th.rested(c.rests, until) {
		p.lay(c, until)
	}
}

// gave notes that a connection carries no call any more.
func (p *connections) gave(c *outbound, at int64) {
	p.busy = max(0, p.busy-1)
	e := c.endpoint()
	c.back = back{e, p.users[e]}
	if p.users[e]--; p.users[e] <= 0 {
		delete(p.users, e)
	}
	p.freed = max(p.freed, at)
}

// lay notes that c was idle until now.
func (p *connections) lay(c *outbound, at int64) {
	if c.rests == 0 && c.freeSince != 0 {
		return // who read its answer had it still
	}
	p.idle.Push(gap{c.rests, at}, keptIdle)
}

// full reports whether every connection was taken throughout, by calls of an event loop or by
// those of worker threads, as far as that is still known. One that nobody ever used, or that was
// opened meanwhile, speaks against it.
func (p *connections) full(from, to int64, threads bool) bool {
	if len(p.byID) == 0 || p.opened > from {
		return false
	}
	for _, o := range p.byID {
		if o.channel != nil || !o.shaken || o.onThread != threads {
			return false
		}
		if !o.taken && !o.leaked && o.freeSince < to-brief {
			return false
		}
	}
	if oldest, dropped := p.idle.Dropped(keptIdle); dropped && oldest.to > from {
		return false
	}
	return !slices.ContainsFunc(p.idle.All(), func(g gap) bool { return min(g.to, to)-max(g.from, from) > brief })
}

// rested reports whether a connection that is free since a time should have been taken by now if
// somebody waited for it: an event loop that has slept meanwhile had nobody to run.
func (th *thread) rested(since, at int64) bool {
	if th.isLoop {
		return th.slept > since && at-since > overtake
	}
	return at-since > atOnce
}

// restedWithin reports whether a connection other than c was free for a while between two times.
func (p *connections) restedWithin(c *outbound, th *thread, from, to int64) bool {
	if !th.isLoop {
		return slices.ContainsFunc(p.idle.All(), func(g gap) bool { return th.asleepWith(g, from, to, p.handed.All()) })
	}
	for _, o := range p.byID {
		if o != c && o.shaken && !o.taken && !o.leaked && o.onThread == c.onThread && o.channel == nil && to-max(from, o.rests) > atOnce && th.rested(max(from, o.rests), to) {
			return true
		}
	}
	return slices.ContainsFunc(p.idle.All(), func(g gap) bool { return min(g.to, to)-max(g.from, from) > atOnce })
}

// overtaken reports whether somebody who wanted a connection later got one before a time, or
// whether that is not known any more: pools serve those who wait in their order, so who was
// overtaken did not wait.
func (p *connections) overtaken(wanted, until int64) bool {
	if oldest, dropped := p.granted.Dropped(keptGranted); dropped && oldest.at > wanted {
		return true
	}
	return slices.ContainsFunc(p.granted.All(), func(g granted) bool {
		return g.wanted > wanted+overtake && g.at > wanted && g.at <= until
	})
}
