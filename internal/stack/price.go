package stack

import (
	"io"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/ragscope/ragscope/bpf"
)

// price is what a sample costs the thread that it is taken of. The kernel keeps run times only while
// it is asked to, and then of every BPF program of the host, which all get slower by that; so it is asked
// for a stretch now and then.
type price struct {
	stats   io.Closer // run times are kept now
	ran     float64   // seconds, when that began
	ticks   uint64
	due     uint64  // ticks until it begins again
	taken   int     // prices
	seconds float64 // a sample
	counted uint64  // ticks that are in spent
	spent   float64 // seconds
}

const (
	pricedTicks = 50   // samples that make a price
	pricedEvery = 2000 // samples: 20 s of a busy thread
	pricedNext  = 200  // … after the first price, in which the unwinder learned the process
)

// see is told how often the unwinder was entered, and how long it ran as far as that is known.
func (p *price) see(ticks uint64, ran float64, begin func() (io.Closer, error)) {
	switch {
	case p.stats == nil && ticks >= p.due:
		stats, err := begin()
		if err != nil {
			p.due = ticks + pricedEvery
			return
		}
		p.stats, p.ticks, p.ran = stats, ticks, ran
	case p.stats != nil && ticks-p.ticks >= pricedTicks:
		p.seconds = (ran - p.ran) / float64(ticks-p.ticks)
		p.end()
		p.due = ticks + pricedEvery
		if p.taken++; p.taken == 1 {
			p.due = ticks + pricedNext
		}
	}
}

// total is what all samples took: each counts at the price that held when it was counted, the first ones at the
// first price.
func (p *price) total(ticks uint64) float64 {
	if p.seconds > 0 && ticks > p.counted {
		p.spent += p.seconds * float64(ticks-p.counted)
		p.counted = ticks
	}
	return p.spent
}

func (p *price) end() {
	if p.stats != nil {
		_ = p.stats.Close()
		p.stats = nil
	}
}

func keepRunTimes() (io.Closer, error) { return ebpf.EnableStats(unix.BPF_STATS_RUN_TIME) }

// RunSeconds is the CPU time that sampling took from the watched processes, in seconds: their
// threads are unwound where they run. It is made of the number of CPU samples and of what one
// took when that was last measured, 0 before the first measurement, and of what the programs of sleeps measured. Call it about once a second.
func (s *Sampler) RunSeconds() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entry == nil {
		return 0
	}
	ticks, ran := s.entry.priced()
	s.price.see(ticks, ran, keepRunTimes)
	return s.price.total(ticks) + s.entry.offcpu.ran()
}

// CallSeconds is the CPU time that watching calls of allocators took from the watched processes, in seconds, their stacks included; a
// trap takes so many.
func (s *Sampler) CallSeconds(trap float64) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entry == nil {
		return 0
	}
	a := &s.entry.allocs
	return float64(a.count(bpf.AllocAllocCountALLOC_CALLS))*trap + a.ran()
}
