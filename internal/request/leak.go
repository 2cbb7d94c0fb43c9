package request

import "slices"

// A connection that a request took and never gave back lies idle on the wire, or keeps an answer
// that nobody reads on, while others wait for one. The limit of the pool has shrunk.
//
// An idle connection says more often that those who wait do so for something else: a semaphore
// around the client. So one is named as leaked only when
//
//   - its last user was a request that has ended,
//   - since then leastPassed waits that look like waits for a connection passed it over,
//   - and those who waited have had every connection of the pool at once before, with nobody
//     else among them: a semaphore that they share would have kept them from it.
//
// It stays likely, not certain. One that is used again was not leaked, and its pool is not
// believed in again.

const (
	leastPassed = 10
	maxFillers  = 16 // sets of endpoints that filled a pool
	maxPassers  = 64 // endpoints that passed a connection over
)

// passed is who waited for other connections while this one could have served them.
type passed struct {
	waits     int
	endpoints []string
	grown     int // of the pool, then
}

func (p *passed) by(endpoint string, grown int) {
	if p.grown != grown {
		*p = passed{grown: grown}
	}
	p.waits++
	if !slices.Contains(p.endpoints, endpoint) && len(p.endpoints) < maxPassers {
		p.endpoints = append(p.endpoints, endpoint)
	}
}

// filled notes who has the connections when all are taken.
func (p *connections) filled() {
	if p.busy < len(p.byID) || p.leaked > 0 || len(p.fillers) == maxFillers {
		return
	}
	now := make([]string, 0, len(p.users))
	for e, n := range p.users {
		if n > 0 {
			now = append(now, e)
		}
	}
	slices.Sort(now)
	f := filler{now, p.busy}
	for i := range p.fillers {
		if slices.Equal(p.fillers[i].endpoints, now) {
			p.fillers[i].n = max(p.fillers[i].n, p.busy)
			return
		}
	}
	p.fillers = append(p.fillers, f)
}

// filler is a set of endpoints that had n connections, all there were, at once.
type filler struct {
	endpoints []string
	n         int
}

// beyond reports whether requests of these endpoints alone have had more than n connections.
func (p *connections) beyond(n int, endpoints []string) bool {
	return slices.ContainsFunc(p.fillers, func(f filler) bool {
		return f.n > n && !slices.ContainsFunc(f.endpoints, func(e string) bool { return !slices.Contains(endpoints, e) })
	})
}

// passOver notes a wait that connections lay idle through, and names those that must be leaked.
func (t *Tracker) passOver(p *connections, idle []*outbound, l *live, at int64) {
	if p.mistaken {
		return
	}
	for _, o := range idle {
		if o.user == nil || !o.user.answered {
			return // one is not leaked, so nobody had to wait
		}
	}
	for _, o := range idle {
		o.passed.by(l.Endpoint, p.grown)
	}
	for _, o := range idle {
		if o.passed.waits < leastPassed || !p.beyond(len(p.byID)-p.leaked-len(idle), o.passed.endpoints) {
			return
		}
	}
	for _, o := range idle {
		t.leak(o, at)
	}
}

// leftUnread looks, at a wait, for answers that ended requests have left unread since before it.
func (t *Tracker) leftUnread(p *connections, from int64, l *live) {
	for _, id := range sorted(p.byID) {
		o := p.byID[id]
		if o.leaked || !o.taken || len(o.pending) == 0 || o.seen >= from {
			continue
		}
		x := o.pending[0]
		if x.call == nil || x.call.FirstArrived == 0 || x.live == nil || !x.live.answered || x.live.Last > from {
			continue
		}
		if o.passed.by(l.Endpoint, p.grown); o.passed.waits >= leastPassed {
			t.leak(o, from)
		}
	}
}

func (t *Tracker) leak(o *outbound, at int64) {
	o.leaked = true
	t.connectionsOf(o).leaked++
	k := o.changed(Leaked, o.user, at)
	k.Operation, k.Unread = o.operation, o.taken
	t.sink.Connection(k)
}

// unleak takes back what was said of a connection that is used again.
func (t *Tracker) unleak(o *outbound, at int64) {
	o.passed = passed{}
	if !o.leaked {
		return
	}
	o.leaked = false
	p := t.connectionsOf(o)
	p.leaked--
	p.mistaken = true
	t.connection(o, at, Returned, nil)
}
