package memory

import (
	"errors"
	"fmt"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
)

// PSS and the kinds of mapping come from smaps: the kernel walks every page of the process, which
// takes 35 µs a megabyte (19 ms at 545 MB; smaps_rollup, which tells less, takes 17), and for as
// long as that an mmap, munmap or brk of the target has to wait: of 250,000 mappings made in 4 s
// the slowest took 1.6 ms without it and 20 ms with it. So there is a look at the begin and at the
// end; between them at most every minute, and so seldom that it takes no more than one
// five-thousandth of the time: at 545 MB every 95 s.
const (
	lookEvery  = time.Minute
	lookRarity = 5000 // times as long as a look took is the pause after it
	maxLook    = 4 << 30
)

// look is when smaps is read.
type look struct{ next time.Time }

// LookSoon makes the next Sample read smaps, so that the end of a run is told of.
func (s *Sampler) LookSoon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look.next = time.Time{}
}

// lookIfDue reads smaps of all processes and returns the sum of their PSS, 0 where it is not the
// time, or one of them could not be read.
func (s *Sampler) lookIfDue(sum recording.MemoryTick) uint64 {
	s.mu.Lock()
	due := !time.Now().Before(s.look.next)
	s.mu.Unlock()
	if !due {
		return 0
	}
	var parts []recording.MemoryParts
	longest := time.Duration(0)
	var why error
	for pid, p := range s.procs {
		begin := time.Now()
		m, err := s.lookAt(pid, p)
		longest = max(longest, time.Since(begin))
		if errors.Is(err, errEnded) {
			continue // the next Sample forgets it
		}
		if err != nil {
			why = fmt.Errorf("process %d: %w", pid, err)
			break
		}
		m.T = sum.T
		parts = append(parts, m)
		s.mu.Lock()
		if k := s.keeper(pid); k != nil {
			k.parts = &m
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look.next = time.Now().Add(max(lookEvery, lookRarity*longest))
	if s.partsWhy = why; why != nil {
		return 0
	}
	s.parts = together(parts)
	return s.parts.PSS
}

func (s *Sampler) lookAt(pid int, p *process) (recording.MemoryParts, error) {
	if p.rss > maxLook {
		return recording.MemoryParts{}, fmt.Errorf("with %s resident a look at every page would hold the target up for longer than 0.1 s", recording.Bytes(float64(p.rss)))
	}
	maps, err := p.mappings()
	if err != nil {
		return recording.MemoryParts{}, err
	}
	return consistsOf(maps, s.arena(pid)), nil
}
