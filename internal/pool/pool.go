// Package pool follows the pools of a target as they are used: the connections (or HTTP/2
// streams) to each peer, who has them, and who waits.
//
// In: the changes that room request reports, in any order within a few seconds. Out: sizes,
// limits as seen in practice, waits and holders, as plain values of room recording. It is
// pure: no I/O, no clock, no goroutine.
package pool

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
	"github.com/ragscope/ragscope/internal/ring"
)

// Pools are the pools of one target since a begin.
type Pools struct {
	begin int64 // CLOCK_MONOTONIC, ns
	byKey map[key]*pool
}

type key struct {
	peer    request.Peer
	streams bool
}

type connection struct {
	pid    uint32
	calls  int // streams; 0 or 1 for connections
	by     map[holder]int
	reckon int64 // until when they are in held
	leaked *recording.Leak
}

type pool struct {
	key               key
	open              map[uint64]*connection
	inUse             int
	openMax, inUseMax int
	seenLimit         int // open, or in use, while somebody waited
	toldLimit         int // as the peer says, of one connection
	creates, timeouts int64
	create            recording.Dist
	parts             recording.CreateParts
	waits             map[string]*recording.PoolWait
	held              map[holder]*held
	holds             ring.Ring[hold] // the newest stretches, by their end
	ticks             []tick
	waiting           waiting
	dropped           int64
	pids              map[uint32]bool
}

type tick struct{ open, inUse int }

const (
	maxTicks = 6 * 3600 // one a second; later seconds are not in the timeline
	maxConns = 1 << 14
	maxPools = 200 // peers; those beyond share a pool for each system
	maxPIDs  = 256
	other    = "_other"
)

// New starts at a time with no pool known.
func New(begin int64) *Pools { return &Pools{begin: begin, byKey: map[key]*pool{}} }

// From starts at a time with the connections that are open now and no past.
func (p *Pools) From(begin int64) *Pools {
	n := New(begin)
	for k, old := range p.byKey {
		q := n.pool(k)
		q.toldLimit, q.inUse = old.toldLimit, old.inUse
		for id, c := range old.open {
			fresh := *c
			fresh.by, fresh.reckon = maps.Clone(c.by), max(begin, c.reckon)
			if c.leaked != nil {
				leaked := *c.leaked
				leaked.Since -= float64(begin-p.begin) / 1e9
				fresh.leaked = &leaked
			}
			q.open[id] = &fresh
			q.pids[c.pid] = true
		}
		q.fill(n, begin)
		q.mark(n, begin)
	}
	return n
}

func (p *Pools) pool(k key) *pool {
	q := p.byKey[k]
	if q == nil {
		q = &pool{
			key: k, open: map[uint64]*connection{}, waits: map[string]*recording.PoolWait{},
			held: map[holder]*held{}, pids: map[uint32]bool{},
		}
		p.byKey[k] = q
	}
	return q
}

// Apply takes one change.
func (p *Pools) Apply(c request.Connection) {
	k := key{c.Peer, c.Streams}
	if len(p.byKey) >= maxPools && p.byKey[k] == nil {
		k.peer.Address = other // a target that calls the whole world has no pool worth a name
	}
	q := p.pool(k)
	switch c.Change { // its begin is in the past, and the connections of then are known
	case request.Waited:
		w := q.wait(c.Endpoint)
		w.Waited++
		w.Observe(float64(c.End-c.Time) / 1e9)
		w.Unsure += float64(c.Unsure) / 1e9
		q.waited(p, c)
		return
	case request.TimedOut:
		q.timeouts++
		q.wait(c.Endpoint).TimedOut++
		q.waited(p, c)
		return
	}
	q.fill(p, c.Time)
	conn := q.open[c.ID]
	if conn == nil && c.Change != request.Closed {
		if len(q.open) == maxConns {
			q.dropped++
			return
		}
		conn = &connection{pid: c.PID}
		q.open[c.ID] = conn
		if len(q.pids) < maxPIDs {
			q.pids[c.PID] = true
		}
	}
	switch c.Change {
	case request.Opened:
		q.created(c.Made)
	case request.Closed:
		if conn != nil {
			q.settle(conn, c.Time)
			q.inUse -= conn.calls
			delete(q.open, c.ID)
		}
	case request.Busy:
		q.acquire(conn, c)
	case request.Free:
		q.release(conn, c)
	case request.Limit:
		q.toldLimit = c.N
	case request.Leaked:
		conn.leaked = &recording.Leak{Endpoint: c.Endpoint, Operation: c.Operation, Unread: c.Unread, Since: float64(c.Time-p.begin) / 1e9}
	case request.Returned:
		conn.leaked = nil
	}
	q.mark(p, c.Time)
}

func (q *pool) created(m request.Made) {
	if m.Total <= 0 {
		return
	}
	q.creates++
	q.create.Observe(float64(m.Total) / 1e9)
	for _, part := range []struct {
		dist *recording.Dist
		ns   int64
	}{{&q.parts.Lookup, m.Lookup}, {&q.parts.TCP, m.TCP}, {&q.parts.TLS, m.TLS}} {
		if part.ns > 0 {
			part.dist.Observe(float64(part.ns) / 1e9)
		}
	}
}

func (q *pool) wait(endpoint string) *recording.PoolWait {
	w := q.waits[endpoint]
	if w == nil {
		w = &recording.PoolWait{Endpoint: endpoint}
		q.waits[endpoint] = w
	}
	return w
}

func (q *pool) acquire(conn *connection, c request.Connection) {
	q.settle(conn, c.Time)
	if conn.calls > 0 && !q.key.streams { // its release was not seen
		q.inUse -= conn.calls
		conn.calls, conn.by = 0, nil
	}
	if conn.by == nil {
		conn.by = map[holder]int{}
	}
	conn.by[holder{c.Endpoint, c.Operation}]++
	conn.calls++
	q.inUse++
	if c.Watched {
		q.wait(c.Endpoint).Acquisitions++
	}
}

// release gives one call's place back; where it is not told whose, that of any.
func (q *pool) release(conn *connection, c request.Connection) {
	q.settle(conn, c.Time)
	if conn.calls == 0 {
		return
	}
	by := holder{c.Endpoint, c.Operation}
	if conn.by[by] == 0 {
		by = slices.MinFunc(slices.Collect(maps.Keys(conn.by)), func(a, b holder) int {
			return cmp.Or(cmp.Compare(a.endpoint, b.endpoint), cmp.Compare(a.operation, b.operation))
		})
	}
	if conn.by[by]--; conn.by[by] == 0 {
		delete(conn.by, by)
	}
	conn.calls--
	q.inUse--
}

// waited notes who waited meanwhile, and for whom.
func (q *pool) waited(p *Pools, c request.Connection) {
	q.blame(c.Time, c.End)
	if q.key.streams {
		q.seenLimit = max(q.seenLimit, q.inUseMax) // the stream that was waited for has just ended
	} else {
		q.seenLimit = max(q.seenLimit, len(q.open))
	}
	q.waiting.add(p.begin, c.Time, c.End)
}

// fill writes the seconds until a time, in which nothing changed, as the last change left them.
func (q *pool) fill(p *Pools, at int64) {
	i := int((at - p.begin) / 1e9)
	if at < p.begin || i >= maxTicks {
		return
	}
	for len(q.ticks) <= i {
		q.ticks = append(q.ticks, tick{len(q.open), q.inUse})
	}
}

// mark keeps the largest figures of the second.
func (q *pool) mark(p *Pools, at int64) {
	q.openMax, q.inUseMax = max(q.openMax, len(q.open)), max(q.inUseMax, q.inUse)
	i := int((at - p.begin) / 1e9)
	if at < p.begin || i >= len(q.ticks) {
		return
	}
	t := &q.ticks[i]
	t.open, t.inUse = max(t.open, len(q.open)), max(t.inUse, q.inUse)
}

// State is a pool at a moment.
type State struct {
	Peer               request.Peer
	Streams            bool
	Open, InUse, Limit int
	Pending            int // at the last second: waits are known when they end
	Leaked             int // of the open ones
	Creates, Timeouts  int64
}

// Now returns the pools as they are.
func (p *Pools) Now(at int64) []State {
	var out []State
	for _, q := range p.sorted() {
		limit, _ := q.limit()
		s := State{Peer: q.key.peer, Streams: q.key.streams, Open: len(q.open), InUse: q.inUse, Limit: limit, Leaked: q.leaked(), Creates: q.creates, Timeouts: q.timeouts, Pending: q.waiting.pending(at - 1e9)}
		out = append(out, s)
	}
	return out
}

func (p *Pools) sorted() []*pool {
	out := make([]*pool, 0, len(p.byKey))
	for _, q := range p.byKey {
		out = append(out, q)
	}
	slices.SortFunc(out, func(a, b *pool) int {
		return cmp.Or(cmp.Compare(a.key.peer.System, b.key.peer.System), cmp.Compare(a.key.peer.Address, b.key.peer.Address))
	})
	return out
}

// limit is the largest number that can be in use, and how that is known.
func (q *pool) limit() (n int, basis string) {
	switch {
	case q.key.streams && q.toldLimit > 0:
		return q.toldLimit * max(1, len(q.open)), "the server's MAX_CONCURRENT_STREAMS"
	case q.seenLimit > 0 && q.key.streams:
		return q.seenLimit, "in use at most, while others waited"
	case q.seenLimit > 0 && len(q.pids) > 1:
		return q.seenLimit, fmt.Sprintf("open while others waited, %d processes together", len(q.pids))
	case q.seenLimit > 0:
		return q.seenLimit, "open while others waited"
	}
	return 0, "never reached"
}

// Recording returns the pools' facts up to a time.
func (p *Pools) Recording(end int64) []recording.Pool {
	out := []recording.Pool{}
	for _, q := range p.sorted() {
		r := recording.Pool{
			Peer: q.key.peer.System, Address: q.key.peer.Address, Unit: "connections",
			OpenMax: q.openMax, InUseMax: q.inUseMax, Creates: q.creates, Timeouts: q.timeouts, Create: q.create.Clone(), CreateParts: q.parts.Clone(),
			Waits: []recording.PoolWait{}, Holders: []recording.Holder{},
		}
		if q.key.streams {
			r.Unit = "streams"
		}
		r.Limit, r.LimitBasis = q.limit()
		for _, w := range q.waits {
			c := *w
			c.Dist = w.Clone()
			r.Waits = append(r.Waits, c)
		}
		slices.SortFunc(r.Waits, func(a, b recording.PoolWait) int { return cmp.Compare(a.Endpoint, b.Endpoint) })
		r.Holders = q.holders(end)
		r.Leaks = q.leaks()
		r.Timeline, r.WaitersMax = q.timeline(p.begin, end)
		if q.dropped > 0 {
			r.Extra = map[string]any{"dropped": q.dropped}
		}
		out = append(out, r)
	}
	return out
}

func (q *pool) leaked() (n int) {
	for _, c := range q.open {
		if c.leaked != nil {
			n++
		}
	}
	return n
}

// leaks are the connections that were never given back, by when they were taken.
func (q *pool) leaks() (out []recording.Leak) {
	for _, c := range q.open {
		if c.leaked != nil {
			out = append(out, *c.leaked)
		}
	}
	slices.SortFunc(out, func(a, b recording.Leak) int {
		return cmp.Or(cmp.Compare(a.Since, b.Since), cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Operation, b.Operation))
	})
	return out
}

// timeline puts the waiters of each second beside what was open and in use.
func (q *pool) timeline(begin, end int64) ([]recording.PoolTick, int) {
	n := min(int((end-begin)/1e9)+1, maxTicks)
	out := make([]recording.PoolTick, max(0, n))
	for i := range out {
		out[i].T = float64(i)
		t := tick{len(q.open), q.inUse}
		if i < len(q.ticks) {
			t = q.ticks[i]
		}
		out[i].Open, out[i].InUse = t.open, t.inUse
	}
	seconds := make([]int, len(out))
	most := q.waiting.peaks(begin, seconds)
	for i, n := range seconds {
		out[i].Waiting = n
	}
	return out, most
}
