package kernel

import (
	"context"
	"time"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// How often the ring buffer is emptied: nothing wakes us for single events. At 20,000 requests a second a tenth of it
// is filled then; a target that is idle is looked at less often, until it no longer is.
const (
	PollEvery = 20 * time.Millisecond
	PollIdle  = 100 * time.Millisecond
)

// idlePolls is how many polls in a row find nothing before the target counts as idle.
const idlePolls = 10

// batch is how many events are read at most before those that are old enough are let go on: a ring
// buffer that is filled faster than it is read is never empty, and what is held would grow without end.
const batch = 4096

// Read hands every event to fn until ctx ends, in the order of the ring buffer, and calls
// idle whenever the buffer was read to its end, and after every batch where it was not. The event and its bytes are valid only during the call.
func (k *Kernel) Read(ctx context.Context, fn func(e *event.Event), idle func(drained bool)) {
	every := time.NewTimer(0)
	defer every.Stop()
	quiet := 0
	for {
		n := k.drain(fn)
		idle(n < batch)
		if n == batch && ctx.Err() == nil {
			continue
		}
		if quiet++; n > 0 {
			quiet = 0
		}
		if quiet < idlePolls {
			every.Reset(PollEvery)
		} else {
			every.Reset(PollIdle)
		}
		select {
		case <-ctx.Done():
			k.last(fn, idle)
			return
		case <-every.C:
		}
	}
}

// lastBatches is how many batches are read at the end: more than the ring buffer holds, not more than a
// target that goes on can fill meanwhile.
const lastBatches = 64

// last reads what came until the end.
func (k *Kernel) last(fn func(e *event.Event), idle func(drained bool)) {
	for range lastBatches {
		n := k.drain(fn)
		idle(n < batch)
		if n < batch {
			return
		}
	}
}

// drain reads what is there, a batch at most, and returns how much it was.
func (k *Kernel) drain(fn func(e *event.Event)) (n int) {
	var e event.Event
	for n < batch {
		record := k.reader.next()
		if record == nil {
			return n
		}
		n++
		if err := event.Decode(record, &e); err != nil {
			k.mu.Lock()
			k.undecoded++
			k.mu.Unlock()
			continue
		}
		fn(&e)
	}
	return n
}
