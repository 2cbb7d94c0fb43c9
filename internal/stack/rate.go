package stack

import (
	"errors"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ragscope/ragscope/internal/ktime"
)

// periods are those that the CPU clock had, so that each sample gets the one that was full when it was taken. Samples
// are read within a second; what is older than keepPeriods changes is that old.
type periods struct {
	mu    sync.Mutex
	since []periodSince // ascending
}

type periodSince struct {
	time   int64 // CLOCK_MONOTONIC in ns
	period int64 // ns
}

const keepPeriods = 16

func (p *periods) set(time, period int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since = append(p.since, periodSince{time, period}); len(p.since) > keepPeriods {
		p.since = p.since[1:]
	}
}

// at is the period that a sample of that time stands for.
func (p *periods) at(time int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := len(p.since) - 1
	for i > 0 && p.since[i].time > time {
		i--
	}
	return p.since[i].period
}

func (p *periods) now() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.since[len(p.since)-1].period
}

// SetHz changes how often CPUs are sampled, up to what the sampler was made for. Each sample stands for the
// period of its time; what the clock had counted towards the next one is given up.
func (s *Sampler) SetHz(hz int) error {
	if hz < 1 || hz > s.opts.Hz {
		return fmt.Errorf("%d samples a second: give 1 to %d", hz, s.opts.Hz)
	}
	period := int64(time.Second) / int64(hz)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entry == nil || period == s.periods.now() {
		return nil
	}
	if err := s.entry.clock.setPeriod(uint64(period)); err != nil {
		return err
	}
	s.periods.set(ktime.Monotonic(), period)
	return nil
}

// Hz is how often CPUs are sampled now.
func (s *Sampler) Hz() int { return int((int64(time.Second) + s.periods.now()/2) / s.periods.now()) }

// StackSeconds is what a sample takes from the target, 0 while it is not known: the first price is that of a process
// whose files and frames are met for the first time.
func (s *Sampler) StackSeconds() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.price.taken < 2 {
		return 0
	}
	return s.price.seconds
}

func (c *clock) setPeriod(ns uint64) error {
	var errs []error
	for _, fd := range c.events {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.PERF_EVENT_IOC_PERIOD, uintptr(unsafe.Pointer(&ns))); errno != 0 {
			errs = append(errs, errno)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("change the rate of the CPU clock: %w", err)
	}
	return nil
}
