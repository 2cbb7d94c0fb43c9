package stack

import (
	"testing"
	"time"
)

func TestThePeriodOfSleepsFollowsTheirCost(t *testing.T) {
	for _, c := range []struct {
		name      string
		p         time.Duration
		took, may float64
		want      time.Duration
	}{
		{"too dear", minPeriod, 0.011, 0.01, 2 * minPeriod},
		{"as it may be", 4 * minPeriod, 0.01, 0.01, 4 * minPeriod},
		{"twice as much would be too dear", 4 * minPeriod, 0.003, 0.01, 4 * minPeriod},
		{"cheap", 4 * minPeriod, 0.002, 0.01, 2 * minPeriod},
		{"never below that of the CPU clock", minPeriod, 0, 0.01, minPeriod},
		{"nor above its bound", maxPeriod, 1, 0.01, maxPeriod},
		{"nothing slept, nothing may", 2 * minPeriod, 0, 0, 2 * minPeriod},
	} {
		if got := nextPeriod(c.p, c.took, c.may); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	// A thousand threads that sleep: the samples of a second cost what they may after some seconds, and stay there.
	const each, may = 50e-6, 0.005
	p := minPeriod
	for range 20 {
		p = nextPeriod(p, 1000/p.Seconds()*each, may)
	}
	if cost := 1000 / p.Seconds() * each; cost > may || cost < may/4 {
		t.Errorf("%v: %.4f s a second, %.4f may be", p, cost, may)
	}
}
