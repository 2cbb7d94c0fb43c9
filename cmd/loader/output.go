package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/locust"
	"github.com/ragscope/ragscope/internal/scenario"
)

// output is where the results of a run go.
type output struct {
	c         *cli.Context
	screen    *os.File // tables and progress, as Locust: standard error
	stdout    io.Writer
	width     int  // of the column of names
	live      bool // the screen is a terminal
	html      string
	json      string
	recording string
	junit     string
	files     *locust.Files
	hlog      *load.HLog
	requests  *load.RequestLog
	exporter  *load.Exporter
}

// newOutput checks, before anything is sent, that the results can be written.
func newOutput(c *cli.Context, s *scenario.Scenario) (*output, error) {
	o := &output{c: c, screen: os.Stderr, stdout: c.App.Writer}
	columns, _, live := terminal(o.screen)
	o.width, o.live = locust.NameWidth(columns), live
	if c.Bool("csv-full-history") && c.String("csv") == "" {
		return nil, command.Wrong("--csv-full-history needs --csv PREFIX")
	}
	if prefix := c.String("csv"); prefix != "" {
		o.recording = prefix + "_recording.json"
	} else if f := c.String("json-file"); f != "" {
		o.recording = f + "_recording.json"
	} else if c.String("agent") != "" {
		o.recording = "recording.json" // without either, as Locust, nothing is left behind
	}
	if f := c.String("json-file"); f != "" {
		o.json = f + ".json"
	}
	o.html = strings.NewReplacer("{u}", strconv.Itoa(s.Users), "{r}", strconv.Itoa(int(s.SpawnRate)), "{t}", strconv.Itoa(int(s.RunTime.Seconds()))).Replace(c.String("html"))
	o.junit = c.String("junit")
	for _, path := range []string{o.html, o.json, o.recording, o.junit} {
		if path == "" {
			continue
		}
		if err := writable(filepath.Dir(path)); err != nil {
			return nil, command.NotAllowed(fmt.Errorf("results cannot be written: %w", err))
		}
	}
	return o, nil
}

// writable makes the folder and tries it.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".loader.*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func (o *output) sinks(stats *locust.Stats, s *scenario.Scenario, start time.Time, shard load.Shard) ([]load.Sink, error) {
	sinks, err := o.ofRun(s, start, shard)
	if err != nil {
		return nil, err
	}
	sinks = append(sinks, stats)
	if err := o.openFiles(stats); err != nil {
		return nil, err
	}
	if o.files != nil {
		sinks = append(sinks, o.files)
	}
	if !o.c.Bool("only-summary") {
		sinks = append(sinks, o.shower(stats, s))
	}
	return sinks, nil
}

// ofRun opens what belongs to one run, in place of that of the run before: metrics, the
// interval log and that of the requests.
func (o *output) ofRun(s *scenario.Scenario, start time.Time, shard load.Shard) (sinks []load.Sink, err error) {
	if listen := o.c.String("metrics-listen"); listen != "" {
		if o.exporter != nil {
			if err := o.exporter.Close(o.c.Context, 0); err != nil {
				return nil, err
			}
		}
		if o.exporter, err = load.NewExporter(listen, s, shard); err != nil {
			return nil, command.NotAllowed(err)
		}
		sinks = append(sinks, o.exporter)
	}
	if path := o.c.String("hlog"); path != "" {
		if o.hlog != nil {
			if err := o.hlog.Close(); err != nil {
				return nil, err
			}
		}
		if o.hlog, err = load.NewHLog(path, s, start); err != nil {
			return nil, command.NotAllowed(err)
		}
		sinks = append(sinks, o.hlog)
	}
	if path := o.c.String("requests"); path != "" {
		if o.requests != nil {
			if err := o.requests.Close(); err != nil {
				return nil, err
			}
		}
		if o.requests, err = load.NewRequestLog(path, s); err != nil {
			return nil, command.NotAllowed(err)
		}
		sinks = append(sinks, o.requests)
	}
	return sinks, nil
}

// openFiles creates the CSV files, where they are asked for.
func (o *output) openFiles(stats *locust.Stats) (err error) {
	if prefix := o.c.String("csv"); prefix != "" {
		if o.files, err = locust.NewFiles(stats, prefix, o.c.Bool("csv-full-history")); err != nil {
			return command.NotAllowed(err)
		}
	}
	return nil
}

// shower shows the run while it goes on: a live table on a terminal, lines now and then elsewhere.
func (o *output) shower(stats *locust.Stats, s *scenario.Scenario) load.Sink {
	switch {
	case o.c.Bool("print-stats"):
		return &progress{out: o.screen, width: o.width, table: stats}
	case o.live:
		return newLive(s, &console, func() (columns, rows int) { columns, rows, _ = terminal(os.Stderr); return columns, rows })
	}
	return &progress{out: o.screen}
}

// lastScrape is how long the end of a run may wait for Prometheus, whose usual interval is 15 s.
const lastScrape = 20 * time.Second

func (o *output) close() error {
	var errs []error
	if o.files != nil {
		errs = append(errs, o.files.Close())
	}
	if o.hlog != nil {
		errs = append(errs, o.hlog.Close())
	}
	if o.requests != nil {
		errs = append(errs, o.requests.Close())
	}
	if o.exporter != nil {
		errs = append(errs, o.exporter.Close(o.c.Context, lastScrape))
	}
	return errors.Join(errs...)
}
