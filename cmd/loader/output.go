package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/locust"
	"github.com/ragscope/ragscope/internal/recording"
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
	files     *locust.Files
	hlog      *load.HLog
}

// newOutput checks, before anything is sent, that the results can be written.
func newOutput(c *cli.Context, s *scenario.Scenario) (*output, error) {
	o := &output{c: c, screen: os.Stderr, stdout: c.App.Writer}
	columns, live := terminal(o.screen)
	o.width, o.live = locust.NameWidth(columns), live
	if c.Bool("csv-full-history") && c.String("csv") == "" {
		return nil, command.Wrong("--csv-full-history needs --csv PREFIX")
	}
	if prefix := c.String("csv"); prefix != "" {
		o.recording = prefix + "_recording.json"
	} else if c.String("agent") != "" {
		o.recording = "recording.json" // without either, as Locust, nothing is left behind
	}
	if f := c.String("json-file"); f != "" {
		o.json = f + ".json"
	}
	o.html = strings.NewReplacer("{u}", strconv.Itoa(s.Users), "{r}", strconv.Itoa(int(s.SpawnRate)), "{t}", strconv.Itoa(int(s.RunTime.Seconds()))).Replace(c.String("html"))
	for _, path := range []string{o.html, o.json, o.recording} {
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

func (o *output) sinks(stats *locust.Stats, s *scenario.Scenario, start time.Time) ([]load.Sink, error) {
	sinks := []load.Sink{stats}
	if path := o.c.String("hlog"); path != "" {
		var err error
		if o.hlog, err = load.NewHLog(path, s, start); err != nil {
			return nil, command.NotAllowed(err)
		}
		sinks = append(sinks, o.hlog)
	}
	if prefix := o.c.String("csv"); prefix != "" {
		var err error
		if o.files, err = locust.NewFiles(stats, prefix, o.c.Bool("csv-full-history")); err != nil {
			return nil, command.NotAllowed(err)
		}
		sinks = append(sinks, o.files)
	}
	if !o.c.Bool("only-summary") {
		p := &progress{out: o.screen, live: o.live, width: o.width}
		if o.c.Bool("print-stats") {
			p.table = stats
		}
		sinks = append(sinks, p)
	}
	return sinks, nil
}

func (o *output) close() error {
	var errs []error
	if o.files != nil {
		errs = append(errs, o.files.Close())
	}
	if o.hlog != nil {
		errs = append(errs, o.hlog.Close())
	}
	return errors.Join(errs...)
}

// finish writes all results and returns the run's verdict as an error with its exit code.
func (o *output) finish(stats *locust.Stats, r *load.Result, rec *recording.Recording) error {
	errs := []error{o.close()}
	if o.recording != "" {
		errs = append(errs, recording.Write(o.recording, rec))
	}
	if o.html != "" {
		text, err := locust.HTML(stats, r)
		if err == nil {
			err = locust.WriteFile(o.html, text)
		}
		errs = append(errs, err)
	}
	if o.json != "" {
		errs = append(errs, locust.WriteFile(o.json, stats.JSON()))
	} else {
		fmt.Fprintf(o.screen, "\n%s\n%s\n%s", stats.Table(o.width, false), stats.PercentileTable(o.width), stats.ErrorTable(o.width))
	}
	if o.c.Bool("json") {
		fmt.Fprintln(o.stdout, string(stats.JSON()))
	}
	verdicts := r.Check()
	o.remarks(r, verdicts)
	if err := errors.Join(errs...); err != nil {
		return command.NotAllowed(fmt.Errorf("results are not complete: %w", err))
	}
	if o.recording != "" || o.html != "" {
		slog.Info("results written", "recording", o.recording, "csv", o.c.String("csv"), "html", o.html)
	}
	return o.verdict(stats, r, verdicts)
}

// remarks are what a reader of the tables must know.
func (o *output) remarks(r *load.Result, verdicts []load.Verdict) {
	for _, why := range r.Invalid {
		slog.Error("THIS RUN IS INVALID: " + why)
	}
	if r.Usage.Saturated() {
		slog.Warn(fmt.Sprintf("the machine's CPUs were busy %.0f %% of the time: waits in this run are partly waits for a CPU", r.Usage.HostBusy*100))
	}
	for _, t := range r.Tasks {
		if t.Resent > 0 {
			slog.Warn("requests were sent again because the server had closed the idle connection meanwhile; raise its keep-alive timeout", "task", t.Name, "requests", t.Resent)
		}
		if t.Redirects > 0 {
			slog.Warn("requests were redirected, which costs a round trip each; use the path that they end at", "task", t.Name, "requests", t.Redirects)
		}
	}
	if r.Aborted > 0 {
		slog.Warn("requests were given up at the end and are in no figure; a longer --stop-timeout lets them finish", "requests", r.Aborted)
	}
	all := r.All()
	if refused := all.Errors[load.Failure{Kind: load.Refused, Text: "connection refused"}]; refused > 0 && refused == all.Requests {
		slog.Error("every request was refused: nothing listens at " + r.Host + "; start the API or correct --host")
	}
	for _, v := range verdicts {
		word := "kept"
		if !v.Kept {
			word = "MISSED"
		}
		fmt.Fprintf(o.screen, "threshold %s: %s (measured: %s)\n", word, v.Threshold.Text, v.Measured)
	}
}

// verdict turns the run into its exit code.
func (o *output) verdict(stats *locust.Stats, r *load.Result, verdicts []load.Verdict) error {
	missed := 0
	for _, v := range verdicts {
		if !v.Kept {
			missed++
		}
	}
	switch code := o.c.Int("exit-code-on-error"); {
	case missed > 0:
		return &command.Error{Code: command.Failed, Err: fmt.Errorf("%d of %d thresholds missed", missed, len(verdicts))}
	case len(verdicts) > 0 && len(r.Invalid) > 0:
		return &command.Error{Code: command.Failed, Err: errors.New("the run is invalid, so its thresholds prove nothing")}
	case stats.Total.Failures > 0 && code != 0:
		return &command.Error{Code: code, Err: fmt.Errorf("%d of %d requests failed", stats.Total.Failures, stats.Total.Requests)}
	}
	return nil
}
