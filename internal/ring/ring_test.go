package ring

import (
	"slices"
	"testing"
)

func TestRing(t *testing.T) {
	var r Ring[int]
	const limit = 3
	for n, want := range [][]int{nil, {1}, {2, 1}, {3, 2, 1}, {4, 3, 2}, {5, 4, 3}, {6, 5, 4}, {7, 6, 5}} {
		if n > 0 {
			r.Push(n, limit)
		}
		var got []int
		for v := range r.Newest() {
			got = append(got, *v)
		}
		if !slices.Equal(got, want) {
			t.Errorf("after %d: newest first %v, want %v", n, got, want)
		}
		all := slices.Sorted(slices.Values(r.All()))
		slices.Reverse(all)
		if !slices.Equal(all, want) {
			t.Errorf("after %d: all %v, want %v", n, all, want)
		}
		if oldest, dropped := r.Dropped(limit); dropped != (n >= limit) || dropped && oldest != want[limit-1] {
			t.Errorf("after %d: oldest %d, dropped %t", n, oldest, dropped)
		}
	}
}

func TestNewestStops(t *testing.T) {
	var r Ring[int]
	for n := range 5 {
		r.Push(n, 4)
	}
	for v := range r.Newest() {
		if *v != 4 {
			t.Fatalf("went on to %d", *v)
		}
		break
	}
}
