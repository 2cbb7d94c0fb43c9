package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/locust"
	"github.com/ragscope/ragscope/internal/recording"
)

// finish writes all results and returns the run's verdict as an error with its exit code.
func (o *output) finish(stats *locust.Stats, r *load.Result, rec *recording.Recording) error {
	verdicts := r.Check()
	cases := r.Cases(verdicts, o.c.Int("exit-code-on-error") != 0)
	err := errors.Join(o.write(stats, r, rec, cases), o.close()) // close waits for Prometheus: the files come first
	if o.json == "" {
		fmt.Fprintf(o.screen, "\n%s\n%s\n%s\n%s\n", stats.Table(o.width, false), stats.PercentileTable(o.width), r.ClockTable(), stats.ErrorTable(o.width))
	}
	if o.c.Bool("json") {
		fmt.Fprintln(o.stdout, string(stats.JSON()))
	}
	o.remarks(r, verdicts)
	if o.c.Bool("github-annotations") {
		load.GitHubAnnotations(o.stdout, cases)
	}
	if err != nil {
		return command.NotAllowed(fmt.Errorf("results are not complete: %w", err))
	}
	if o.recording != "" || o.html != "" {
		slog.Info("results written", "recording", o.recording, "csv", o.c.String("csv"), "html", o.html)
	}
	return o.verdict(stats, r, verdicts)
}

// write writes the files that hold the whole run; what fails does not keep the others away.
func (o *output) write(stats *locust.Stats, r *load.Result, rec *recording.Recording, cases []load.Case) error {
	var errs []error
	if o.recording != "" {
		errs = append(errs, recording.Write(o.recording, rec))
	}
	put := func(path string, text []byte, err error) {
		if err == nil {
			err = locust.WriteFile(path, text)
		}
		errs = append(errs, err)
	}
	if o.html != "" {
		text, err := locust.HTML(stats, r)
		put(o.html, text, err)
	}
	if o.json != "" {
		put(o.json, stats.JSON(), nil)
	}
	if o.junit != "" {
		text, err := r.JUnit(cases)
		put(o.junit, text, err)
	}
	return errors.Join(errs...)
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
	for _, why := range r.LoaderBound() {
		slog.Warn("THE LOADER WAS THE BOTTLENECK: " + why)
	}
	fmt.Fprint(o.screen, load.VerdictTable(verdicts))
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
