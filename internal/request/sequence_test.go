package request

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// Events that reach us at most Hold after their time come out in order, with their bytes.
func TestSequenceSortsBoundedDisorder(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		type due struct {
			at int64 // when it comes off the ring buffer
			e  event.Event
		}
		var queue []due
		for i := range 200 {
			at := rng.Int64N(200_000_000)
			e := event.Event{Time: at, Sock: uint64(i), Head: []byte(fmt.Sprintf("head %d", i)), Tail: []byte(fmt.Sprintf("tail %d", i))[:rng.IntN(6)]}
			queue = append(queue, due{at + rng.Int64N(Hold), e})
		}
		slices.SortFunc(queue, func(a, b due) int { return cmp.Compare(a.at, b.at) })
		var s Sequence
		var got []uint64
		last := int64(-1)
		check := func(e *event.Event) {
			if e.Time < last {
				t.Fatalf("seed %d: event of %d after one of %d", seed, e.Time, last)
			}
			last = e.Time
			if want := fmt.Sprintf("head %d", e.Sock); string(e.Head) != want {
				t.Fatalf("seed %d: bytes %q, want %q", seed, e.Head, want)
			}
			if want := fmt.Sprintf("tail %d", e.Sock); !bytes.HasPrefix([]byte(want), e.Tail) {
				t.Fatalf("seed %d: last bytes %q, want a beginning of %q", seed, e.Tail, want)
			}
			got = append(got, e.Sock)
		}
		for i, d := range queue {
			raw := d.e
			raw.Head = bytes.Clone(d.e.Head) // the ring buffer's bytes change after Push
			s.Push(&raw)
			clear(raw.Head)
			if rng.IntN(5) == 0 {
				s.Release(queue[i].at-Hold, check)
			}
		}
		s.Release(1<<62, check)
		slices.Sort(got)
		if len(got) != 200 || got[0] != 0 || got[199] != 199 || len(slices.Compact(got)) != 200 {
			t.Fatalf("seed %d: %d events came out of 200", seed, len(got))
		}
		if s.Late != 0 {
			t.Fatalf("seed %d: %d events counted as late", seed, s.Late)
		}
	}
}

func TestSequence(t *testing.T) {
	var s Sequence
	var got []string
	note := func(e *event.Event) { got = append(got, fmt.Sprint(e.Time, string(e.Head))) }
	push := func(at int64, text string) { s.Push(&event.Event{Time: at, Head: []byte(text)}) }
	push(30, "c")
	push(10, "a")
	push(20, "b1")
	push(20, "b2") // clock tie: in the order in which they came
	s.Release(20, note)
	if want := []string{"10a", "20b1", "20b2"}; !slices.Equal(got, want) {
		t.Fatalf("released %v, want %v", got, want)
	}
	push(15, "late")
	if s.Late != 1 {
		t.Errorf("late events counted: %d, want 1", s.Late)
	}
	push(40, "d")
	s.Release(100, note)
	if want := []string{"10a", "20b1", "20b2", "15late", "30c", "40d"}; !slices.Equal(got, want) {
		t.Errorf("released %v, want %v: a late event is passed on, and as early as can be", got, want)
	}
	s.Release(200, note)
	if len(got) != 6 {
		t.Errorf("an event came twice: %v", got)
	}
}

// What is held is bounded by what is under way, not by what has passed.
func TestSequenceMemory(t *testing.T) {
	var s Sequence
	body := make([]byte, 1000)
	for i := range int64(100_000) {
		s.Push(&event.Event{Time: i * 10_000, Head: body})
		if i%1000 == 0 {
			s.Release(i*10_000-Hold, func(*event.Event) {})
		}
	}
	if n := cap(s.bytes) + cap(s.spare); n > 32<<20 {
		t.Errorf("%d MB are kept for 20 ms of events", n>>20)
	}
}
