package stack

import "time"

// Bounds of the period of sleep of which one sample is taken. The shortest one is that of the CPU clock; at the longest,
// 10 s, sampling a thousand sleeping threads costs 5 ms a second.
const (
	minPeriod = time.Second / DefaultHz
	maxPeriod = 1024 * minPeriod
)

// nextPeriod doubles or halves the period, as unwinding of sleeps took more than it may, or less than a quarter of it:
// half the period costs at most twice as much.
func nextPeriod(p time.Duration, took, may float64) time.Duration {
	switch {
	case took > may:
		return min(2*p, maxPeriod)
	case took < may/4:
		return max(p/2, minPeriod)
	}
	return p
}

// SteerSleeps fits the period of sleeps to what sampling them may take from the watched processes, in CPU seconds
// since the last call. Values stay right: a sample stands for the period that was full. Call it about once a second.
func (s *Sampler) SteerSleeps(may float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entry == nil || s.entry.offcpu.why != nil {
		return
	}
	o := &s.entry.offcpu
	took := o.unwinding()
	next := nextPeriod(o.period, took-o.unwound, may)
	o.unwound = took
	if next == o.period {
		return
	}
	if err := o.setPeriod(next); err != nil {
		s.opts.Logger.Warn("sleeps are sampled as often as before", "error", err)
	}
}
