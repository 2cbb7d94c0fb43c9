package stack

import (
	"context"
	"math"
	"time"

	"go.opentelemetry.io/ebpf-profiler/libpf"
	"go.opentelemetry.io/ebpf-profiler/reporter/samples"
	"go.opentelemetry.io/ebpf-profiler/tracer"

	"github.com/ragscope/ragscope/internal/ktime"
)

// Samples is the queue of samples, in the order in which they left the kernel: ascending by
// time within a CPU, within a quarter of a second over all. It is closed by Close. When nobody
// reads, samples are dropped and counted.
func (s *Sampler) Samples() <-chan Sample { return s.samples }

// handle gives each trace to the unwinder for symbolising, until ctx ends. A nil trace says
// that the ring buffer was read to its end.
func (s *Sampler) handle(ctx context.Context, unwind *tracer.Tracer, entry *entry, traces <-chan *libpf.EbpfTrace) {
	for {
		select {
		case trace := <-traces:
			if trace == nil {
				ticks, _ := entry.counts()
				s.drained(ticks)
				s.giveUp(ktime.Monotonic() - int64(time.Second))
				continue
			}
			s.received.Add(1)
			s.current.Store(trace)
			unwind.HandleTrace(trace) // calls ReportTraceEvent before it returns
		case <-unwind.Done():
			s.opts.Logger.Error("the stack unwinder stopped; there will be no more stacks")
			return
		case <-ctx.Done():
			drain(traces)
			s.giveUp(math.MaxInt64)
			return
		}
	}
}

// drain takes what the unwinder still sends, because its reader does not look at the context
// while it waits to hand over a trace. It polls every 250 ms.
func drain(traces <-chan *libpf.EbpfTrace) {
	quiet := time.NewTimer(300 * time.Millisecond)
	defer quiet.Stop()
	for {
		select {
		case <-traces:
		case <-quiet.C:
			return
		}
	}
}

// ReportTraceEvent is called by the unwinder from within HandleTrace; it implements
// reporter.TraceReporter.
func (s *Sampler) ReportTraceEvent(trace *libpf.Trace, meta *samples.TraceEventMeta) error {
	pid := uint32(meta.PID)
	frames, truncated := s.frames.frames(pid, trace)
	if truncated {
		s.truncated.Add(1)
	}
	if !s.opts.KeepPlumbing {
		frames = Fold(frames)
	}
	if truncated { // whose outermost frame it is, is not known
		frames = append(frames, Frame{Function: CutOff})
	}
	sample := Sample{
		PID: pid, TID: uint32(meta.TID),
		Time:   s.current.Load().KTime, // meta has only its translation to wall time
		Kind:   CPU,
		Frames: frames, Truncated: truncated,
	}
	sample.Value = s.periods.at(sample.Time)
	switch p := meta.ProfileType; {
	case p == nil:
	case p.SampleType == sleepType:
		sample.Kind, sample.Value = OffCPU, 0 // how long it will sleep is not known yet
	case p.SampleType == faultType:
		sample.Kind, sample.Value = Alloc, s.bytes(s.faults.taken, sample.TID, sample.Time)
	case p.SampleType == sleptType:
		sample.Kind = OffCPU
		sample.Sleep, sample.Slept, sample.Value = slept(meta.Value, meta.SpanID, sample.Time)
		if sample.Value == 0 {
			return nil // it was taken to meet the process
		}
		sample.Frames = sample.Sleep.above(sample.Frames)
	case p.SampleType == allocType:
		sample.Kind, sample.Value = Malloc, s.bytes(s.allocs.takings(), sample.TID, sample.Time)
	}
	s.send(sample)
	return nil
}

func (s *Sampler) send(sample Sample) {
	select {
	case s.samples <- sample:
	default:
		s.queueFull.Add(1)
	}
}
