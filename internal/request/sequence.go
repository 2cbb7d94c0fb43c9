package request

import (
	"slices"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// Sequence puts events in time order. The ring buffer keeps the order in which CPUs reserved
// their places, the time was taken a little before; so events are held back for Hold and
// sorted as they come. Those that come later still are passed on and counted.
type Sequence struct {
	held  []event.Event
	bytes []byte // backs the held events' captured bytes
	spare []byte // what backed those before
	done  int64  // everything up to here was released
	Late  uint64
}

// Hold is how long an event may be under way between its time and its place, in ns.
const Hold = 20_000_000

// Push copies the event.
func (s *Sequence) Push(e *event.Event) {
	if e.Time < s.done {
		s.Late++
	}
	c := *e
	n := len(s.bytes)
	s.bytes = append(append(s.bytes, e.Head...), e.Tail...)
	c.Head = s.bytes[n : n+len(e.Head) : n+len(e.Head)]
	c.Tail = s.bytes[n+len(e.Head) : len(s.bytes) : len(s.bytes)]
	i := len(s.held)
	for i > 0 && s.held[i-1].Time > c.Time { // almost all come in order, the others are a few places late
		i--
	}
	s.held = slices.Insert(s.held, i, c)
}

// Release hands over the held events up to a time, in order.
func (s *Sequence) Release(until int64, fn func(*event.Event)) {
	n := 0
	for n < len(s.held) && s.held[n].Time <= until {
		fn(&s.held[n])
		n++
	}
	s.done = max(s.done, until)
	s.keep(n)
}

// keep drops the first n events and moves what is left to the other buffer.
func (s *Sequence) keep(n int) {
	if n == 0 {
		return
	}
	to := s.spare[:0]
	rest := s.held[:0]
	for _, e := range s.held[n:] {
		k := len(to)
		to = append(append(to, e.Head...), e.Tail...)
		head := k + len(e.Head)
		e.Head, e.Tail = to[k:head:head], to[head:len(to):len(to)]
		rest = append(rest, e)
	}
	s.held, s.bytes, s.spare = rest, to, s.bytes
}
