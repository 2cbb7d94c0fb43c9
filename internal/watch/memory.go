package watch

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/export/memoryfile"
	"github.com/ragscope/ragscope/internal/memory"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/stack"
)

// maxMemoryTicks bounds the memory timeline to 6 hours at one a second.
const maxMemoryTicks = 6 * 3600

func (s *slowFacts) remember(t recording.MemoryTick) {
	if len(s.ticks) == maxMemoryTicks {
		s.ticks = s.ticks[1:]
	}
	s.ticks = append(s.ticks, t)
}

// arena is the size of the arenas that a process's CPython takes memory in; 0 where it is none.
func (w *Watcher) arena(pid int) uint64 {
	w.mu.Lock()
	py := w.pythons[uint32(pid)]
	w.mu.Unlock()
	if py == nil {
		return 0
	}
	minor, _, _ := strings.Cut(strings.TrimPrefix(py.Version, "3."), ".")
	if n, err := strconv.Atoi(minor); err == nil && n < 10 {
		return 256 << 10
	}
	return 1 << 20
}

// lookAtMemory takes the last reading of a run, what memory consists of included.
func (w *Watcher) lookAtMemory() {
	w.countAgain()
	w.lookAtLimit()
	w.memory.LookSoon()
	tick, err := w.memory.Sample(w.pids(), w.crowds())
	if err != nil {
		w.log.Debug("the last reading of memory", "error", err) // the target has ended: what was read before stays
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slow.remember(tick)
}

// crowds are the most requests that each process had under way since the last reading of its memory.
func (w *Watcher) crowds() map[uint32]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tracker.Crowds()
}

// addMemory adds the readings since begin. Called under mu.
func (w *Watcher) addMemory(r *recording.Recording, begin moment) {
	offset := begin.wall.Sub(w.begin.wall).Seconds()
	m, missing := w.memory.Memory(offset)
	m.Timeline = memory.Since(w.slow.ticks, offset)
	m.Hotspots = []recording.Hotspot{}
	r.Memory = m
	r.NotMeasured = append(r.NotMeasured, missing...)
	w.census.add(r)
}

// addHotspots adds the stacks that took memory since the agent attached.
func (w *Watcher) addHotspots(r *recording.Recording) {
	w.mu.Lock()
	why := w.allocationsWhy()
	w.mu.Unlock()
	var total *stack.Profile
	if tally := w.Tally(stack.Alloc); tally != nil {
		total = tally.Total(time.Now())
	}
	spots, err := memory.Hotspots(total)
	w.addAllocations(r)
	switch {
	case err == nil:
		r.Memory.Hotspots = spots
	case why != "":
		noHotspots(r, why)
	default:
		noHotspots(r, err.Error())
	}
}

// ofAPart is why a stretch of the run has no hot spots.
const ofAPart = "the stacks are summed up over the whole run, not by window: see the agent's own recording"

func noHotspots(r *recording.Recording, why string) {
	r.NotMeasured = append(r.NotMeasured, recording.NotMeasured{What: memoryfile.Hotspots, Why: why})
}

// judgeMemory adds limits, growth and verdict.
func (w *Watcher) judgeMemory(r *recording.Recording) {
	limits := []recording.MemoryLimit{}
	if w.opts.MemoryLimit > 0 {
		limits = append(limits, recording.MemoryLimit{What: "asked for", Basis: "--memory-limit", Bytes: w.opts.MemoryLimit})
	}
	w.mu.Lock()
	cgroup, why := w.cgroup, w.cgroupWhy
	w.mu.Unlock()
	if cgroup != nil {
		limits = append(limits, *cgroup)
	}
	if why != nil {
		r.NotMeasured = append(r.NotMeasured, recording.NotMeasured{What: "memory limit of the cgroup", Why: why.Error()})
	}
	r.Memory.Limits = memory.Limits(r.Memory.Timeline, limits)
	memory.Conclude(&r.Memory, r.Timeline)
}

// lookAtLimit reads the limit of the target's cgroup; that of a target that has ended stays.
func (w *Watcher) lookAtLimit() {
	pids := w.pids()
	if len(pids) == 0 {
		return
	}
	limit, err := memory.CgroupLimit(pids[0])
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cgroup, w.cgroupWhy = limit, err
}
