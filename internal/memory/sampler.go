package memory

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ragscope/ragscope/internal/ktime"
	"github.com/ragscope/ragscope/internal/recording"
)

// maxProcesses bounds the processes whose readings are kept apart, 80 kB each; further ones are in
// the sum, and counted.
const maxProcesses = 64

// Sampler reads the memory of a target's processes. Sample is for one goroutine; what it keeps can
// be asked for by others.
type Sampler struct {
	start time.Time
	boot  float64 // start, in seconds since boot
	arena func(pid int) uint64
	procs map[int]*process
	ended float64 // CPU seconds of processes that are gone

	mu       sync.Mutex // of what follows
	kept     []*keeper
	unkept   int // processes that found no room
	parts    recording.MemoryParts
	partsWhy error // why there are none of all processes; nil and no parts: not yet looked
	look     look
}

// keeper is what is kept of one process.
type keeper struct {
	pid   int
	name  string
	from  float64 // seconds from the sampler's start
	to    float64
	ended bool
	line  timeline
	parts *recording.MemoryParts
}

// NewSampler makes a sampler whose ticks count from start. arena tells the size of the arenas of a
// process's CPython, 0 where it is not one; nil: of no process.
func NewSampler(start time.Time, arena func(pid int) uint64) *Sampler {
	if arena == nil {
		arena = func(int) uint64 { return 0 }
	}
	return &Sampler{start: start, boot: float64(ktime.Boot())/1e9 - time.Since(start).Seconds(), arena: arena, procs: map[int]*process{}}
}

// Sample reads all processes and adds their figures up. Pages that processes share, such as
// libraries and what a worker inherited by fork, count once for each, but for PSS. A process that
// is gone is left out; only when none is left is that an error. active are the most requests that
// each process had under way since the Sample before, by pid; nil: not known.
//
// Heap is the anonymous memory in use: the [heap], anonymous private mappings (where malloc
// and the interpreter's arenas put what is large), thread stacks and changed private copies of
// file pages.
func (s *Sampler) Sample(pids []int, active map[uint32]int64) (recording.MemoryTick, error) {
	sum := recording.MemoryTick{T: time.Since(s.start).Seconds()}
	alive := make(map[int]bool, len(pids))
	var failed []error
	for _, pid := range pids {
		if alive[pid] {
			continue
		}
		t, err := s.read(pid, sum.T, active[uint32(pid)])
		if err != nil {
			failed = append(failed, fmt.Errorf("process %d: %w", pid, err))
			continue
		}
		alive[pid] = true
		sum.RSS, sum.VMS, sum.Heap, sum.Swap = sum.RSS+t.RSS, sum.VMS+t.VMS, sum.Heap+t.Heap, sum.Swap+t.Swap
		sum.Threads, sum.FDs, sum.Active = sum.Threads+t.Threads, sum.FDs+t.FDs, sum.Active+t.Active
	}
	for pid := range s.procs {
		if !alive[pid] {
			s.forget(pid)
		}
	}
	switch {
	case len(pids) == 0:
		return sum, errors.New("no process to read the memory of: the target has no process ids")
	case len(alive) == 0:
		return sum, fmt.Errorf("read memory of the target, none of whose processes can be read (ended, or /proc is mounted with hidepid): %w", errors.Join(failed...))
	}
	sum.PSS = s.lookIfDue(sum)
	return sum, nil
}

// CPUSeconds is the CPU time, user and system, that the processes used since the sampler's
// start until the last Sample, those that ended meanwhile included.
func (s *Sampler) CPUSeconds() float64 {
	sum := s.ended
	for _, p := range s.procs {
		sum += p.cpu - p.base
	}
	return sum
}

// Close lets go of /proc.
func (s *Sampler) Close() {
	for pid := range maps.Keys(s.procs) {
		s.forget(pid)
	}
}

// read reads one process, and begins to watch it when it is new.
func (s *Sampler) read(pid int, at float64, active int64) (recording.MemoryTick, error) {
	p, c, err := s.counters(pid)
	if err != nil {
		return recording.MemoryTick{}, err
	}
	p.cpu, p.rss = c.cpu, c.rss
	t := recording.MemoryTick{T: at, RSS: c.rss, VMS: c.vms, Heap: c.anonymous, Swap: c.swap, Threads: c.threads, FDs: c.fds, Active: active}
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keeper(pid); k != nil {
		if len(k.line.ticks) == 0 {
			k.from = at
		}
		k.name, k.to = c.name, at
		k.line.add(t)
	}
	return t, nil
}

func (s *Sampler) counters(pid int) (*process, counters, error) {
	p := s.procs[pid]
	if p != nil {
		c, err := p.read()
		if !errors.Is(err, errEnded) {
			return p, c, err
		}
		s.forget(pid) // another process may have taken its number
	}
	p, err := open(pid)
	if err != nil {
		return nil, counters{}, err
	}
	c, err := p.read()
	if err != nil {
		p.close()
		return nil, c, err
	}
	if c.started < s.boot {
		p.base = c.cpu
	}
	s.procs[pid] = p
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) < maxProcesses {
		s.kept = append(s.kept, &keeper{pid: pid})
	} else {
		s.unkept++
	}
	return p, c, nil
}

// keeper of a process that lives.
func (s *Sampler) keeper(pid int) *keeper {
	for _, k := range s.kept {
		if k.pid == pid && !k.ended {
			return k
		}
	}
	return nil
}

func (s *Sampler) forget(pid int) {
	p := s.procs[pid]
	if p == nil {
		return
	}
	s.ended += p.cpu - p.base
	p.close()
	delete(s.procs, pid)
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keeper(pid); k != nil {
		k.ended = true
	}
}

// Memory returns what was kept of each process, and what they consist of, since a time in seconds
// from the sampler's start, which becomes 0; the ticks of all together are the caller's. missing
// says what is not measured.
func (s *Sampler) Memory(since float64) (m recording.Memory, missing []recording.NotMeasured) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.kept {
		ticks := Since(k.line.ticks, since)
		if len(ticks) == 0 {
			continue
		}
		m.Processes = append(m.Processes, recording.MemoryProcess{
			PID: k.pid, Name: k.name, From: max(0, k.from-since), To: k.to - since, Ended: k.ended, Timeline: ticks, Composition: moved(k.parts, since),
		})
	}
	slices.SortStableFunc(m.Processes, func(a, b recording.MemoryProcess) int { return cmp.Compare(a.PID, b.PID) })
	if s.unkept > 0 {
		missing = append(missing, recording.NotMeasured{What: "memory of each process", Why: fmt.Sprintf("the target had more than %d processes: %d of them are in the sum only", maxProcesses, s.unkept)})
	}
	switch {
	case s.partsWhy != nil:
		missing = append(missing, recording.NotMeasured{What: "PSS, what memory consists of", Why: s.partsWhy.Error()})
	case s.parts.RSS > 0:
		m.Composition = moved(&s.parts, since)
	}
	return m, missing
}

// Since returns the ticks from a time on, which becomes 0.
func Since(ticks []recording.MemoryTick, since float64) []recording.MemoryTick {
	out := []recording.MemoryTick{}
	for _, t := range ticks {
		if t.T >= since {
			t.T -= since
			out = append(out, t)
		}
	}
	return out
}

func moved(p *recording.MemoryParts, since float64) *recording.MemoryParts {
	if p == nil {
		return nil
	}
	c := *p
	c.T -= since
	c.Parts = slices.Clone(p.Parts)
	return &c
}
