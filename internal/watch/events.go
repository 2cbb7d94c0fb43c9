package watch

import (
	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/recording/collect"
	"github.com/ragscope/ragscope/internal/request"
	"github.com/ragscope/ragscope/internal/stack"
)

// push takes an event off the ring buffer.
func (w *Watcher) push(e *event.Event) {
	if e.Type == event.Listen { // for us, not for the heart
		w.fresh.listens.Store(true)
		w.fresh.call()
		return
	}
	w.mu.Lock()
	w.sequence.Push(e)
	w.asked(e)
	w.mu.Unlock()
	w.pushed, w.newest = true, max(w.newest, e.Time)
	if w.events != nil {
		if err := w.events.Write(e); err != nil {
			w.log.Warn("raw events are no longer written", "error", err)
			w.events = nil
		}
	}
}

// release feeds the heart with everything that is old enough to be in order: by the clock where the
// buffer was read to its end, else by the newest event, for what comes next may be hardly younger.
func (w *Watcher) release(drained bool) {
	t := now().mono
	until := t
	if !drained {
		until = min(t, w.newest)
	}
	var full uint64
	if w.pushed { // else the buffer was empty, and nothing was lost
		full = w.kernel.Full()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pushed && full != w.full {
		w.full = full
		w.tracker.Lost(w.released, t)
	}
	w.pushed, w.released = false, t
	w.sequence.Release(until-request.Hold, w.tracker.Feed)
	w.tracker.Pass(until - request.Hold)
	if w.joiner != nil {
		w.joiner.Advance(until)
		w.attributeUntil(until - int64(stack.DefaultHold))
	}
	if w.culprits != nil {
		w.culprits.Advance(until)
	}
}

// sink hands what the heart found to everything that wants it. It is called under mu.
type sink struct{ w *Watcher }

// each stretch that is measured now.
func (w *Watcher) each(fn func(*collect.Collector)) {
	fn(w.total)
	fn(w.recent[0])
	fn(w.recent[1])
	for x := range w.windows {
		fn(x.collector)
	}
}

// cut brings all stretches up to date and begins the next slice. It comes before a stretch begins, ends or is read.
func (w *Watcher) cut() {
	w.each(func(c *collect.Collector) { c.Absorb(w.slice) })
	w.slice = collect.New(now().mono, nil)
}

// gather tells the stretches of what happened at a time or began then: the slice, which they will absorb, or each of
// them, which knows whether it had begun, where the slice had not.
func (w *Watcher) gather(at int64, fn func(*collect.Collector)) {
	if at >= w.slice.Begin() {
		fn(w.slice)
	} else {
		w.each(fn)
	}
}

func (s sink) Request(r *request.Request) {
	s.w.gather(r.Last, func(c *collect.Collector) { c.Request(r) })
	if s.w.opts.Allocations > 0 {
		s.w.asking.end(r)
	}
	if m := s.w.opts.Metrics; m != nil {
		m.Observe(s.w.service, r)
	}
	if s.w.lines != nil {
		s.w.lines.Write(r)
	}
}

func (s sink) Call(k *request.Call) {
	s.w.gather(k.LastRead, func(c *collect.Collector) { c.Call(k) })
	if m := s.w.opts.Metrics; m != nil {
		m.ObserveCall(s.w.service, k)
	}
}

func (s sink) Connection(k request.Connection) {
	s.w.each(func(c *collect.Collector) { c.Connection(k) })
}

func (s sink) Lag(l request.Lag) {
	s.w.gather(l.First(), func(c *collect.Collector) { c.Lag(l) })
	if m := s.w.opts.Metrics; m != nil {
		m.ObserveLag(s.w.service, l)
	}
}

// Block waits for the stacks that tell which function it was.
func (s sink) Block(b request.Block) {
	tell := func(function string) {
		s.w.gather(b.End, func(c *collect.Collector) { c.Block(b, function) })
		if m := s.w.opts.Metrics; m != nil {
			m.ObserveBlock(s.w.service, b, function)
		}
	}
	if s.w.culprits == nil {
		tell("")
		return
	}
	s.w.culprits.Ask(stack.Stretch{PID: b.PID, TID: b.TID, Start: b.Start, End: b.End}, tell)
}
