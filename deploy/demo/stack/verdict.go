package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/report"
)

// printVerdict ends the demonstration: what the recording says is slow, how far it can be trusted, and where to look.
func printVerdict(w io.Writer, results string) error {
	rec, err := recording.Read(filepath.Join(results, "recording.json"))
	if err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, line := range verdict(rec) {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintf(w, "Report        %s\n", filepath.Join(results, "report.html"))
	fmt.Fprintf(w, "Flame graphs  %s\n", flameGraphs(results))
	fmt.Fprintf(w, "All figures   %s\n", filepath.Join(results, "recording.json"))
	_, err = fmt.Fprintln(w, "Explore       'make demo-up' keeps the stack running; deploy/demo/README.md says how to move the bottleneck")
	return err
}

// flameGraphs names those that there are: it may be that nothing slept for a reason, or touched new memory.
func flameGraphs(results string) string {
	var found []string
	for _, kind := range report.ProfileKinds {
		path := filepath.Join(results, kind+".svg")
		if _, err := os.Stat(path); err == nil {
			found = append(found, path)
		}
	}
	return strings.Join(found, "\n              ")
}

// verdict is at most six lines.
func verdict(rec *recording.Recording) []string {
	var lines []string
	for _, b := range rec.Bottlenecks[:min(3, len(rec.Bottlenecks))] {
		line := fmt.Sprintf("%s  %s: users waited %.1f s for it (%.0f %% of all waiting)", b.Priority, b.Where, b.WaitedSeconds, 100*b.Share)
		if b.Recommendation != "" {
			line += ". " + b.Recommendation
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		lines = append(lines, "No bottleneck was found.")
	}
	var seen, sent, others uint64 // others: not from the loader, as Prometheus's scrapes
	var total, unexplained float64
	for _, e := range rec.Endpoints {
		if e.Client != nil {
			seen += uint64(e.Requests)
			sent += uint64(e.Client.Requests)
		} else {
			others += uint64(e.Requests)
		}
		total += e.Latency.Sum
		for _, s := range e.Stages {
			if s.Stage == "unexplained" {
				unexplained += s.Sum
			}
		}
	}
	lost := uint64(0)
	for _, l := range rec.Losses {
		lost += l.Count
	}
	line := fmt.Sprintf("Requests seen by the agent %d", seen+others)
	if sent > 0 {
		line = fmt.Sprintf("Requests sent by the loader %d, of them seen by the agent %d (and %d of others)", sent, seen, others)
	}
	if total > 0 {
		line += fmt.Sprintf("; unexplained %.1f %% of their time", 100*unexplained/total)
	}
	lines = append(lines, line+fmt.Sprintf("; events lost or not understood %d", lost))
	if n := len(rec.NotMeasured); n > 0 {
		what := make([]string, 0, n)
		for _, m := range rec.NotMeasured[:min(n, 4)] {
			what = append(what, m.What)
		}
		lines = append(lines, fmt.Sprintf("Not measured  %s (the report says why)", strings.Join(what, ", ")))
	}
	return lines
}
