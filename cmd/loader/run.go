package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/export/pyroscope"
	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/locust"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/scenario"
)

func runCommand(abort context.Context) *cli.Command {
	flags := runFlags()
	plainSwitches(flags)
	return &cli.Command{
		Name:      "run",
		Usage:     "send a scenario and measure what comes back",
		UsageText: "loader run --host http://localhost:8000 -u 50 -r 10 -t 5m --headless --csv results/baseline --html results/baseline.html\nloader run --host http://localhost:8000 --scenario peak --headless --agent http://127.0.0.1:9470 --csv results/peak\nloader run --host http://localhost:8000 --rate 50/s -t 2m --headless --threshold 'POST /api/v1/chat: p95 < 1s'\nloader run --scenario my.yaml --headless\nloader run --host http://localhost:8000      (the web UI on http://localhost:8089)",
		Description: "Values come from flags, then the environment (RAGSCOPE_… or Locust's LOCUST_…), then the --config file (YAML, or\n" +
			"Locust's form when it ends in .conf or .toml), then [tool.locust] of pyproject.toml, locust.conf and ~/.locust.conf,\n" +
			"then the scenario.\n" +
			"Without --scenario the suite's tasks are sent: hybrid search 3, chat 1, vector search 0.5, chat stream 0.5, health 0.2.\n" +
			"In Locust's tables and files a 429 is a failure, and so it is for the exit code, unless the task's check allows it; the recording,\n" +
			"the progress line and thresholds count it apart. A threshold is not kept by a run that is marked invalid.",
		Flags: flags,
		Action: func(c *cli.Context) error {
			err := runLoad(c, abort)
			var coded *command.Error
			if err != nil && !errors.As(err, &coded) {
				err = command.NotAllowed(err)
			}
			return err
		},
	}
}

func runLoad(c *cli.Context, abort context.Context) error {
	if err := configure(c); err != nil {
		return err
	}
	if err := refuse(c); err != nil {
		return err
	}
	closeLog, err := setLogger(c)
	if err != nil {
		return err
	}
	defer closeLog()
	if c.Bool("list-scenarios") {
		printScenarios(c.App.Writer)
		return nil
	}
	s, err := plan(c)
	if err != nil {
		return err
	}
	switch {
	case c.Bool("show-task-ratio-json"):
		return printTasksJSON(c.App.Writer, s)
	case c.Bool("list"), c.Bool("show-task-ratio"):
		printTasks(c.App.Writer, s, c.Bool("show-task-ratio"))
		return nil
	}
	if err := checkWeb(c); err != nil {
		return err
	}
	if s.Host != "" || c.Bool("headless") || c.Bool("autostart") { // else the form asks for it
		if err := checkHost(s); err != nil {
			return err
		}
	}
	stop, err := profileSelf(c)
	if err != nil {
		return err
	}
	defer stop()
	if !c.Bool("headless") {
		return web(c, abort, s)
	}
	return measure(c, abort, s)
}

// ownName is the loader's service name in Pyroscope.
const ownName = "ragscope.loader"

// profileSelf sends profiles of the loader itself where the flags ask for it.
func profileSelf(c *cli.Context) (stop func(), err error) {
	to, err := command.PyroscopeOf(c)
	if err != nil || !to.Self {
		return func() {}, err
	}
	return pyroscope.StartSelf(to.URL, to.Access, ownName, slog.Default())
}

// measure sends the scenario and writes the results.
func measure(c *cli.Context, abort context.Context, s *scenario.Scenario) error {
	stopTimeout, err := scenario.ParseDuration(c.String("stop-timeout"))
	if err != nil {
		return command.Wrong("--stop-timeout: %w", err)
	}
	out, err := newOutput(c, s)
	if err != nil {
		return err
	}
	preflight(c.Context, s.Host)
	agent := openWindow(c.Context, c.String("agent"), s.Name)

	seed, shard, err := drawing(c)
	if err != nil {
		return err
	}
	start := time.Now()
	stats := locust.NewStats(s.Tasks, start)
	sinks, err := out.sinks(stats, s, start, shard)
	if err != nil {
		return err
	}
	cfg := sending(c, abort)
	cfg.Scenario, cfg.Host, cfg.Sinks, cfg.StopTimeout, cfg.Seed, cfg.Shard = s, s.Host, sinks, stopTimeout, seed, shard
	result, err := load.Run(c.Context, cfg)
	if err != nil {
		return errors.Join(err, out.close())
	}
	if result.Skipped > 0 {
		slog.Warn("requests were not sent because the answers before them did not bring the variables that they need", "requests", result.Skipped)
	}
	return out.finish(stats, result, agent.close(result))
}

// drawing returns what tasks, data and pauses are drawn from, and which part of them is sent. All shards of
// a run draw alike: without --seed from the same one.
func drawing(c *cli.Context) (seed uint64, shard load.Shard, err error) {
	if shard, err = load.ParseShard(c.String("shard")); err != nil {
		return 0, shard, command.Wrong("--shard: %w", err)
	}
	switch {
	case c.IsSet("seed"):
		seed = c.Uint64("seed")
	case shard.Of > 0:
		seed = 1
	default:
		seed = rand.Uint64()
	}
	slog.Debug("drawing tasks, data and pauses", "seed", seed)
	return seed, shard, nil
}

// sending is what the flags alone say about how requests are sent.
func sending(c *cli.Context, abort context.Context) load.Config {
	return load.Config{
		Connections: load.Connections{Insecure: c.Bool("insecure"), HTTP2: c.Bool("http2")}, Abort: abort,
		ResetStats: c.Bool("reset-stats"), Traceparent: c.Bool("traceparent"), Identify: c.String("requests") != "" || c.Bool("traceparent"),
	}
}

func setLogger(c *cli.Context) (closeLog func(), err error) {
	if l := c.String("loglevel"); l != "" && !c.IsSet("log-level") {
		l = strings.ToLower(l)
		if l == "warning" || l == "critical" {
			l = map[string]string{"warning": "warn", "critical": "error"}[l]
		}
		if err := c.Set("log-level", l); err != nil {
			return nil, command.Wrong("--loglevel: %w", err)
		}
	}
	w, closeLog := io.Writer(&console), func() {}
	if path := c.Path("logfile"); path != "" {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, command.NotAllowed(err)
		}
		w, closeLog = f, func() { _ = f.Close() }
	}
	logger, err := command.Logger(c, w)
	if err != nil {
		closeLog()
		return nil, err
	}
	slog.SetDefault(logger)
	return closeLog, nil
}

// preflightTimeout bounds the look at the host before the run.
const preflightTimeout = 3 * time.Second

// preflight warns when nobody answers. The run goes on all the same, as Locust's does: the
// API may still come up, and what fails is counted.
func preflight(ctx context.Context, host string) {
	ctx, cancel := context.WithTimeout(ctx, preflightTimeout)
	defer cancel()
	conn, err := load.Reach(ctx, host)
	if err != nil {
		slog.Warn("nothing answers at "+host+": start the API or correct --host; the run goes on and counts every request as failed", "error", err)
		return
	}
	_ = conn.Close()
}

// agentWindow is the agent's part of a run; the zero value is a run without an agent.
type agentWindow struct {
	agent load.Agent
	id    string
	why   string // why there is none
}

// openWindow asks the agent to watch. A run without its agent goes on, loudly.
func openWindow(ctx context.Context, url, name string) agentWindow {
	if url == "" {
		return agentWindow{why: "the loader ran without --agent"}
	}
	a := load.Agent{URL: url}
	id, err := a.Open(ctx, name)
	if err != nil {
		slog.Warn("THE AGENT DOES NOT WATCH THIS RUN: the recording will hold the client's figures alone", "error", err)
		return agentWindow{why: "the agent did not watch: " + err.Error()}
	}
	return agentWindow{agent: a, id: id}
}

// close returns the recording with both views.
func (w agentWindow) close(r *load.Result) *recording.Recording {
	if w.id == "" {
		return r.Recording(w.why)
	}
	rec, err := w.agent.Close(context.Background(), w.id) // also after an interrupt: the results are written
	if err != nil {
		slog.Warn("THE AGENT'S VIEW IS LOST: the recording holds the client's figures alone", "error", err)
		return r.Recording("the agent's recording could not be had: " + err.Error())
	}
	rec.Join(r.Facts(), r.Endpoints())
	return rec
}
