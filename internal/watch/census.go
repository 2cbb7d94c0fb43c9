package watch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ragscope/ragscope/internal/memory/census"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/target"
)

const (
	// firstCensus is when the containers are first counted: by then imports and connection pools are done.
	firstCensus = 15 * time.Second

	leastGrown    = 100 // entries; less comes and goes
	maxContainers = 30
)

// censuses are the counts of the target's Python processes.
type censuses struct {
	mu       sync.Mutex
	first    map[int]*census.Count // by process
	firstWhy string                // why it is not of all, ""
	grown    []recording.Container
	why      string // why there are none, or not of all; "" once all were counted twice
}

func newCensuses() *censuses {
	return &censuses{first: map[int]*census.Count{}, why: fmt.Sprintf("they are counted %s after the begin and at the end of a run", firstCensus)}
}

// countSoon takes the first census.
func (w *Watcher) countSoon(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(firstCensus):
	}
	first, why := w.count()
	w.census.mu.Lock()
	defer w.census.mu.Unlock()
	w.census.first, w.census.firstWhy = first, why
}

// count takes a census of every process. It takes about a second for a million objects.
func (w *Watcher) count() (counts map[int]*census.Count, why string) {
	counts = map[int]*census.Count{}
	for _, pid := range w.pids() {
		w.mu.Lock()
		py := w.pythons[uint32(pid)]
		w.mu.Unlock()
		if py == nil {
			why = cmp.Or(why, fmt.Sprintf("process %d is not CPython", pid))
			continue
		}
		begin := time.Now()
		c, err := census.Take(interpreterOf(pid, py))
		if err != nil {
			why = cmp.Or(why, fmt.Sprintf("process %d: %v", pid, err))
			continue
		}
		if !c.Whole {
			why = cmp.Or(why, fmt.Sprintf("process %d: its objects changed while they were counted, or are too many: %d were looked at", pid, c.Objects))
		}
		w.log.Debug("containers counted", "pid", pid, "objects", c.Objects, "whole", c.Whole, "seconds", time.Since(begin).Seconds())
		counts[pid] = c
	}
	return counts, why
}

func interpreterOf(pid int, py *target.Python) census.Interpreter {
	return census.Interpreter{PID: pid, Minor: py.Minor, Runtime: py.Runtime, RuntimeEnd: py.RuntimeEnd, InterpHead: uint64(py.Offsets.InterpHead)}
}

// countAgain takes the last census and keeps what grew since the first.
func (w *Watcher) countAgain() {
	s := w.census
	if s == nil {
		return
	}
	s.mu.Lock()
	first, firstWhy := s.first, s.firstWhy
	s.mu.Unlock()
	if len(first) == 0 && firstWhy == "" {
		return // it ends before the first
	}
	last, why := w.count()
	if len(last) == 0 {
		why = cmp.Or(why, "the target had ended before the second count")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why = cmp.Or(firstWhy, why)
	for pid, c := range last {
		before := first[pid]
		if before == nil {
			continue // it began later
		}
		for _, g := range census.Grown(before, c) {
			if g.After-g.Before >= leastGrown {
				s.grown = append(s.grown, recording.Container{PID: pid, Type: g.Type, Name: g.Name, Before: g.Before, After: g.After, Users: g.Users})
			}
		}
	}
	slices.SortStableFunc(s.grown, func(a, b recording.Container) int { return cmp.Compare(b.After-b.Before, a.After-a.Before) })
	s.grown = s.grown[:min(maxContainers, len(s.grown))]
}

// add puts into r what grew, or why that is not known.
func (s *censuses) add(r *recording.Recording) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Memory.Containers = slices.Clone(s.grown)
	if s.why != "" {
		r.NotMeasured = append(r.NotMeasured, recording.NotMeasured{What: "memory held by Python's containers", Why: s.why})
	}
}
