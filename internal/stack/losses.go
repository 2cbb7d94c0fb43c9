package stack

import (
	"context"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/ebpf-profiler/metrics"
	"go.opentelemetry.io/ebpf-profiler/times"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// Reasons of Sampler.Lost.
const (
	LostQueueFull  = "queue_full"        // the reader of Samples was too slow
	LostNotEntered = "not_entered"       // the clock fired but the unwinder could not be entered
	LostNotUnwound = "not_unwound"       // entered, but no stack came out: process still unknown, ring buffer full
	LostRingFull   = "ring_full"         // of not_unwound: the ring buffer was full
	LostEvents     = "events_lost"       // the unwinder missed that a process or mapping appeared
	LostSleeps     = "sleeps"            // of an event loop in a call, beyond 50 a second and CPU: they have no name
	LostUnreadable = "object_unreadable" // an object's file was gone with its process, so its functions have no names
	LostRefused    = "symbols_refused"   // an object's compressed symbols were damaged, or would take too much to unpack
	LostTruncated  = "truncated"         // the stack is there, but not to its end
)

// unwinderLosses maps the unwinder's own counters to our reasons.
var unwinderLosses = map[string]string{
	"bpf.errors.ringbuf_output":           LostRingFull,
	"agent.errors.trace_event_read_error": LostRingFull,
	"agent.errors.perf_event_lost":        LostEvents,
	"bpf.errors.pid_events":               LostEvents,
}

// unwinderCounts are the unwinder's counters. Its metrics are global to the process, and so
// are these; a Sampler remembers what they were when it started.
var unwinderCounts = func() map[string]*atomic.Uint64 {
	counts := map[string]*atomic.Uint64{}
	for _, reason := range unwinderLosses {
		counts[reason] = new(atomic.Uint64)
	}
	return counts
}()

// startGlobals starts what the unwinder keeps once per process: its metrics, which come here
// instead of going to an OpenTelemetry SDK, and its clock.
var startGlobals = sync.OnceFunc(func() {
	metrics.Start(lossMeter{})
	// Only translates sample times to wall time, which nobody here uses: once is enough.
	times.StartRealtimeSync(context.Background(), 0)
})

// lossMeter is an OpenTelemetry meter that keeps only the counters of unwinderLosses.
type lossMeter struct{ noop.Meter }

func (m lossMeter) Int64Counter(name string, options ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	if reason, ok := unwinderLosses[name]; ok {
		return lossCounter{count: unwinderCounts[reason]}, nil
	}
	return m.Meter.Int64Counter(name, options...)
}

type lossCounter struct {
	noop.Int64Counter
	count *atomic.Uint64
}

func (c lossCounter) Add(_ context.Context, n int64, _ ...metric.AddOption) {
	if n > 0 {
		c.count.Add(uint64(n))
	}
}

// drained compares, each time the ring buffer is empty, the clock's ticks with the stacks that
// came of them. Ticks of the last quarter of a second may still be on their way, so those of
// the drain before are compared: what is missing now is lost.
func (s *Sampler) drained(ticks uint64) {
	received := s.received.Load()
	if s.ticksBefore > received+s.notUnwound.Load() {
		s.notUnwound.Store(s.ticksBefore - received)
	}
	s.ticksBefore = ticks
}

// Lost counts, by reason, what was not sampled, or not in full. LostRingFull explains a part of
// LostNotUnwound, the others do not overlap; LostNotUnwound may lag by the samples of a
// quarter of a second.
func (s *Sampler) Lost() map[string]uint64 {
	lost := map[string]uint64{
		LostQueueFull:  s.queueFull.Load(),
		LostTruncated:  s.truncated.Load(),
		LostNotUnwound: s.notUnwound.Load(),
	}
	lost[LostUnreadable], lost[LostRefused], _ = s.symbols.missing()
	s.mu.Lock()
	defer s.mu.Unlock()
	lost[LostNotEntered] = s.notEntered
	if s.entry != nil {
		_, lost[LostNotEntered] = s.entry.counts()
		lost[LostSleeps] = s.entry.asleep.skipped()
	}
	for reason, before := range s.lossesBefore { // none before Start
		lost[reason] = unwinderCounts[reason].Load() - before
	}
	return lost
}

// Nameless are objects of the watched processes whose native functions have no names, because their
// files have no symbols.
func (s *Sampler) Nameless() []string {
	_, _, nameless := s.symbols.missing()
	return nameless
}

// Received is how many stacks came out of the kernel.
func (s *Sampler) Received() uint64 { return s.received.Load() }
