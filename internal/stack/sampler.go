package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"go.opentelemetry.io/ebpf-profiler/interpreter/interpreterconfig"
	"go.opentelemetry.io/ebpf-profiler/libpf"
	unwindlog "go.opentelemetry.io/ebpf-profiler/log"
	"go.opentelemetry.io/ebpf-profiler/tracer"
)

const (
	// DefaultHz is prime, so that it does not keep step with what the target does every
	// 10 or 100 ms.
	DefaultHz = 97
	// maxHz: a stack of 105 frames, as a FastAPI request has, costs 85 µs in the kernel: 0.8 %
	// of the CPU that runs it at 97 Hz, 5 % at 1,000 Hz.
	maxHz = 1000
	// queueLength is 10 s of four busy CPUs at 97 Hz.
	queueLength = 4096
)

// ErrStarted is returned by a second Start.
var ErrStarted = errors.New("the sampler was started before; make a new one")

// Options of a Sampler. The zero value samples at DefaultHz.
type Options struct {
	Hz           int  // samples a second and CPU at most, 0: DefaultHz; see SetHz
	MemoryOnly   bool // take no stacks of the CPU and of sleeps
	KeepPlumbing bool // keep the interpreter's own frames between the code it runs, see Fold
	Lines        bool // tell the lines of a function apart; else it is one node of a graph
	Logger       *slog.Logger
	Shared
}

// Shared is what the programs share with others.
type Shared struct {
	// Maps are theirs, by name: through them the programs tell, on the ring buffer that the events come from, which
	// context ran where a stack was taken (EVENT_SAMPLE). nil: they tell nobody, and are told of no sleeps.
	Maps     map[string]*ebpf.Map
	Switches error // why those others do not see threads leave the CPU and come back, nil while they do
}

// sleepsUntold is why nobody tells of sleeps, nil where somebody does.
func (s *Shared) sleepsUntold() error {
	if s.Maps == nil {
		return errors.New("nobody tells when threads sleep")
	}
	return s.Switches
}

// Sampler samples the CPU stacks of watched processes.
type Sampler struct {
	opts    Options
	periods periods // that one sample stands for

	ringStacks int // full stacks of a CPU that the ring buffer has room for
	samples    chan Sample
	symbols    *symbols
	frames     *translator                     // used by handle's goroutine only
	current    atomic.Pointer[libpf.EbpfTrace] // being handled by the unwinder, see ReportTraceEvent

	asking  sync.Mutex // held by Allocations
	life    sync.Mutex // held by Load, Start and Close from begin to end
	started bool
	ctx     context.Context //nolint:containedctx // of Load, ended by Close
	log     *unwinderLog    // … since then
	failed  error           // to load
	closed  bool
	stop    context.CancelFunc
	unwind  *tracer.Tracer // nil unless running

	mu           sync.Mutex // of what follows, for moments only: Lost and SetPIDs never wait for Start
	pids         []int
	entry        *entry            // nil unless running
	lossesBefore map[string]uint64 // unwinderCounts at Start
	notEntered   uint64            // of an entry that is closed

	done                                       sync.WaitGroup
	received, queueFull, truncated, notUnwound atomic.Uint64
	ticksBefore                                uint64  // at the last drain of the ring buffer; see drained
	price                                      price   // guarded by mu
	faults                                     *faults // of the entry; handle's goroutine reads the bytes of their stacks
	allocs                                     *allocs
}

// NewSampler returns a sampler that does nothing yet.
func NewSampler(opts Options) *Sampler {
	if opts.Hz <= 0 {
		opts.Hz = DefaultHz
	}
	opts.Hz = min(opts.Hz, maxHz)
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	symbols := newSymbols(openFile, identify)
	symbols.log = opts.Logger
	sampler := &Sampler{
		opts:       opts,
		ringStacks: (opts.Hz + 4) / 5, // a fifth of a second's: it is read ten times a second

		samples: make(chan Sample, queueLength),
		symbols: symbols,
		frames:  newTranslator(symbols, opts.Lines),
	}
	sampler.periods.set(0, int64(time.Second)/int64(opts.Hz))
	return sampler
}

// Period is what one CPU sample stands for now.
func (s *Sampler) Period() time.Duration { return time.Duration(s.periods.now()) }

// Share says what the programs share with others, where Options could not yet. It comes before Start.
func (s *Sampler) Share(with Shared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.Shared = with
}

// Load loads the unwinder: seconds in the kernel's verifier, which may pass before Start can be called, and beside the
// rest. Start tells its error.
func (s *Sampler) Load(ctx context.Context) {
	s.life.Lock()
	defer s.life.Unlock()
	s.load(ctx)
}

// Start begins sampling the processes of SetPIDs; ctx ends it. It loads the unwinder first, unless Load has. An error
// means that there are no stacks, and says what is missing; nothing stays behind.
func (s *Sampler) Start(ctx context.Context) error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.started {
		return ErrStarted
	}
	s.started = true
	s.load(ctx)
	context.AfterFunc(ctx, s.stop)
	err := s.failed
	if err == nil {
		err = s.begin(s.ctx)
	}
	if err != nil {
		s.stop()
		s.done.Wait()
		err = errors.Join(err, s.release())
		if last := s.log.lastError(); last != "" {
			err = fmt.Errorf("%w (%s)", err, last)
		}
		return fmt.Errorf("stacks are not available: %w", err)
	}
	return nil
}

// load loads the unwinder once.
func (s *Sampler) load(ctx context.Context) {
	if s.ctx != nil || s.closed {
		return
	}
	s.ctx, s.stop = context.WithCancel(ctx)
	s.log = &unwinderLog{to: s.opts.Logger}
	if s.failed = allowMemlock(s.opts.Logger); s.failed != nil {
		return
	}
	unwindlog.SetLogger(*slog.New(s.log))
	startGlobals()
	s.unwind, s.failed = newUnwinder(s.ctx, &tracer.Config{
		TraceReporter:          s,
		ExecutableReporter:     objectReporter{s.symbols},
		InterpretersConfig:     interpreterconfig.AllInterpreters(),
		SamplesPerSecond:       s.ringStacks, // sizes the ring buffer
		FilterIdleFrames:       true,
		KernelVersionCheck:     true,
		ProbabilisticInterval:  time.Minute,
		ProbabilisticThreshold: tracer.ProbabilisticThresholdMax,
	})
}

// begin brings the loaded unwinder up in the order it requires.
func (s *Sampler) begin(ctx context.Context) error {
	s.unwind.StartPIDEventProcessor(ctx)
	if err := s.unwind.AttachSchedMonitor(); err != nil {
		// Needs a mounted tracefs. Without it the unwinder looks for dead processes every
		// five minutes, and only its maps hold them until then.
		s.opts.Logger.Debug("the stack unwinder is not told when a process ends", "error", err)
	}
	traces := make(chan *libpf.EbpfTrace)
	if err := s.unwind.StartMapMonitors(ctx, traces); err != nil {
		return err
	}
	s.mu.Lock()
	shared := s.opts.Shared
	s.mu.Unlock()
	entry := &entry{memoryOnly: s.opts.MemoryOnly, clock: clock{periodNS: uint64(s.periods.now()), shared: shared.Maps}, offcpu: offcpu{shared: shared.Maps, untold: shared.sleepsUntold()}, faults: faults{shared: shared.Maps}, allocs: allocs{shared: shared.Maps}}
	if err := s.unwind.Enable(ctx, entry); err != nil {
		return errors.Join(err, entry.close())
	}
	s.faults, s.allocs = &entry.faults, &entry.allocs
	s.done.Go(func() { s.handle(ctx, s.unwind, entry, traces) })
	return s.watch(entry)
}

// watch makes the loaded entry the sampler's, and lets the first sample through.
func (s *Sampler) watch(entry *entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if why := errors.Join(entry.known.why, entry.offcpu.chain.known.why); why != nil {
		s.opts.Logger.Info("a stack costs the target twice as much as it could, and ends where a return probe waits", "why", why)
	}
	if entry.offcpu.why != nil && !entry.memoryOnly {
		s.opts.Logger.Warn("there are no off-CPU stacks", "error", entry.offcpu.why)
	}
	if err := entry.sleepsWhy(); err != nil && !entry.memoryOnly {
		s.opts.Logger.Warn("what an event loop sleeps in has no name", "error", err)
	}
	if entry.faults.why != nil {
		s.opts.Logger.Warn("where memory is touched is not sampled", "error", entry.faults.why)
	}
	s.entry = entry
	s.lossesBefore = map[string]uint64{}
	for reason, n := range unwinderCounts {
		s.lossesBefore[reason] = n.Load()
	}
	return entry.watch(s.pids)
}

// SetPIDs replaces the processes to sample, before or after Start.
func (s *Sampler) SetPIDs(pids []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pids = slices.Clone(pids)
	if s.entry == nil {
		return
	}
	if err := s.entry.watch(s.pids); err != nil {
		s.opts.Logger.Warn("cannot change the processes whose stacks are sampled", "error", err)
	}
}

// Close stops sampling, detaches everything and closes Samples. It may be called without or
// after a failed Start; during one it waits, because loading cannot be interrupted.
func (s *Sampler) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return nil
	}
	s.started, s.closed = true, true
	if s.stop != nil {
		s.stop()
	}
	s.done.Wait()
	close(s.samples)
	return s.release()
}

func (s *Sampler) release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.entry != nil {
		_, s.notEntered = s.entry.counts()
		err = s.entry.close()
		s.entry = nil
	}
	if s.unwind != nil {
		s.unwind.Close()
		s.unwind = nil
	}
	return err
}
