package stack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ragscope/ragscope/bpf"
	"github.com/ragscope/ragscope/internal/ktime"
)

const (
	// DefaultAllocShare is what watching allocations may cost, of the target's CPU. A call of malloc traps, which takes
	// twenty times as long as the call, so that a busy process is watched for a part of the time.
	DefaultAllocShare = 0.1
	// allocTrial is how long the calls are counted before anybody knows their price.
	allocTrial = 100 * time.Millisecond
	// allocWindow is how long the probes stay, at least, once they are in place. Each time the processor's
	// instructions are changed and changed back.
	allocWindow = 50 * time.Millisecond
	// allocPause is the longest time without them.
	allocPause = 5 * time.Second
)

// AllocOptions say how allocations are watched.
type AllocOptions struct {
	For       time.Duration
	Share     float64             // of the target's CPU that it may cost; 0: DefaultAllocShare
	TrapPrice float64             // seconds of the target's CPU, as measured on this machine
	Before    func(AllocForecast) // is told what it would cost, after the trial; nil: nobody is
}

// AllocForecast is what the trial says.
type AllocForecast struct {
	Calls   float64 // a second
	Price   float64 // seconds of the target's CPU a call
	Share   float64 // of the target's own CPU, if it were watched all the time; 0 where that was not measured
	Watched float64 // share of the time that the bound allows
}

// Span is a stretch of time, in nanoseconds on CLOCK_MONOTONIC.
type Span struct{ Begin, End int64 }

// Allocations are what was watched. The bytes themselves are samples of kind Malloc.
type Allocations struct {
	AllocForecast
	Spans   []Span        // in which the probes were in place
	Watched time.Duration // their sum
	Elapsed time.Duration
	Calls   uint64
	Bytes   uint64
	Cost    float64  // seconds of the target's CPU
	Of      float64  // what the target took meanwhile, without Cost
	Notes   []string // what is not seen
}

// ErrNoAllocations is returned where allocations cannot be watched now.
var ErrNoAllocations = errors.New("allocations cannot be watched")

// Allocations watches where the processes of SetPIDs ask allocators for memory, until ctx ends or for a time. It
// returns what was watched also where it fails on the way. One call at a time.
func (s *Sampler) Allocations(ctx context.Context, opts AllocOptions) (*Allocations, error) {
	s.asking.Lock()
	defer s.asking.Unlock()
	s.mu.Lock()
	pids, running := s.pids, s.entry != nil
	s.mu.Unlock()
	if !running {
		return nil, fmt.Errorf("%w: the stack sampler is not running", ErrNoAllocations)
	}
	if s.allocs.why != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAllocations, s.allocs.why)
	}
	if err := s.allocs.prepare(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAllocations, err)
	}
	notes, err := s.allocs.aim(pids)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAllocations, err)
	}
	if opts.Share <= 0 {
		opts.Share = DefaultAllocShare
	}
	stats, err := keepRunTimes()
	if err != nil {
		return nil, fmt.Errorf("%w: the time that it takes cannot be measured: %w", ErrNoAllocations, err)
	}
	defer stats.Close()
	w := &allocWatch{allocs: s.allocs, opts: opts, pids: pids, begun: ktime.Monotonic(), cpu: cpuSeconds(pids), ran: s.allocs.ran()}
	w.out.Notes = notes
	w.calls, w.bytes = s.allocs.count(bpf.AllocAllocCountALLOC_CALLS), s.allocs.count(bpf.AllocAllocCountALLOC_BYTES)
	err = w.run(ctx)
	return &w.out, err
}

// allocWatch is one run.
type allocWatch struct {
	allocs *allocs
	opts   AllocOptions
	pids   []int
	out    Allocations

	begun        int64   // CLOCK_MONOTONIC, ns
	cpu, ran     float64 // of the target and of the program, when it began
	calls, bytes uint64
}

// run alternates between windows, in which allocations are watched, and the pauses that they must be paid with.
func (w *allocWatch) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.opts.For)
	defer cancel()
	length := allocTrial
	for ctx.Err() == nil {
		if err := w.window(ctx, length); err != nil {
			return err
		}
		length = allocWindow
		sleep(ctx, pause(w.out.Cost, w.out.Of, w.out.Elapsed, w.opts.Share))
		w.account()
	}
	return nil
}

// window has the probes in place for a while, and for as long as the bound allows.
func (w *allocWatch) window(ctx context.Context, length time.Duration) error {
	if err := w.allocs.attach(); err != nil {
		return fmt.Errorf("%w: %w", ErrNoAllocations, err)
	}
	begin := ktime.Monotonic()
	for {
		sleep(ctx, length)
		w.account()
		if w.out.Calls > 0 && w.out.Price == 0 {
			w.forecast(time.Duration(ktime.Monotonic() - begin))
		}
		if ctx.Err() != nil || pause(w.out.Cost, w.out.Of, w.out.Elapsed, w.opts.Share) > 0 {
			break
		}
	}
	end := ktime.Monotonic()
	err := w.allocs.detach()
	w.account()
	w.out.Spans = append(w.out.Spans, Span{Begin: begin, End: end})
	w.out.Watched += time.Duration(end - begin)
	return err
}

// account brings the sums up to date.
func (w *allocWatch) account() {
	o := &w.out
	o.Elapsed = time.Duration(ktime.Monotonic() - w.begun)
	o.Calls = w.allocs.count(bpf.AllocAllocCountALLOC_CALLS) - w.calls
	o.Bytes = w.allocs.count(bpf.AllocAllocCountALLOC_BYTES) - w.bytes
	o.Cost = float64(o.Calls)*w.opts.TrapPrice + w.allocs.ran() - w.ran
	o.Of = max(0, cpuSeconds(w.pids)-w.cpu-o.Cost)
}

// forecast is made once, of the first window with a call in it.
func (w *allocWatch) forecast(watched time.Duration) {
	o := &w.out
	o.Price = o.Cost / float64(o.Calls)
	o.AllocForecast.Calls = float64(o.Calls) / watched.Seconds()
	o.AllocForecast.Watched = 1
	if o.Of > 0 {
		o.Share = o.Cost / o.Of
		o.AllocForecast.Watched = min(1, w.opts.Share/o.Share)
	}
	if w.opts.Before != nil {
		w.opts.Before(o.AllocForecast)
	}
}

// pause is how long nothing may be watched, until what it cost is no more than a share of what the target took and
// goes on taking at the same rate.
func pause(cost, of float64, elapsed time.Duration, share float64) time.Duration {
	owed := cost - share*of
	if owed <= 0 {
		return 0
	}
	rate := share * of / elapsed.Seconds()
	if rate <= 0 {
		return allocPause
	}
	return min(allocPause, time.Duration(owed/rate*float64(time.Second)))
}

func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
