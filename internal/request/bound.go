package request

import (
	compare "cmp"
	"slices"
)

// What is remembered of connections and threads is bounded: their ends may be among lost
// events, and threads do not tell theirs. When there is no room, those that were quiet the longest
// make it; a connection that speaks again is then one joined midway.
const (
	maxConnections = 1 << 15
	maxThreads     = 1 << 12
)

// quietest returns the keys of an eighth of m, those whose last sign of life is the oldest.
func quietest[K compare.Ordered, V any](m map[K]V, seen func(V) int64) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b K) int { return compare.Or(compare.Compare(seen(m[a]), seen(m[b])), compare.Compare(a, b)) })
	return keys[:len(keys)/8]
}

// makeRoom is called before a connection or a thread is added.
func (t *Tracker) makeRoom() {
	if len(t.in) >= maxConnections {
		for _, id := range quietest(t.in, func(c *inbound) int64 { return c.seen }) {
			t.abandon(t.in[id], t.in[id].seen, "more than 32,768 connections: it is no longer followed")
			delete(t.in, id)
			t.lose("inbound", "connection forgotten for lack of room")
		}
	}
	if len(t.out) >= maxConnections {
		for _, id := range quietest(t.out, func(c *outbound) int64 { return c.seen }) {
			t.closeOutbound(t.out[id], t.out[id].seen, "no longer followed: more than 32,768 connections")
			t.lose("outbound", "connection forgotten for lack of room")
		}
	}
	if len(t.threads) >= maxThreads {
		for _, tid := range quietest(t.threads, func(th *thread) int64 { return th.seen }) {
			t.opened(t.threads[tid])
			delete(t.threads, tid)
		}
	}
}

// sorted returns the keys of m, so that the same events give the same facts in the same order.
func sorted[K compare.Ordered, V any](m map[K]V) []K {
	return sortedBy(m, func(V) bool { return true })
}

// sortedBy returns those of which want holds.
func sortedBy[K compare.Ordered, V any](m map[K]V, want func(V) bool) []K {
	var keys []K
	for k, v := range m {
		if want(v) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}
