package load

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ragscope/ragscope/internal/scenario"
)

// Config is one run.
type Config struct {
	Scenario *scenario.Scenario
	Host     string // base URL
	Sender   Sender // nil: NewSender's with Connections
	Connections
	Sinks []Sink
	// StopTimeout is how long requests that are under way at the end of the run may go on.
	StopTimeout time.Duration
	// Abort, when it ends, gives up the requests that are under way at once. nil: never.
	Abort context.Context
	Seed  uint64 // of tasks, think times and data
	RunID string // first part of every x-request-id
	// Traceparent sends a W3C trace context with every request, so that each is a trace of its own.
	Traceparent bool
	Identify    bool  // samples say what their requests are called elsewhere
	Shard       Shard // the part of the run that is this loader's
	// Control steers the run. nil: nobody does.
	Control *Control
	// ResetStats forgets what was measured while the first users started.
	ResetStats bool
}

// Sink takes samples while they come. All its methods are called by one goroutine.
type Sink interface {
	// Add takes the samples of the last tenth of a second, in order of their end. They are
	// only lent.
	Add(samples []Sample)
	// Tick is called once a second and once at the end, always after Add.
	Tick(p Progress)
}

// Progress is where a run stands.
type Progress struct {
	Start    time.Time
	Elapsed  time.Duration
	Total    time.Duration // 0: until interrupted
	Users    int           // running users; in the open model, requests under way
	InFlight int
	Missed   int64
	Spawning bool // users start or stop
	Stopping bool // nothing is sent any more
	Last     bool // nothing comes after this
}

// Defaults of what a scenario may leave open.
const (
	DefaultTimeout     = 60 * time.Second
	DefaultMaxInFlight = 5000
)

// gatherEvery is how often samples are gathered from the workers.
const gatherEvery = 100 * time.Millisecond

type run struct {
	cfg      Config
	scenario *scenario.Scenario
	base     string
	senders  []Sender // of classes with a host of their own, by class
	opened   []Sender
	turns    []scenario.Turn // that arrivals of the open model take, chosen by picker
	picker   scenario.Picker
	shared   *scenario.Shared
	start    time.Time
	timeout  time.Duration
	kill     context.Context // ends requests that are under way

	users, inFlight atomic.Int64
	missed, crowded atomic.Int64 // sends not made; of them, because of MaxInFlight
	spawning        atomic.Bool
	stopping        atomic.Bool
	skipped         atomic.Int64 // requests not sent because the user lacked a variable
	mu              sync.Mutex   // guards boxes and spread
	spread          *scenario.Spread
	boxes           []*mailbox
	sorter          sorter

	steered                     bool  // by somebody who holds cfg.Control
	usage                       usage // at the start
	forgotMissed, forgotCrowded int64 // until the last reset
}

// Run sends the scenario until its time is over or ctx ends, waits for what is under way, and
// returns what was measured. An error means that nothing could be sent at all.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	if cfg.Control != nil {
		defer close(cfg.Control.over)
	}
	r, err := newRun(cfg)
	if err != nil {
		return nil, err
	}
	defer r.closeSenders()
	if err := r.openSenders(); err != nil {
		return nil, err
	}
	sending, stop := ctx, context.CancelFunc(func() {})
	if d := r.scenario.RunTime; d > 0 {
		sending, stop = context.WithTimeout(ctx, d)
	}
	defer stop()
	kill, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	r.kill = kill
	if cfg.Abort != nil {
		defer context.AfterFunc(cfg.Abort, giveUp)()
	}
	defer context.AfterFunc(sending, func() {
		r.stopping.Store(true)
		late := time.AfterFunc(cfg.StopTimeout, giveUp)
		context.AfterFunc(kill, func() { late.Stop() })
	})()

	r.usage = startUsage()
	generate := r.closed
	if r.scenario.Rate > 0 {
		generate = r.open
	}
	done := make(chan error, 1)
	go func() {
		err := generate(sending)
		// The end of the run's time may be told to this goroutine before it is to the one above.
		r.stopping.Store(true)
		done <- err
	}()
	sum := newSummary(r.scenario)
	if err := r.gather(done, sum); err != nil {
		return nil, err
	}
	return r.result(sum), nil
}

func newRun(cfg Config) (*run, error) {
	base, err := BaseURL(cfg.Host)
	if err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, scenario: cfg.Scenario, base: base, shared: cfg.Scenario.Shared(), spread: cfg.Scenario.Spread(), start: time.Now()}
	r.shared.Part(cfg.Shard.Index, cfg.Shard.Of)
	r.turns, r.picker = cfg.Scenario.Turns()
	r.senders = make([]Sender, len(cfg.Scenario.Classes))
	r.cfg.Connections = cfg.or(cfg.Scenario.Client)
	if r.steered = cfg.Control != nil; !r.steered {
		r.cfg.Control = NewControl()
	}
	r.spawning.Store(cfg.Scenario.Rate == 0)
	r.timeout = cfg.Scenario.Timeout
	if r.timeout == 0 {
		r.timeout = DefaultTimeout
	}
	if r.cfg.RunID == "" {
		r.cfg.RunID = fmt.Sprintf("%08x", uint32(mix(uint64(r.start.UnixNano()))))
	}
	return r, nil
}

// since is the offset of now from the start of the run.
func (r *run) since() time.Duration { return time.Since(r.start) }

// gather collects samples until the generator is done and its last samples are in, and answers
// what Control asks.
func (r *run) gather(done <-chan error, sum *Summary) (err error) {
	ticker := time.NewTicker(gatherEvery)
	defer ticker.Stop()
	var batch []Sample
	nextTick, toReset := time.Second, r.cfg.ResetStats
	for last := false; !last; {
		select {
		case ask := <-r.cfg.Control.asks:
			ask(r, sum)
			continue
		case err = <-done:
			last = true
		case <-ticker.C:
		}
		spawning := r.spawning.Load()
		batch = r.collect(batch[:0], sum)
		for _, s := range r.cfg.Sinks {
			s.Add(batch)
		}
		if toReset && !spawning {
			r.reset(sum)
			toReset = false
		}
		if now := r.since(); last || now >= nextTick {
			nextTick = now.Truncate(time.Second) + time.Second
			for _, s := range r.cfg.Sinks {
				s.Tick(r.progress(now, last))
			}
		}
		clear(batch)
	}
	return err
}

func (r *run) collect(batch []Sample, sum *Summary) []Sample {
	r.mu.Lock()
	boxes := r.boxes // only appended to, but for below
	r.mu.Unlock()
	var left []*mailbox // whose worker is gone
	for _, b := range boxes {
		var aborted int64
		var closed bool
		batch, aborted, closed = b.take(batch)
		sum.Aborted += aborted
		if closed {
			left = append(left, b)
		}
	}
	if len(left) > 0 {
		r.mu.Lock()
		r.boxes = slices.DeleteFunc(r.boxes, func(b *mailbox) bool { return slices.Contains(left, b) })
		r.mu.Unlock()
	}
	batch = r.sorter.sort(batch)
	for i := range batch {
		sum.add(&batch[i])
	}
	return batch
}

func (r *run) progress(now time.Duration, last bool) Progress {
	p := Progress{
		Start: r.start, Elapsed: now, Total: r.scenario.RunTime, InFlight: int(r.inFlight.Load()),
		Users: int(r.users.Load()), Missed: r.missed.Load() - r.forgotMissed, Spawning: r.spawning.Load(), Stopping: r.stopping.Load(), Last: last,
	}
	if r.scenario.Rate > 0 {
		p.Users = p.InFlight
	}
	return p
}
