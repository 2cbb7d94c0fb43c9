// Package ring keeps the newest values of a stream.
//
// In: values, one after the other. Out: the newest of them, up to a limit. It is pure and not
// safe for concurrent use.
package ring

import "iter"

// Ring holds the newest values. The zero value is empty and ready to use.
type Ring[T any] struct {
	kept []T
	next int // where the oldest is, once as many are kept as may be
}

// Push adds the newest value; where limit values are kept, the oldest goes. The limit of one Ring
// stays the same.
func (r *Ring[T]) Push(v T, limit int) {
	if len(r.kept) < limit {
		r.kept = append(r.kept, v)
		return
	}
	r.kept[r.next] = v
	r.next = (r.next + 1) % limit
}

// All returns what is kept, in any order. It is valid until the next Push.
func (r *Ring[T]) All() []T { return r.kept }

// Newest goes from the newest value to the oldest that is kept.
func (r *Ring[T]) Newest() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		n := len(r.kept)
		for i := range n {
			if !yield(&r.kept[(r.next-1-i+2*n)%n]) {
				return
			}
		}
	}
}

// Dropped reports whether values may have gone, and which is the oldest that is kept then.
func (r *Ring[T]) Dropped(limit int) (oldest T, dropped bool) {
	if len(r.kept) < limit {
		return oldest, false
	}
	return r.kept[r.next], true
}
