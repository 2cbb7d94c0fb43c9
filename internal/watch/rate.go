package watch

import (
	"maps"
	"slices"

	"github.com/ragscope/ragscope/internal/recording"
)

// rate keeps the price of CPU stacks inside their share of the overhead budget. A sample is taken of a CPU that the
// target uses, so rate × price is the share of the target's CPU that stacks take, whatever its load. It is pure: it
// is told each second what a stack costs and says how many a second are taken in the next one.
type rate struct {
	budget float64 // share of the target's CPU, for all that watching takes; 0: no limit
	most   int     // stacks a second to take where they are cheap

	next int // that would be right
	held int // seconds that it has been
}

const (
	stacksShare = 0.25 // of the budget
	rateFor     = 5    // seconds that another rate must have been right for
	rateRoom    = 0.8  // of the allowed price, below which a higher rate is right
	leastHz     = 11   // a stack that takes a hundredth of the CPU is still met 6 times in a minute of a busy core
)

// after is the rate of the next second, where a second at a rate took so much of a stack, of a target that used so
// many cores. The price is in seconds, 0 while it is not known.
func (r *rate) after(at int, price, cores float64) int {
	if r.budget <= 0 || price <= 0 || cores < idleBelow {
		r.held = 0
		return at
	}
	right := r.fitting(at, stacksShare*max(r.budget, free/cores)/price)
	if right != r.next {
		r.next, r.held = right, 0
	}
	if right == at {
		return at
	}
	if r.held++; r.held < rateFor {
		return at
	}
	r.held = 0
	return right
}

// fitting is the highest step that so many stacks a second allow; one above the present rate must leave room.
func (r *rate) fitting(at int, allowed float64) int {
	for hz := r.most; ; hz = below(hz) {
		may := allowed
		if hz > at {
			may *= rateRoom
		}
		if float64(hz) <= may || below(hz) < leastHz {
			return hz
		}
	}
}

// below is the next step: the largest prime of up to half the rate, so that samples never keep step with what the
// target does every 10 or 100 ms.
func below(hz int) int {
	for n := hz / 2; n > 1; n-- {
		if prime(n) {
			return n
		}
	}
	return 0
}

func prime(n int) bool {
	for d := 2; d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return n > 1
}

// steerStacks fits the rate of CPU stacks to the budget, as the target used so much CPU in the last seconds.
func (w *Watcher) steerStacks(used, seconds float64) {
	if !w.sampling() || w.memoryOnly() {
		return
	}
	s := w.sampler.Load()
	w.stackRate.budget, w.stackRate.most = w.opts.Budget, w.opts.CPUHz
	at := s.Hz()
	to := w.stackRate.after(at, s.StackSeconds(), used/seconds)
	if to == at {
		return
	}
	if err := s.SetHz(to); err != nil {
		w.log.Warn("CPU stacks are sampled as often as before", "error", err)
		return
	}
	w.log.Info("the rate of CPU stacks follows the overhead budget", "hz", to, "before", at, "a stack costs", durationOf(int64(s.StackSeconds()*1e9)))
}

// ratesSince is how long each rate held between two readings, the highest first.
func ratesSince(before, after map[int]float64) (out []recording.StackRate) {
	for _, hz := range slices.Backward(slices.Sorted(maps.Keys(after))) {
		if seconds := after[hz] - before[hz]; seconds > 0 {
			out = append(out, recording.StackRate{Hz: hz, Seconds: seconds})
		}
	}
	return out
}
