package ui

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/locust"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/scenario"
)

// Config is what the UI works with.
type Config struct {
	// Scenario returns a scenario that the form may choose, by its name; "" is the command
	// line's. Each call returns one of its own.
	Scenario  func(name string) (*scenario.Scenario, error)
	Scenarios []string      // names that the form offers besides
	Load      load.Config   // of each run; Scenario, Host, Sinks and Control are filled in
	Stats     *locust.Stats // nobody else touches it until Wait returns
	Files     *locust.Files // nil: none
	Sinks     []load.Sink   // told after Stats and Files
	// Begin is called before each run; the sinks are told of that one, and end is called after
	// it. nil: there is nothing to do.
	Begin func(*scenario.Scenario) (sinks []load.Sink, end func(*load.Result) *recording.Recording, err error)
	// ClassPicker lets the form choose among the scenario's user classes.
	ClassPicker bool
	Agent       string // base URL, "": none
	BasePath    string // "/locust"; "": none
	Login       *Login // nil: everybody may
	Logs        *Logs  // nil: none are kept
	Version     string
}

// Locust's words for what a runner does.
const (
	ready    = "ready"
	spawning = "spawning"
	running  = "running"
	cleanup  = "cleanup"
	stopped  = "stopped"
)

// UI starts and stops runs and remembers what the page shows.
type UI struct {
	cfg  Config
	base context.Context // ends every run

	mu       sync.Mutex // guards what follows, and cfg.Stats
	state    string
	scenario *scenario.Scenario // of this run, of the last, or the one to come
	run      *oneRun            // nil: nothing runs
	progress load.Progress
	last     *load.Result
	rec      *recording.Recording
	err      error // of the last run
	chart    chart
	sinks    []load.Sink         // of this run alone
	chosen   map[string][]string // tasks of a class, by POST /user
	stats    cached[[]byte]
	facts    cached[string]
}

type oneRun struct {
	control *load.Control
	stop    context.CancelFunc
	over    chan struct{} // closed when the results are there
}

// New returns a UI; all runs end with ctx.
func New(ctx context.Context, cfg Config) (*UI, error) {
	s, err := cfg.Scenario("")
	if err != nil {
		return nil, err
	}
	u := &UI{cfg: cfg, base: ctx, state: ready, scenario: s}
	u.stats.for_, u.facts.for_ = 2*time.Second, time.Second
	if cfg.Files != nil {
		go u.idle()
	}
	return u, nil
}

// idle writes history rows while nothing runs, as Locust does.
func (u *UI) idle() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-u.base.Done():
			return
		case now := <-ticker.C:
			u.mu.Lock()
			if u.run == nil && u.base.Err() == nil {
				u.cfg.Stats.Idle(now)
				u.cfg.Files.Tick(load.Progress{})
			}
			u.mu.Unlock()
		}
	}
}

// start begins a run. The caller holds the lock and has made sure that nothing runs.
func (u *UI) start(s *scenario.Scenario) {
	now := time.Now()
	ctx, stop := context.WithCancel(u.base)
	r := &oneRun{control: load.NewControl(), stop: stop, over: make(chan struct{})}
	u.scenario, u.run, u.state, u.last, u.rec, u.err = s, r, spawning, nil, nil, nil
	u.progress = load.Progress{Start: now, Total: s.RunTime, Spawning: true}
	u.cfg.Stats.Clear(s.Tasks, now)
	u.chart.clear()
	u.forget()
	cfg := u.cfg.Load
	cfg.Scenario, cfg.Host, cfg.Control, cfg.Sinks = s, s.Host, r.control, []load.Sink{(*board)(u)}
	cfg.Seed = cmp.Or(cfg.Seed, rand.Uint64())
	slog.Info("run started", "scenario", s.Name, "host", s.Host, "users", s.Users, "rate", s.Rate)
	go func() {
		defer stop()
		u.finish(r, ctx, cfg)
	}()
}

// finish runs to the end and keeps the results.
func (u *UI) finish(r *oneRun, ctx context.Context, cfg load.Config) {
	defer close(r.over)
	res, rec, err := u.carryOut(ctx, cfg)
	if err != nil {
		slog.Error("the run ended", "error", err)
	} else {
		slog.Info("run ended", "requests", res.All().Requests, "failures", res.All().Failures)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last, u.rec, u.err, u.run, u.state, u.sinks = res, rec, err, nil, stopped, nil
	if res != nil {
		res.Scenario = u.scenario // with the load that it ended with
	}
	u.progress.Users, u.progress.InFlight = 0, 0
	u.cfg.Stats.Idle(time.Now())
	u.forget()
}

func (u *UI) carryOut(ctx context.Context, cfg load.Config) (*load.Result, *recording.Recording, error) {
	var sinks []load.Sink
	end := func(*load.Result) *recording.Recording { return nil }
	if u.cfg.Begin != nil {
		var err error
		if sinks, end, err = u.cfg.Begin(cfg.Scenario); err != nil {
			return nil, nil, err
		}
	}
	defer context.AfterFunc(ctx, func() { u.leave(cleanup) })()
	u.mu.Lock()
	u.sinks = sinks
	u.cfg.Stats.Clear(cfg.Scenario.Tasks, time.Now()) // the agent may have taken its time
	u.mu.Unlock()
	res, err := load.Run(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	u.leave(cleanup) // its time may be over
	return res, end(res), nil
}

func (u *UI) leave(state string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.run != nil {
		u.state = state
		u.forget()
	}
}

// forget makes the next answers new ones. The caller holds the lock.
func (u *UI) forget() { u.stats.at, u.facts.at = time.Time{}, time.Time{} }

// look calls f with the result so far, or with the last run's; nil when there is none. f must
// not keep it. The caller does not hold the lock; while f goes on statistics stand still.
func (u *UI) look(f func(*load.Result)) {
	u.mu.Lock()
	r := u.run
	u.mu.Unlock()
	if r != nil && r.control.Look(f) {
		return
	}
	if r != nil {
		<-r.over
	}
	u.mu.Lock()
	last := u.last
	u.mu.Unlock()
	f(last)
}

// Stop ends the run, if there is one, and returns when its results are there, or with ctx.
func (u *UI) Stop(ctx context.Context) {
	u.mu.Lock()
	r := u.run
	switch {
	case r != nil:
		u.state = cleanup
		u.forget()
	case u.state == ready:
		u.state = stopped
		u.forget()
	}
	u.mu.Unlock()
	if r == nil {
		return
	}
	r.stop()
	select {
	case <-r.over:
	case <-ctx.Done():
	}
}

// Start begins the command line's scenario, for --autostart.
func (u *UI) Start() error {
	s, err := u.cfg.Scenario("")
	if err != nil {
		return err
	}
	if _, err := load.BaseURL(s.Host); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.run != nil {
		return errors.New("a run goes on already")
	}
	u.start(s)
	return nil
}

// Wait returns when nothing runs any more, with the last run's results; all are nil when there
// was none.
func (u *UI) Wait() (*load.Result, *recording.Recording, error) {
	u.mu.Lock()
	r := u.run
	u.mu.Unlock()
	if r != nil {
		<-r.over
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last, u.rec, u.err
}

// board is the UI as the sink of its runs.
type board UI

var _ load.Resetter = (*board)(nil)

// Add implements load.Sink.
func (b *board) Add(samples []load.Sample) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cfg.Stats.Add(samples)
	b.chart.add(samples)
	for _, s := range b.all() {
		s.Add(samples)
	}
}

// Tick implements load.Sink.
func (b *board) Tick(p load.Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.progress = p
	switch {
	case p.Stopping, b.state == cleanup: // it may have been told to stop just now
		b.state = cleanup
	case p.Spawning:
		b.state = spawning
	default:
		b.state = running
	}
	b.cfg.Stats.Tick(p)
	b.chart.tick(p)
	for _, s := range b.all() {
		s.Tick(p)
	}
}

// Reset implements load.Resetter.
func (b *board) Reset(p load.Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cfg.Stats.Reset(p)
	b.chart.reset(p)
	(*UI)(b).forget()
	for _, s := range b.all() {
		if s, ok := s.(load.Resetter); ok {
			s.Reset(p)
		}
	}
}

// all are the sinks beside the UI's own.
func (b *board) all() (out []load.Sink) {
	if b.cfg.Files != nil {
		out = append(out, b.cfg.Files)
	}
	return append(append(out, b.cfg.Sinks...), b.sinks...)
}

// cached is an answer that is made again when it is older than for_.
type cached[T any] struct {
	for_  time.Duration
	at    time.Time
	value T
}

func (c *cached[T]) fresh() bool { return time.Since(c.at) < c.for_ }

func (c *cached[T]) set(v T) { c.value, c.at = v, time.Now() }
