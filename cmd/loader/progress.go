package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/locust"
)

// window is how many seconds the rates and percentiles of the progress line cover.
const window = 5

// progress shows a run while it goes on where there is no terminal: a line every five seconds.
type progress struct {
	out      io.Writer
	table    *locust.Stats // not nil: Locust's table instead
	width    int
	seconds  [window][]time.Duration // response times that came in the last seconds
	requests int64
	failures int64
	limited  int64
	printed  time.Duration
}

var _ load.Resetter = (*progress)(nil)

// Add implements load.Sink.
func (p *progress) Add(samples []load.Sample) {
	for i := range samples {
		s := &samples[i]
		p.requests++
		switch {
		case s.Failure.Limited():
			p.limited++
		case s.Failure.Failed():
			p.failures++
		}
		p.seconds[0] = append(p.seconds[0], s.Response())
	}
}

// Tick implements load.Sink.
func (p *progress) Tick(t load.Progress) {
	every := 5 * time.Second
	if p.table != nil {
		every = 2 * time.Second
	}
	due := t.Last || t.Elapsed-p.printed >= every-100*time.Millisecond
	switch {
	case due && p.table != nil && !t.Last:
		fmt.Fprintln(p.out, p.table.Table(p.width, true))
	case due && p.table == nil:
		fmt.Fprintln(p.out, p.line(t))
	}
	if due {
		p.printed = t.Elapsed
	}
	oldest := p.seconds[window-1][:0]
	copy(p.seconds[1:], p.seconds[:window-1])
	p.seconds[0] = oldest
}

// Reset implements load.Resetter.
func (p *progress) Reset(load.Progress) {
	p.seconds, p.requests, p.failures, p.limited = [window][]time.Duration{}, 0, 0, 0
}

func (p *progress) line(t load.Progress) string {
	if t.Last {
		return fmt.Sprintf("%s  done: %d requests  %d failures  %d limited (429)  %d missed", clockTime(t.Elapsed), p.requests, p.failures, p.limited, t.Missed)
	}
	var all []time.Duration
	for _, s := range p.seconds {
		all = append(all, s...)
	}
	slices.Sort(all)
	covered := min(max(t.Elapsed.Seconds(), 1), window)
	latency := "p50 –  p95 –"
	if len(all) > 0 {
		latency = fmt.Sprintf("p50 %s  p95 %s", milliseconds(all[len(all)/2]), milliseconds(all[(len(all)-1)*95/100]))
	}
	total := "∞"
	if t.Total > 0 {
		total = clockTime(t.Total)
	}
	line := fmt.Sprintf("%s/%s  %d users  %.1f req/s  %s  %d requests  %d failures", clockTime(t.Elapsed), total, t.Users, float64(len(all))/covered, latency, p.requests, p.failures)
	if p.limited > 0 {
		line += fmt.Sprintf("  %d limited (429)", p.limited)
	}
	if t.Missed > 0 {
		line += fmt.Sprintf("  %d missed", t.Missed)
	}
	if t.Stopping {
		line += fmt.Sprintf("  stopping, %d under way", t.InFlight)
	}
	return line
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.0f ms", d.Seconds()*1000) }

func clockTime(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// terminal says whether f is one, and how many columns and rows it has (0: it does not tell).
func terminal(f *os.File) (columns, rows int, is bool) {
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, false
	}
	return int(ws.Col), int(ws.Row), true
}
