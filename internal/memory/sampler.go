package memory

import (
	"errors"
	"fmt"
	"time"

	"github.com/shirou/gopsutil/v3/process"

	"github.com/ragscope/ragscope/internal/recording"
)

// Sampler reads the memory of a target's processes. Not safe for concurrent use.
//
// One process costs three small files of /proc (statm, status, stat), about 70 µs in all
// (BenchmarkSample) whatever its size: these are counters of the kernel. smaps and smaps_rollup would tell
// a little more, but walk every page under the target's mmap lock.
type Sampler struct {
	start time.Time
	procs map[int]*watched
	ended float64 // CPU seconds of processes that are gone
}

type watched struct {
	proc *process.Process
	base float64 // CPU seconds before start
	cpu  float64 // CPU seconds at the last reading
}

// NewSampler makes a sampler whose ticks count from start.
func NewSampler(start time.Time) *Sampler {
	// gopsutil derives a process's start from the boot time and would read that anew from
	// /proc at each reading of the CPU time.
	process.EnableBootTimeCache(true)
	return &Sampler{start: start, procs: map[int]*watched{}}
}

// Sample reads all processes and adds their figures up. Pages that processes share, such as
// libraries and what a worker inherited by fork, count once for each. A process that is gone
// is left out; only when none is left is that an error.
//
// Heap is the anonymous memory in use: the [heap], anonymous private mappings (where malloc
// and the interpreter's arenas put what is large), thread stacks and changed private copies of
// file pages, as rss − shared of statm.
func (s *Sampler) Sample(pids []int) (recording.MemoryTick, error) {
	tick := recording.MemoryTick{T: time.Since(s.start).Seconds()}
	alive := make(map[int]bool, len(pids))
	var failed []error
	for _, pid := range pids {
		if alive[pid] {
			continue
		}
		if err := s.add(&tick, pid); err != nil {
			failed = append(failed, fmt.Errorf("process %d: %w", pid, err))
			continue
		}
		alive[pid] = true
	}
	for pid := range s.procs {
		if !alive[pid] {
			s.forget(pid)
		}
	}
	switch {
	case len(pids) == 0:
		return tick, errors.New("no process to read the memory of: the target has no process ids")
	case len(alive) == 0:
		return tick, fmt.Errorf("read memory of the target, none of whose processes can be read (ended, or /proc is mounted with hidepid): %w", errors.Join(failed...))
	}
	return tick, nil
}

// CPUSeconds is the CPU time, user and system, that the processes used since the sampler's
// start until the last Sample, those that ended meanwhile included.
func (s *Sampler) CPUSeconds() float64 {
	sum := s.ended
	for _, w := range s.procs {
		sum += w.cpu - w.base
	}
	return sum
}

func (s *Sampler) add(tick *recording.MemoryTick, pid int) error {
	w, cpu, err := s.read(pid)
	if err != nil {
		return err
	}
	if cpu < w.cpu { // another process under the same id
		s.forget(pid)
		if w, cpu, err = s.read(pid); err != nil {
			return err
		}
	}
	mem, err := w.proc.MemoryInfoEx()
	if err != nil {
		return fmt.Errorf("read statm: %w", err)
	}
	threads, err := w.proc.NumThreads()
	if err != nil {
		return fmt.Errorf("read status: %w", err)
	}
	w.cpu = cpu
	tick.RSS += mem.RSS
	tick.VMS += mem.VMS
	tick.Heap += mem.RSS - min(mem.Shared, mem.RSS)
	tick.Threads += int(threads)
	return nil
}

// read returns the process and its CPU seconds, and begins to watch it when it is new.
func (s *Sampler) read(pid int) (*watched, float64, error) {
	w := s.procs[pid]
	if w == nil {
		p, err := process.NewProcess(int32(pid))
		if err != nil {
			return nil, 0, err
		}
		w = &watched{proc: p}
	}
	times, err := w.proc.Times()
	if err != nil {
		return nil, 0, fmt.Errorf("read stat: %w", err)
	}
	cpu := times.User + times.System
	if s.procs[pid] == nil {
		if born, err := w.proc.CreateTime(); err != nil || time.UnixMilli(born).Before(s.start) {
			w.base = cpu
		}
		w.cpu = cpu
		s.procs[pid] = w
	}
	return w, cpu, nil
}

func (s *Sampler) forget(pid int) {
	if w := s.procs[pid]; w != nil {
		s.ended += w.cpu - w.base
		delete(s.procs, pid)
	}
}
