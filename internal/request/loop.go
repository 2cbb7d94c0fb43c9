package request

import (
	"maps"
	"slices"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// An event loop turns: it asks the kernel what is ready, runs the callbacks, asks again. Whatever
// becomes ready meanwhile waits until the turn is over. Two things are told of it:
//
//   - its lag: how late a timer of the loop would have been that is due every LagEvery. Weighing by
//     time, not by turns, is what makes a turn of 200 ms count among thousands of short ones;
//   - its blocks: each turn of more than BlockFrom, with whose code ran for most of it.
//
// A turn begins when the thread comes out of epoll, be it that it slept there or not. Where the calls
// of epoll are not told (Loop), a turn ends with a sleep in it, or with the read of a client's bytes
// that came after the turn had begun: the loop must have asked in between. Turns are then too long
// rather than too short.

// LagEvery is how far the timers that measure the lag are apart, in ns.
const LagEvery = 10_000_000

// BlockFrom is the length of a turn from which it is told as a block, in ns.
const BlockFrom = 50_000_000

// maxIdle bounds the timers of one sleep: 5 minutes. A loop that does nothing for longer has no
// lag worth counting.
const maxIdle = 30_000

// Lag is what N timers of an event loop that were due one after the other saw, the last of them
// at Time: how late they were, in ns.
type Lag struct {
	Time int64
	Late int64
	N    int
}

// First is when the first of the timers was due.
func (l Lag) First() int64 { return l.Time - int64(l.N-1)*LagEvery }

// Block is a turn of an event loop that took long.
type Block struct {
	PID, TID   uint32
	Start, End int64
	Endpoint   string // whose contexts ran for most of it; "": nobody's, or not known
	Asleep     int64  // ns of it in a call that sleeps
	Queued     int64  // ns of it in which the thread could run and had no CPU
}

// turns follows the event loop of a thread.
type turns struct {
	serves bool  // it reads what clients send: other threads that poll are no event loop
	told   bool  // each call of epoll is told
	start  int64 // of the current turn; 0: not known
	asleep int64 // of it
	queued int64 // of it
	due    int64 // of the next timer; 0: none was
}

// asked ends the turn: the loop asks what is ready.
func (t *Tracker) asked(th *thread, e *event.Event) {
	th.turns.told = true
	t.turned(th, e.TID, e.Time)
}

// polled is a sleep in epoll from one time to another.
func (t *Tracker) polled(th *thread, e *event.Event) {
	l := &th.turns
	if !l.told {
		t.turned(th, e.TID, e.Arrive)
	}
	if l.serves && l.due != 0 && !t.gaps.within(l.due, e.Time) {
		n := 0
		for ; l.due <= e.Time && n < maxIdle; l.due += LagEvery {
			n++
		}
		if n > 0 {
			t.sink.Lag(Lag{Time: l.due - LagEvery, N: n})
		}
	}
	l.begin(e.Time)
}

// read notes that the thread reads a client's bytes.
func (t *Tracker) read(th *thread, e *event.Event) {
	l := &th.turns
	delete(t.starting, e.PID)
	l.serves = l.serves || t.opts.EventLoop == nil || t.opts.EventLoop(e.PID)
	if !l.told && l.start != 0 && e.Arrive > l.start {
		t.turned(th, e.TID, e.Time)
		l.begin(e.Time)
	}
}

// off notes that the thread was off its CPU, for another reason than epoll.
func (l *turns) off(e *event.Event) {
	if e.Arrive < l.start {
		return
	}
	woken := int64(e.Other)
	switch {
	case e.Has(event.Preempted):
		woken = e.Arrive
	case woken < e.Arrive || woken > e.Time: // not told
		woken = e.Time
	}
	l.queued += e.Time - woken
	if !e.Has(event.Preempted) && !e.Has(event.GIL) {
		l.asleep += woken - e.Arrive
	}
}

func (l *turns) begin(at int64) {
	l.start, l.asleep, l.queued = at, 0, 0
	if l.due <= at {
		l.due = at - at%LagEvery + LagEvery
	}
}

// turned tells of the turn that ends now.
func (t *Tracker) turned(th *thread, tid uint32, at int64) {
	l := &th.turns
	if l.start == 0 || !l.serves || at <= l.start || t.gaps.within(l.start, at) {
		l.begin(at)
		return
	}
	for n := 0; l.due <= at && n < maxIdle; n++ {
		t.sink.Lag(Lag{Time: l.due, Late: at - l.due, N: 1})
		l.due += LagEvery
	}
	if at-l.start >= BlockFrom {
		t.sink.Block(Block{
			PID: th.pid, TID: tid, Start: l.start, End: at, Asleep: l.asleep, Queued: l.queued, Endpoint: th.history.most(l.start, at),
		})
	}
	l.begin(at)
}

// most returns whose steps took the most of a stretch, "" where nobody's are known.
func (h *history) most(from, to int64) string {
	sums := map[string]int64{}
	for s := range h.spans.Newest() {
		if s.end <= from {
			break
		}
		sums[s.endpoint] += min(s.end, to) - max(s.start, from)
	}
	best := ""
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		if best == "" || sums[name] > sums[best] {
			best = name
		}
	}
	return best
}
