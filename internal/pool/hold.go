package pool

import (
	"cmp"
	"slices"

	"github.com/ragscope/ragscope/internal/recording"
)

// holder is a kind of call that has connections.
type holder struct{ endpoint, operation string }

// held is how long it had them, in seconds.
type held struct {
	seconds float64 // of each connection
	delayed float64 // of others' waits: each instant of a wait is shared among those who held one then
}

// hold is a stretch in which a connection carried n calls of a holder.
type hold struct {
	by       holder
	n        int
	from, to int64
}

// maxHolds bounds the look back of a wait; a longer one is shared among the newest of them.
const maxHolds = 1 << 10

// during calls fn for the stretches that ended after a time, the newest first.
func (q *pool) during(from int64, fn func(hold)) {
	for x := range q.holds.Newest() {
		if x.to <= from {
			return
		}
		fn(*x)
	}
}

func (q *pool) holder(by holder) *held {
	h := q.held[by]
	if h == nil {
		h = &held{}
		q.held[by] = h
	}
	return h
}

// settle credits the holders for the time until now.
func (q *pool) settle(conn *connection, at int64) {
	if at <= conn.reckon {
		return
	}
	for by, n := range conn.by {
		q.holder(by).seconds += float64(at-conn.reckon) / 1e9 * float64(n)
		q.holds.Push(hold{by, n, conn.reckon, at}, maxHolds)
	}
	conn.reckon = at
}

// blame shares a wait among those who held connections meanwhile.
func (q *pool) blame(from, to int64) {
	shares := map[holder]float64{}
	total := 0.0
	share := func(x hold) {
		if ns := min(x.to, to) - max(x.from, from); ns > 0 {
			shares[x.by] += float64(ns) * float64(x.n)
			total += float64(ns) * float64(x.n)
		}
	}
	q.during(from, share)
	for _, c := range q.open {
		for by, n := range c.by {
			share(hold{by, n, c.reckon, to})
		}
	}
	for by, s := range shares {
		q.holder(by).delayed += float64(to-from) / 1e9 * s / total
	}
}

// holders adds up by endpoint, with what is held until a time.
func (q *pool) holders(end int64) []recording.Holder {
	all := map[holder]held{}
	for by, h := range q.held {
		all[by] = *h
	}
	for _, c := range q.open {
		for by, n := range c.by {
			h := all[by]
			h.seconds += float64(max(0, end-c.reckon)) / 1e9 * float64(n)
			all[by] = h
		}
	}
	out := []recording.Holder{}
	for by, h := range all {
		i := slices.IndexFunc(out, func(o recording.Holder) bool { return o.Endpoint == by.endpoint })
		if i < 0 {
			i = len(out)
			out = append(out, recording.Holder{Endpoint: by.endpoint})
		}
		o := &out[i]
		o.Seconds += h.seconds
		o.DelayedSeconds += h.delayed
		o.Operations = append(o.Operations, recording.Held{Operation: by.operation, Seconds: h.seconds, DelayedSeconds: h.delayed})
	}
	for _, o := range out {
		slices.SortFunc(o.Operations, func(a, b recording.Held) int {
			return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(a.Operation, b.Operation))
		})
	}
	slices.SortFunc(out, func(a, b recording.Holder) int {
		return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(a.Endpoint, b.Endpoint))
	})
	return out
}
