package truth

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/ragscope/ragscope/internal/export/metrics"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
	"github.com/ragscope/ragscope/internal/stack"
	"github.com/ragscope/ragscope/internal/target"
	"github.com/ragscope/ragscope/internal/watch"
)

// ServeAgent makes this process the agent, or a neighbour, if a stand started it as one, and
// then does not return. TestMain calls it first.
func ServeAgent() {
	serveNeighbour()
	config := os.Getenv(agentEnv)
	if config == "" {
		return
	}
	watch.BoundMemory() // as the agent's own program does
	out := json.NewEncoder(os.Stdout)
	if err := serve(config, out); err != nil {
		_ = out.Encode(Status{Error: err.Error()})
		os.Exit(1)
	}
	os.Exit(0)
}

func serve(config string, out *json.Encoder) error {
	var set AgentSettings
	if err := json.Unmarshal([]byte(config), &set); err != nil {
		return fmt.Errorf("%s: %w", agentEnv, err)
	}
	opts, flush, err := options(&set)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	begin := time.Now()
	w, err := watch.Start(ctx, opts)
	if err != nil {
		return err
	}
	defer w.Close()
	attach := time.Since(begin).Seconds()
	w.SetPrecision(set.Precision)
	running := make(chan error, 1)
	go func() { running <- w.Run(ctx) }()
	if err := out.Encode(status(w, attach)); err != nil {
		return err
	}
	if set.stacks() {
		if err := awaitStacks(w, set.CPUHz > 0); err != nil {
			return err
		}
		if err := out.Encode(status(w, 0)); err != nil {
			return err
		}
	}
	if err := obey(w, out, &set); err != nil {
		return err
	}
	time.Sleep(2*time.Second + request.Hold) // for the readings of the last second, once a second
	rec := w.Recording()
	cancel()
	if err := <-running; err != nil {
		return err
	}
	if set.Census { // that of the end is taken when Run ends
		rec = w.Recording()
	}
	if err := errors.Join(w.FlushRequests(), flush()); err != nil {
		return err
	}
	if err := recording.Write(set.Recording, rec); err != nil {
		return err
	}
	return out.Encode(status(w, 0))
}

// options are those of the agent; flush writes the rest of what it is told. Files end with the process.
func options(set *AgentSettings) (opts watch.Options, flush func() error, err error) {
	opts = watch.Options{
		Budget: set.Budget, OpenAPI: true, CPUHz: set.CPUHz, Memory: set.Memory, Allocations: set.Allocations, Census: set.Census,
		Raw: set.Raw, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	flush = func() error { return nil }
	if opts.Selector, err = target.ParseSelector(set.Target); err != nil {
		return opts, flush, err
	}
	if set.Requests != "" {
		if opts.Requests, err = os.Create(set.Requests); err != nil {
			return opts, flush, err
		}
	}
	if set.Events != "" {
		f, err := os.Create(set.Events)
		if err != nil {
			return opts, flush, err
		}
		events := bufio.NewWriterSize(f, 1<<20)
		opts.Events, flush = events, events.Flush
	}
	if !set.NoMetrics {
		opts.Metrics = metrics.New()
	}
	return opts, flush, nil
}

// obey carries out commands until one says quit, or nobody is there to give any.
func obey(w *watch.Watcher, out *json.Encoder, set *AgentSettings) error {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var c command
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			return fmt.Errorf("command %.100q: %w", in.Bytes(), err)
		}
		if c.Quit {
			return nil
		}
		if c.Precision != nil {
			w.SetPrecision(*c.Precision)
		}
		if c.PauseStacks != nil {
			w.PauseStacks(*c.PauseStacks)
		}
		s := status(w, 0)
		if set.Names {
			s.Names = frameNames(w)
		}
		if err := out.Encode(s); err != nil {
			return err
		}
	}
	return in.Err()
}

func status(w *watch.Watcher, attach float64) Status {
	s := Status{Attach: attach, Precision: w.Kernel().Precision().String(), Cost: w.Kernel().Cost()}
	rec := w.Recording()
	s.Losses = rec.Losses
	for _, e := range rec.Endpoints {
		s.Requests += e.Requests
	}
	s.Allocations = rec.Memory.Allocations != nil
	s.Stacks, s.StackSeconds = w.Stacks()
	if tally := w.Tally(stack.CPU); tally != nil {
		s.CPU = map[string]float64{}
		for endpoint, ns := range tally.Total(time.Now()).ByEndpoint() {
			s.CPU[endpoint] = float64(ns) / 1e9
		}
	}
	if tally := w.Tally(stack.OffCPU); tally != nil {
		s.OffCPU = offCPU(tally.Total(time.Now()))
	}
	return s
}

// awaitStacks waits until stacks are sampled, those of the CPU or of memory.
func awaitStacks(w *watch.Watcher, cpu bool) error {
	var why string
	what := "allocations by endpoint"
	if cpu {
		what = recording.CPUProfile
	}
	for range 300 {
		if why = w.Recording().WhyNot(what); why == "" {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("no stacks: %s", why)
}
