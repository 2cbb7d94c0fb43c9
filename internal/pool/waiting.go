package pool

import (
	"cmp"
	"slices"
)

// waiting are the waits for a pool's connections: how many waited at once, by second and at most.
// The newest are kept one by one, those before are folded into their seconds.
type waiting struct {
	kept []interval // in the order in which they were told, which is about that of their ends
	by   []int      // at most, in each second since the begin, of those that are folded
	most int        // of those
}

type interval struct{ from, to int64 }

// maxWaiting is how many are kept one by one: 2 MB, and 13 s of 10,000 waits a second. A wait that
// is told when those beside its begin are folded already counts without them, so longer waits at such
// a rate may be fewer at once than they were.
const maxWaiting = 1 << 17

func (w *waiting) add(begin, from, to int64) {
	if len(w.kept) == maxWaiting {
		w.fold(begin)
	}
	w.kept = append(w.kept, interval{from, to})
}

// fold makes room: the older half counts in its seconds only from now on.
func (w *waiting) fold(begin int64) {
	last := begin
	for _, k := range w.kept {
		last = max(last, k.to)
	}
	seconds := make([]int, max(len(w.by), min(int((last-begin)/1e9)+1, maxTicks)))
	w.most = w.peaks(begin, seconds)
	w.by = seconds
	w.kept = append(w.kept[:0], w.kept[maxWaiting/2:]...)
}

// peaks raises each second to how many waited at once in it, and returns how many did at most.
func (w *waiting) peaks(begin int64, seconds []int) int {
	for i := range min(len(w.by), len(seconds)) {
		seconds[i] = max(seconds[i], w.by[i])
	}
	type edge struct {
		at    int64
		delta int
	}
	edges := make([]edge, 0, 2*len(w.kept))
	for _, k := range w.kept {
		edges = append(edges, edge{k.from, 1}, edge{k.to, -1})
	}
	slices.SortFunc(edges, func(a, b edge) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.delta, b.delta))
	})
	most, now, second := w.most, 0, 0
	for _, e := range edges {
		i := int((e.at - begin) / 1e9)
		for ; second < i && second < len(seconds); second++ { // who waits on into the next seconds
			seconds[second] = max(seconds[second], now)
		}
		before := now
		now += e.delta
		most = max(most, now)
		if i >= 0 && i < len(seconds) {
			seconds[i] = max(seconds[i], before, now)
		}
	}
	return most
}

// pending is how many waited at a time.
func (w *waiting) pending(at int64) (n int) {
	for i := len(w.kept) - 1; i >= 0 && w.kept[i].to > at-1e9; i-- {
		if k := w.kept[i]; k.from <= at && at < k.to {
			n++
		}
	}
	return n
}
