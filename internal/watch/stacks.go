package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ragscope/ragscope/internal/export/flame"
	"github.com/ragscope/ragscope/internal/export/pprofile"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/stack"
	"github.com/ragscope/ragscope/internal/web"
)

func durationOf(ns int64) time.Duration { return time.Duration(ns) }

// loadSampler begins to load the unwinder: seconds, that go by beside the rest of the start and, as a rule, beyond it.
func (w *Watcher) loadSampler(ctx context.Context) {
	if w.opts.CPUHz == 0 && !w.opts.Memory {
		return
	}
	sampler := w.newSampler()
	go sampler.Load(ctx)
}

// dropSampler leaves a sampler that may still be loading to itself.
func (w *Watcher) dropSampler() {
	if s := w.sampler.Swap(nil); s != nil {
		go func() { _ = s.Close() }() // nobody is left to be told
	}
}

// startStacks prepares what samples go to.
func (w *Watcher) startStacks() {
	sampler := w.sampler.Load()
	if sampler == nil {
		w.stackWhy = "switched off"
		return
	}
	w.introduce(sampler)
	w.stackWhy = "the stack sampler is still loading"
	w.tallies = map[stack.Kind]*stack.Tally{
		stack.Alloc:  stack.NewTally(stack.Alloc, 0, w.begin.wall),
		stack.Malloc: stack.NewTally(stack.Malloc, 0, w.begin.wall),
	}
	w.idle = map[string]stack.Sleeps{}
	w.joiner = stack.NewJoiner(labeler{w}, stack.DefaultHold, w.joined)
	if w.memoryOnly() {
		return
	}
	w.tallies[stack.CPU] = stack.NewTally(stack.CPU, sampler.Period(), w.begin.wall)
	w.tallies[stack.OffCPU] = stack.NewTally(stack.OffCPU, 0, w.begin.wall)
	w.culprits = stack.NewCulprits(stack.DefaultHold)
}

// memoryOnly says that no stacks are taken but those of memory.
func (w *Watcher) memoryOnly() bool { return w.opts.CPUHz == 0 && w.opts.Memory }

// timesWhy is why there are no stacks of the CPU and of sleeps, "" where there are. Called under mu.
func (w *Watcher) timesWhy() string {
	if w.memoryOnly() {
		return ofMemoryOnly
	}
	return w.stackWhy
}

const ofMemoryOnly = "stacks are taken of memory alone"

func (w *Watcher) newSampler() *stack.Sampler {
	s := stack.NewSampler(stack.Options{Hz: w.opts.CPUHz, MemoryOnly: w.memoryOnly(), KeepPlumbing: w.opts.Raw, Lines: w.opts.Lines, Logger: w.log})
	w.sampler.Store(s)
	return s
}

// introduce tells a sampler what the hooks share with it, and of which processes.
func (w *Watcher) introduce(s *stack.Sampler) {
	s.Share(stack.Shared{Maps: w.kernel.Maps(), Switches: w.kernel.Switches()})
	s.SetPIDs(w.pids())
}

// PauseStacks takes no stacks until it is told otherwise or the target's processes change. It is for measuring what they cost.
func (w *Watcher) PauseStacks(pause bool) {
	s := w.sampler.Load()
	switch {
	case s == nil:
	case pause:
		s.SetPIDs(nil)
	default:
		s.SetPIDs(w.pids())
	}
}

// joined takes a sample with its endpoint. It is called under mu.
func (w *Watcher) joined(endpoint string, s stack.Sample) {
	if w.idles(endpoint, &s) {
		return
	}
	w.tallies[s.Kind].Add(endpoint, s)
	switch s.Kind {
	case stack.Alloc:
		w.allocated(endpoint, s)
	case stack.OffCPU:
		w.slept(endpoint, s)
	case stack.Malloc:
		if w.pythons[s.PID] == nil { // its bytes are in no run
			w.tallies[s.Kind].Know(endpoint, s.Value)
		}
	}
}

// loadStacks starts the sampler. Loading it asks the kernel for much at once and now and then
// fails where the next try succeeds, so there is one.
func (w *Watcher) loadStacks(ctx context.Context) error {
	err := w.startSampler(ctx)
	if err == nil || ctx.Err() != nil {
		return err
	}
	w.log.Warn("the stack sampler did not load, it is tried once more", "error", err)
	if err := w.sampler.Load().Close(); err != nil {
		w.log.Debug("close the sampler that did not load", "error", err)
	}
	select {
	case <-ctx.Done():
		return errNotLoaded
	case <-time.After(secondTry):
	}
	sampler := w.newSampler()
	w.introduce(sampler)
	return w.startSampler(ctx)
}

var errNotLoaded = errors.New("the time was over before the stack sampler was loaded")

// startSampler starts the sampler, or leaves it when ctx ends: loading takes seconds in the kernel
// that cannot be interrupted, and nobody who ends the agent should wait for them. What is left
// closes itself when it has loaded, or ends with the process.
func (w *Watcher) startSampler(ctx context.Context) error {
	s := w.sampler.Load()
	loaded := make(chan error)
	go func() {
		err := s.Start(ctx)
		select {
		case loaded <- err:
		case <-ctx.Done():
			_ = s.Close() // nobody is left to be told
		}
	}()
	select {
	case err := <-loaded:
		return err
	case <-ctx.Done():
		w.sampler.Store(nil)
		return errNotLoaded
	}
}

const secondTry = 3 * time.Second

// runStacks feeds the joiner until ctx ends; tried is called when the start is over, with stacks or without.
func (w *Watcher) runStacks(ctx context.Context, tried func()) {
	err := w.loadStacks(ctx)
	tried()
	w.stacksBegan(err)
	if err != nil {
		return
	}
	w.log.Info("stacks are sampled", "hz", w.opts.CPUHz, "since the start", time.Since(w.begin.wall).Seconds())
	for {
		select {
		case <-ctx.Done():
			return // what is held is told when the last events are, see Run
		case s, ok := <-w.sampler.Load().Samples():
			if !ok {
				return
			}
			w.mu.Lock()
			if w.tallies[s.Kind] != nil && s.Value > 0 {
				w.joiner.Add(s)
			}
			if w.culprits != nil {
				w.culprits.Sample(s)
			}
			w.mu.Unlock()
		}
	}
}

// stacksBegan says that stacks are taken from now on, or why not.
func (w *Watcher) stacksBegan(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.stackWhy = err.Error()
		if !errors.Is(err, errNotLoaded) {
			w.log.Warn("no stacks", "error", err)
		}
		return
	}
	w.stackWhy = ""
	w.stacksFrom = now()
	for kind, t := range w.tallies {
		if kind != stack.Malloc { // is watched when it is asked for
			t.Begin(w.stacksFrom.wall)
		}
	}
}

// withoutStacks says what of a stretch passed before stacks were taken. Called under mu.
func (w *Watcher) withoutStacks(begin, end int64) []recording.NotMeasured {
	from := w.stacksFrom.mono
	if w.sampler.Load() == nil || w.stackWhy != "" || from <= begin {
		return nil
	}
	return []recording.NotMeasured{{
		What: fmt.Sprintf(recording.StacksBefore+"%.1f s of %.1f s", float64(min(from, end)-begin)/1e9, float64(end-begin)/1e9),
		Why:  "the stack sampler was still loading: profiles cover the time from then on",
	}}
}

// Stacks are how many were taken and the seconds of the target's CPU that this took, as last read.
func (w *Watcher) Stacks() (n uint64, seconds float64) {
	if !w.sampling() {
		return 0, 0
	}
	n = w.sampler.Load().Received()
	w.mu.Lock()
	defer w.mu.Unlock()
	return n, w.slow.last.stacks
}

// Tally returns the samples of a kind, nil where it is not sampled.
func (w *Watcher) Tally(kind stack.Kind) *stack.Tally {
	if kind == stack.OffCPU && w.offCPUWhy() != "" {
		return nil
	}
	return w.tallies[kind]
}

// offCPUWhy is why sleeps are not sampled by a clock, "" where they are or will be.
func (w *Watcher) offCPUWhy() string {
	if s := w.sampler.Load(); s != nil && s.OffCPUWhy() != nil {
		return s.OffCPUWhy().Error()
	}
	return ""
}

// whyNot is why there is no profile of a kind, "" where there is one.
func (w *Watcher) whyNot(kind stack.Kind) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.stackWhy != "":
		return w.stackWhy
	case w.tallies[kind] == nil && w.memoryOnly():
		return ofMemoryOnly
	case w.tallies[kind] == nil:
		return "not sampled yet"
	case kind == stack.Alloc:
		return w.allocationsWhy()
	case kind == stack.OffCPU:
		return w.offCPUWhy()
	case kind == stack.Malloc && w.allocs == nil:
		return "watched only while agent memory --allocations asks for it"
	}
	return ""
}

// Profiles says of each kind whether it is sampled.
func (w *Watcher) Profiles() (states []web.ProfileState) {
	for _, kind := range stack.Kinds {
		states = append(states, web.ProfileState{Kind: kind.String(), Why: w.whyNot(kind), Note: kind.Sees()})
	}
	return states
}

// Profile writes out the samples of a kind since the agent attached.
func (w *Watcher) Profile(_ context.Context, p web.Profile) ([]byte, error) {
	kind, known := stack.ParseKind(p.Kind)
	if !known {
		return nil, fmt.Errorf("%w: there is no profile %q; it is one of %v", web.ErrNotMeasured, p.Kind, stack.Kinds)
	}
	if why := w.whyNot(kind); why != "" {
		return nil, fmt.Errorf("%w: %s: %s", web.ErrNotMeasured, kind, why)
	}
	total := w.tallies[kind].Total(time.Now())
	if p.Endpoint != "" {
		total = total.Of(p.Endpoint)
	}
	if p.Stacks > 0 {
		total = total.Largest(p.Stacks)
	}
	var out bytes.Buffer
	if p.Format == web.SVG {
		err := flame.Write(&out, total, flame.Options{Title: w.service, Subtitle: kind.Sees(), Empty: "no sample was taken"})
		return out.Bytes(), err
	}
	err := pprofile.Build(total).Write(&out)
	return out.Bytes(), err
}
