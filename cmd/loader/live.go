package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/scenario"
)

// live shows a run on a terminal: a bar with the time that is left, and a table of the tasks that
// is drawn again each second. Latencies are of the last five seconds, on the response clock.
type live struct {
	screen *screen
	size   func() (columns, rows int)
	names  []string
	tasks  []taskWindow
	all    taskWindow
	others progress // the whole run's counts
}

// taskWindow is a task's last seconds.
type taskWindow struct {
	requests, failures int64
	seconds            [window][]time.Duration
}

func (w *taskWindow) add(s *load.Sample) {
	w.requests++
	if s.Failure.Failed() && !s.Failure.Limited() {
		w.failures++
	}
	w.seconds[0] = append(w.seconds[0], s.Response())
}

// next begins another second.
func (w *taskWindow) next() {
	oldest := w.seconds[window-1][:0]
	copy(w.seconds[1:], w.seconds[:window-1])
	w.seconds[0] = oldest
}

// row is the window as a line of the table.
func (w *taskWindow) row(name string, width int, covered float64) string {
	last := slices.Concat(w.seconds[:]...)
	slices.Sort(last)
	ms := func(q float64) string {
		if len(last) == 0 {
			return "–"
		}
		d := last[int(math.Ceil(q*float64(len(last))))-1]
		if d < 10*time.Millisecond {
			return fmt.Sprintf("%.1f", d.Seconds()*1e3)
		}
		return fmt.Sprintf("%.0f", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%-*s %9d %8d %9.1f %8s %8s %8s", width, cut(name, width), w.requests, w.failures, float64(len(last))/covered, ms(.5), ms(.95), ms(.99))
}

var _ load.Sink = (*live)(nil)

func newLive(s *scenario.Scenario, to *screen, size func() (columns, rows int)) *live {
	l := &live{screen: to, size: size, tasks: make([]taskWindow, len(s.Tasks))}
	for i := range s.Tasks {
		l.names = append(l.names, s.Tasks[i].Method+" "+s.Tasks[i].Name)
	}
	return l
}

// Add implements load.Sink.
func (l *live) Add(samples []load.Sample) {
	l.others.Add(samples)
	l.others.seconds[0] = l.others.seconds[0][:0] // only its counts are shown
	for i := range samples {
		l.all.add(&samples[i])
		l.tasks[samples[i].Task].add(&samples[i])
	}
}

// Reset forgets what was measured so far.
func (l *live) Reset(load.Progress) {
	l.tasks, l.all, l.others = make([]taskWindow, len(l.tasks)), taskWindow{}, progress{}
}

// Tick implements load.Sink.
func (l *live) Tick(t load.Progress) {
	if t.Last {
		l.screen.draw(0, nil)
		_, _ = fmt.Fprintln(l.screen, l.others.line(t))
		return
	}
	columns, rows := l.size()
	l.screen.draw(columns, l.block(t, columns, rows))
	l.all.next()
	for i := range l.tasks {
		l.tasks[i].next()
	}
}

// figures is the width of a row behind the name.
const figures = 58

func (l *live) block(t load.Progress, columns, rows int) []string {
	if columns <= 0 {
		columns = 120
	}
	width := 4
	for _, n := range l.names {
		width = max(width, len([]rune(n)))
	}
	width = max(8, min(width, columns-figures))
	covered := min(max(t.Elapsed.Seconds(), 1), window)
	out := []string{l.bar(t, columns), fmt.Sprintf("%-*s %9s %8s %9s %8s %8s %8s", width, fmt.Sprintf("last %d s, ms", window), "requests", "failures", "req/s", "p50", "p95", "p99")}
	order := make([]int, len(l.tasks))
	for i := range order {
		order[i] = i
	}
	left := 0
	if most := rows - 5; rows > 0 && len(order) > most { // the tasks with most requests, in their order
		slices.SortStableFunc(order, func(a, b int) int { return int(l.tasks[b].requests - l.tasks[a].requests) })
		left = len(order) - max(most, 0)
		order = order[:max(most, 0)]
		slices.Sort(order)
	}
	for _, i := range order {
		out = append(out, l.tasks[i].row(l.names[i], width, covered))
	}
	if left > 0 {
		out = append(out, fmt.Sprintf("… and %d more tasks", left))
	}
	if len(l.tasks) > 1 {
		out = append(out, l.all.row("all", width, covered))
	}
	return out
}

// bar is the progress of the run: how far, how much is left, how many users, what went wrong.
func (l *live) bar(t load.Progress, columns int) string {
	line := clockTime(t.Elapsed)
	if t.Total > 0 {
		done := min(t.Elapsed.Seconds()/t.Total.Seconds(), 1)
		size := max(10, min(30, columns-90))
		full := int(done * float64(size))
		line = fmt.Sprintf("%s%s %3.0f %%  %s of %s, %s left", strings.Repeat("█", full), strings.Repeat("░", size-full), done*100, line, clockTime(t.Total), clockTime(max(t.Total-t.Elapsed, 0)))
	} else {
		line += ", until interrupted"
	}
	line += fmt.Sprintf("  %d users", t.Users)
	if l.others.limited > 0 {
		line += fmt.Sprintf("  %d limited (429)", l.others.limited)
	}
	if t.Missed > 0 {
		line += fmt.Sprintf("  %d missed", t.Missed)
	}
	if t.Stopping {
		line += fmt.Sprintf("  STOPPING, %d under way (Ctrl-C again gives them up)", t.InFlight)
	}
	return line
}
