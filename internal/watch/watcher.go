package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ragscope/ragscope/internal/backend"
	"github.com/ragscope/ragscope/internal/export/metrics"
	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/memory"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/recording/collect"
	"github.com/ragscope/ragscope/internal/request"
	"github.com/ragscope/ragscope/internal/stack"
	"github.com/ragscope/ragscope/internal/target"
)

// Options of a Watcher.
type Options struct {
	Selector    target.Selector
	Service     string           // "": derived from the target
	Precision   kernel.Precision // at most
	Budget      float64          // of the target's CPU that the hooks may cost, 0.02 for 2 %
	OpenAPI     bool             // ask the target for its route templates
	CPUHz       int              // CPU samples a second, 0: no stacks of the CPU and of sleeps
	Memory      bool             // take stacks of memory also where CPUHz is 0
	Census      bool             // count what Python's containers hold, near the begin and at the end
	MemoryLimit uint64           // what the target's memory is held against, in bytes; 0: none
	Raw         bool             // keep the interpreter's own frames in stacks
	Lines       bool             // tell the lines of functions apart in stacks
	Allocations time.Duration    // how long calls of allocators are watched, once stacks are sampled; 0: not at all
	Forecast    func(string)     // is told what that costs, before it goes on
	Credentials backend.Credentials
	Metrics     *metrics.Metrics // nil: none
	Requests    io.Writer        // one JSON line a request, nil: none
	Events      io.Writer        // every event as event.Writer records it, for tests of the heart; nil: none
	Log         *slog.Logger
}

// Watcher watches one target.
type Watcher struct {
	opts    Options
	events  *event.Writer // nil: not recorded
	log     *slog.Logger
	target  *target.Target
	service string
	host    recording.Host
	kernel  *kernel.Kernel
	memory  *memory.Sampler
	poller  *backend.Poller
	sampler atomic.Pointer[stack.Sampler]
	begin   moment
	tls     map[int]tlsLook // by pid; see followTLS

	mu       sync.Mutex // of what follows: the heart and what it feeds
	tracker  *request.Tracker
	sequence request.Sequence
	released int64  // when events were last released
	pushed   bool   // events since then; push's and release's
	newest   int64  // time of the newest event read, CLOCK_MONOTONIC in ns; push's and release's
	full     uint64 // events that had found no room by then
	router   *target.Router
	pythons  map[uint32]*target.Python
	runtimes map[uint32]target.Runtime // of those that are not CPython
	settled  map[uint32]struct{}       // of them, those that were inspected while they served
	fresh    fresh
	total    *collect.Collector
	recent   [2]*collect.Collector // two overlapping stretches of the last minute
	slice    *collect.Collector    // what came since the last cut: of all stretches
	windows  map[*window]bool
	lines    *collect.Lines
	tallies  map[stack.Kind]*stack.Tally // of the kinds that are sampled; fixed at start
	idle     map[string]stack.Sleeps     // that were sampled and belong to no profile, by reason
	joiner   *stack.Joiner
	culprits *stack.Culprits // nil: no stacks are sampled

	slow       slowFacts
	census     *censuses              // nil: none is taken
	cgroup     *recording.MemoryLimit // nil: none is known
	cgroupWhy  error                  // why not
	stackWhy   string                 // why there are no stacks; guarded by mu
	stacksFrom moment                 // since when there are; guarded by mu
	notes      []recording.NotMeasured
	precision  governor
	stackRate  rate      // the ticker's
	warned     bool      // that the budget does not allow the precision asked for; the ticker's
	hopeless   bool      // that it does not even allow the cheapest
	ending     time.Time // since when no more requests are followed; zero: they are, or full precision is not there; the ticker's
	lost       error     // why the target is not there now
	away       away
	looked     int64                  // when the target was last seen there, CLOCK_MONOTONIC in ns
	allocs     *recording.Allocations // what calls of allocators were watched; nil: none; guarded by mu
	allocsWhy  string                 // why none were
	runs       []stack.AllocRun       // whose endpoints are not known yet
	asking     asking                 // what requests asked allocators for
	early      uint64                 // of them, those whose endpoints were asked for too early
	allocating atomic.Bool            // calls of allocators are watched now
}

// moment is an instant on three clocks.
type moment struct {
	wall time.Time
	mono int64 // CLOCK_MONOTONIC, ns: the clock of the events
	boot int64 // CLOCK_BOOTTIME, ns: the clock of the starts of processes
}

// Start finds the target and attaches to it. It returns once every hook that can be attached
// is. The caller must Close the Watcher.
func Start(ctx context.Context, opts Options) (*Watcher, error) {
	found, err := opts.Selector.Find()
	if err != nil {
		return nil, err
	}
	found.Changed() // from here on
	w := &Watcher{
		opts: opts, log: opts.Log, target: found, service: opts.Service, host: describeHost(),
		poller: backend.NewPoller(opts.Credentials), pythons: map[uint32]*target.Python{}, runtimes: map[uint32]target.Runtime{}, settled: map[uint32]struct{}{}, fresh: newFresh(), tls: map[int]tlsLook{},
		windows: map[*window]bool{}, router: target.LearnRouter(), notes: alwaysMissing(),
	}
	if w.service == "" {
		w.service = found.Service
	}
	if opts.Events != nil {
		w.events = event.NewWriter(opts.Events)
	}
	w.loadSampler(ctx)
	if w.kernel, err = kernel.Load(opts.Log); err != nil {
		w.dropSampler()
		return nil, err
	}
	w.kernel.SetPrecision(opts.Precision)
	w.precision = governor{budget: opts.Budget, most: opts.Precision}
	if err := w.kernel.ServePort(found.Port); err != nil {
		w.dropSampler()
		w.kernel.Close()
		return nil, err
	}
	w.begin = now()
	w.released, w.looked = w.begin.mono, w.begin.mono
	w.memory = memory.NewSampler(w.begin.wall, w.arena)
	w.tracker = request.New(request.Options{Endpoint: w.endpoint, Late: w.late, EventLoop: w.eventLoop}, sink{w})
	w.tracker.Turn(follows[opts.Precision], w.begin.mono)
	w.total = collect.New(w.begin.mono, nil)
	w.recent[0], w.recent[1] = collect.New(w.begin.mono, nil), collect.New(w.begin.mono, nil)
	w.slice = collect.New(w.begin.mono, nil)
	if opts.Requests != nil {
		w.lines = collect.NewLines(opts.Requests)
	}
	for _, p := range found.Processes {
		w.attach(p)
		w.settled[uint32(p.PID)] = struct{}{}
	}
	w.fetchRoutes(ctx)
	w.startStacks()
	w.lookAtLimit()
	w.slow.first = w.read(ctx)
	w.slow.last = w.slow.first
	return w, nil
}

func (w *Watcher) attach(p target.Process) {
	py, err := target.InspectPython(p.PID)
	var other target.Runtime
	switch {
	case errors.Is(err, target.ErrNotPython):
		other = target.InspectRuntime(p.PID)
		for _, m := range missingOf(other) {
			w.note(m.What, fmt.Sprintf("process %d (%s) is %s: %s", p.PID, p.Name, other, m.Why))
		}
	case err != nil:
		w.note("links between requests and calls, pool waits, on_cpu", fmt.Sprintf("process %d: %v", p.PID, err))
		py = nil
	default:
		for _, n := range py.Notes {
			w.log.Info("about the target", "pid", p.PID, "note", n)
		}
	}
	w.mu.Lock()
	w.pythons[uint32(p.PID)] = py
	w.runtimes[uint32(p.PID)] = other
	w.mu.Unlock()
	if err := w.kernel.Watch(p.PID, py); err != nil {
		w.log.Warn("a process of the target is not watched", "pid", p.PID, "error", err)
		w.note("process", fmt.Sprintf("%d is not watched: %v", p.PID, err))
		return
	}
	w.followTLS(p.PID)
}

// note adds what is not measured, once.
func (w *Watcher) note(what, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.notes {
		if n.What == what && n.Why == why {
			return
		}
	}
	if len(w.notes) < 64 {
		w.notes = append(w.notes, recording.NotMeasured{What: what, Why: why})
	}
}

// alwaysMissing is what no run of this version measures.
func alwaysMissing() []recording.NotMeasured {
	return []recording.NotMeasured{
		{What: "off-CPU time of a sleep that has not ended", Why: "a sleep is sampled where the thread runs again"},
	}
}

func (w *Watcher) fetchRoutes(ctx context.Context) {
	if !w.opts.OpenAPI {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	r, err := w.target.FetchRouter(ctx)
	if err != nil {
		w.log.Warn("route templates are learned from paths: the target's /openapi.json could not be read", "error", err)
		return
	}
	w.mu.Lock()
	w.router = r
	w.mu.Unlock()
}

func (w *Watcher) endpoint(_ uint32, method, path string) string {
	return w.router.Endpoint(method, path)
}

func (w *Watcher) late(pid uint32) bool {
	py := w.pythons[pid]
	return py != nil && len(py.Loop) >= 6 && py.Loop[:6] == "uvloop"
}

// eventLoop: the pollers of other runtimes are none that a request's code could hold up.
func (w *Watcher) eventLoop(pid uint32) bool { return w.pythons[pid] != nil }

// Run lets the events flow until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { w.kernel.Read(ctx, w.push, w.release); return nil })
	g.Go(func() error { w.tick(ctx); return nil })
	if w.opts.Census {
		w.census = newCensuses()
		g.Go(func() error { w.countSoon(ctx); return nil })
	}
	if w.sampler.Load() != nil {
		g.Go(func() error {
			w.runStacks(ctx, func() { g.Go(func() error { giveBack(ctx, w.log); return nil }) })
			return nil
		})
		if w.opts.Allocations > 0 {
			g.Go(func() error { w.watchAllocations(ctx); return nil })
		}
	} else {
		g.Go(func() error { giveBack(ctx, w.log); return nil })
	}
	err := g.Wait()
	w.lookAtMemory()
	w.mu.Lock()
	t := now().mono // nothing comes any more
	w.sequence.Release(t, w.tracker.Feed)
	w.tracker.Pass(t)
	if w.joiner != nil {
		w.joiner.Flush()
		w.attributeUntil(math.MaxInt64)
	}
	if w.culprits != nil {
		w.culprits.Flush()
	}
	w.ended()
	w.mu.Unlock()
	return err
}

// Close detaches from the target.
func (w *Watcher) Close() {
	if s := w.sampler.Load(); s != nil {
		if err := s.Close(); err != nil {
			w.log.Warn("stack sampler", "error", err)
		}
	}
	w.kernel.Close()
	w.memory.Close()
}

// Target says who is watched.
func (w *Watcher) Target() recording.Target {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.describe()
}

func (w *Watcher) describe() recording.Target {
	t := recording.Target{Service: w.service, Address: w.target.Address.String()}
	for _, p := range w.target.Processes {
		t.PIDs = append(t.PIDs, p.PID)
		if py := w.pythons[uint32(p.PID)]; py != nil {
			t.Runtime = "CPython " + py.Version
			if py.Loop != "" {
				t.Runtime += ", " + py.Loop
			}
		}
	}
	if t.Runtime == "" {
		t.Runtime = w.otherRuntimes(t.PIDs)
	}
	return t
}

// Kernel gives access to hooks and losses, for doctor.
func (w *Watcher) Kernel() *kernel.Kernel { return w.kernel }

func describeHost() recording.Host {
	h := hostFacts()
	h.CPUs = runtime.NumCPU()
	h.Arch = runtime.GOARCH
	return h
}
