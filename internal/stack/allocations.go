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
	// allocTrial is how much of the process's own time is watched before anybody knows what a call costs. What was asked
	// for meanwhile is not told, as the window's end is not known well.
	allocTrial = 20 * time.Millisecond
	// … and as often, where there were few calls: their price is not known better then.
	allocTrialCalls = 1000
	allocTrialMost  = 500 * time.Millisecond
	// allocWindow is how long a window is, of the process's own time, and allocStall is what its traps may take at
	// most, as far as that was foreseen: a service that answers ten times slower should not do so for long.
	allocWindow = 50 * time.Millisecond
	allocStall  = 500 * time.Millisecond
	// allocBefore is for how long is looked, at least, what the target takes before calls trap.
	allocBefore = 300 * time.Millisecond
	// allocPoll is how often is looked whether a window is over. Until then calls trap for nothing.
	allocPoll = 5 * time.Millisecond
	// allocPause is the longest time without a window.
	allocPause = 5 * time.Second
	// allocProgram is what the program behind a trap takes, until it was measured.
	allocProgram = 500 * time.Nanosecond
)

// AllocOptions say how allocations are watched.
type AllocOptions struct {
	For       time.Duration
	Share     float64             // of the target's CPU that it may cost; 0: DefaultAllocShare
	TrapPrice float64             // seconds of the target's CPU, as measured on this machine
	Before    func(AllocForecast) // is told what it would cost, after the trial; nil: nobody is
	Runs      func([]AllocRun)    // is told all bytes that threads with contexts asked for; nil: nobody is
}

// AllocRun is what a thread asked for from Time on in one context, in one go. Whose that was is known by its thread and time, as of
// a stack.
type AllocRun struct {
	PID, TID uint32
	Time     int64 // CLOCK_MONOTONIC, ns
	Bytes    int64
}

// AllocForecast is what the trial says.
type AllocForecast struct {
	Calls   float64 // a second
	Price   float64 // seconds of the target's CPU a call
	Share   float64 // of the target's own CPU, if it were watched all the time; 0 where that was not measured
	Watched float64 // share of the time that the bound allows
}

// AllocWindow is a stretch in which the calls of a process were watched, in nanoseconds on CLOCK_MONOTONIC. How long
// it is was fixed in the process's own time, that is without what its traps took.
type AllocWindow struct {
	PID        uint32
	Begin, End int64
	Own        int64 // of it, without what the traps took
}

// Allocations are what was watched. The bytes themselves are in AllocOptions.Runs, their stacks are samples of kind Malloc.
type Allocations struct {
	AllocForecast
	Windows []AllocWindow
	Watched time.Duration // in which some process was
	Elapsed time.Duration
	Calls   uint64   // that trapped
	Bytes   uint64   // asked for in the windows
	Untold  uint64   // of them, those in no run, for want of room
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
	w := &allocWatch{allocs: s.allocs, opts: opts, pids: pids, begun: ktime.Monotonic(), cpu: cpuSeconds(pids)}
	if err := s.allocs.prepare(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAllocations, err)
	}
	notes, err := s.allocs.aim(pids)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAllocations, err)
	}
	if opts.Share <= 0 {
		w.opts.Share = DefaultAllocShare
	}
	stats, err := keepRunTimes()
	if err != nil {
		return nil, fmt.Errorf("%w: the time that it takes cannot be measured: %w", ErrNoAllocations, err)
	}
	defer stats.Close()
	w.out.Notes = notes
	w.ran = s.allocs.ran()
	w.calls = s.allocs.count(bpf.AllocAllocCountALLOC_CALLS)
	err = w.run(ctx)
	return &w.out, err
}

// allocWatch is one run.
type allocWatch struct {
	allocs *allocs
	opts   AllocOptions
	pids   []int
	out    Allocations

	begun         int64   // CLOCK_MONOTONIC, ns: before the programs were loaded
	cpu, ran      float64 // of the target then, and of the program, in seconds
	calls         uint64
	tried         bool          // the trial is over
	bytes, untold uint64        // counted by then
	own           time.Duration // of the process's own time in windows, and
	paid          time.Duration // what its traps took in them, as one process has it
	cost          float64       // all that those windows cost
}

// run alternates between windows, in which allocations are watched, and the pauses that they must be paid with.
func (w *allocWatch) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.opts.For)
	defer cancel()
	err := w.trial(ctx)
	for err == nil && ctx.Err() == nil {
		if owed := pause(w.out.Cost, w.out.Of, w.out.Elapsed, w.opts.Share); owed > 0 {
			err = w.leave()
			sleep(ctx, owed)
			w.account()
			continue
		}
		err = w.window(ctx)
	}
	err = errors.Join(err, w.leave())
	w.account()
	return err
}

// leave takes the probes away, and what threads are in the midst of.
func (w *allocWatch) leave() error {
	err := w.allocs.detach()
	w.tell(append(w.allocs.runs(), w.allocs.rest()...))
	return err
}

// trial finds out what a call costs.
func (w *allocWatch) trial(ctx context.Context) error {
	sleep(ctx, allocBefore-time.Duration(ktime.Monotonic()-w.begun))
	w.account()
	rate := w.out.Of / w.out.Elapsed.Seconds()
	if err := w.allocs.attach(); err != nil {
		return fmt.Errorf("%w: %w", ErrNoAllocations, err)
	}
	for begin := ktime.Monotonic(); ctx.Err() == nil && (w.out.Calls == 0 || w.out.Calls < allocTrialCalls && ktime.Monotonic()-begin < int64(allocTrialMost)); {
		if err := w.open(ctx, allocTrial); err != nil {
			return err
		}
		w.shut()
	}
	w.tried = true
	_, _ = w.allocs.runs(), w.allocs.rest() // of the trial, not told
	w.bytes, w.untold = w.allocs.count(bpf.AllocAllocCountALLOC_BYTES), w.allocs.count(bpf.AllocAllocCountALLOC_NOT_TOLD)
	if w.out.Calls > 0 {
		w.forecast(rate)
	}
	return nil
}

// window watches for a while.
func (w *allocWatch) window(ctx context.Context) error {
	if err := w.allocs.attach(); err != nil {
		return fmt.Errorf("%w: %w", ErrNoAllocations, err)
	}
	err := w.open(ctx, w.affordable(allocWindow))
	var longest int64
	for _, x := range w.shut() {
		longest = max(longest, x.End-x.Begin)
		w.out.Windows = append(w.out.Windows, x)
	}
	w.out.Watched += time.Duration(longest)
	w.tell(w.allocs.runs())
	return err
}

// affordable is a length of which the traps will take no more than allocStall.
func (w *allocWatch) affordable(length time.Duration) time.Duration {
	if w.paid == 0 {
		return length
	}
	return min(length, time.Duration(float64(allocStall)*float64(w.own)/float64(w.paid)))
}

// costs is what so much of the processes' own time will cost, in seconds of the target's CPU, as all windows before say.
func (w *allocWatch) costs(own time.Duration) float64 {
	if w.own == 0 {
		return 0
	}
	return w.cost / w.own.Seconds() * own.Seconds()
}

// open opens a window for every process and waits until all are over. As long as it is paid for, it goes on after that.
func (w *allocWatch) open(ctx context.Context, length time.Duration) error {
	price := w.opts.TrapPrice*1e9 + float64(allocProgram)
	if w.out.Calls > 0 {
		price = w.out.Cost / float64(w.out.Calls) * 1e9
	}
	if err := w.allocs.open(length, time.Duration(price)); err != nil {
		return err
	}
	for ctx.Err() == nil {
		first, last := w.allocs.left()
		if last <= 0 {
			return nil
		}
		if first > 0 && first <= length/2 && w.tried {
			more := w.affordable(min(2*length, time.Second))
			if w.account(); pause(w.out.Cost+w.costs(length+more), w.out.Of, w.out.Elapsed, w.opts.Share) == 0 {
				length = more
				if err := w.allocs.extend(length); err != nil {
					return err
				}
			}
		}
		sleep(ctx, allocPoll)
		w.tell(w.allocs.runs())
	}
	return nil
}

// shut ends what open began.
func (w *allocWatch) shut() []AllocWindow {
	windows, own, paid := w.allocs.shut()
	w.account()
	w.own, w.paid, w.cost = w.own+own, w.paid+paid, w.out.Cost
	return windows
}

// tell hands runs on.
func (w *allocWatch) tell(runs []AllocRun) {
	if len(runs) > 0 && w.opts.Runs != nil && w.tried {
		w.opts.Runs(runs)
	}
}

// account brings the sums up to date.
func (w *allocWatch) account() {
	o := &w.out
	o.Elapsed = time.Duration(ktime.Monotonic() - w.begun)
	o.Calls = w.allocs.count(bpf.AllocAllocCountALLOC_CALLS) - w.calls
	if w.tried {
		o.Bytes = w.allocs.count(bpf.AllocAllocCountALLOC_BYTES) - w.bytes
		o.Untold = w.allocs.count(bpf.AllocAllocCountALLOC_NOT_TOLD) - w.untold
	}
	o.Cost = float64(o.Calls)*w.opts.TrapPrice + w.allocs.ran() - w.ran
	o.Of = max(0, cpuSeconds(w.pids)-w.cpu-o.Cost)
}

// forecast is made once, of the trial. The target took so many cores before.
func (w *allocWatch) forecast(cores float64) {
	o := &w.out
	o.Price = o.Cost / float64(o.Calls)
	o.AllocForecast.Calls = float64(o.Calls) / w.own.Seconds()
	o.AllocForecast.Watched = 1
	if cores > 0 {
		o.Share = o.AllocForecast.Calls * o.Price / cores
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
