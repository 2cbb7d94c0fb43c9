package watch

import (
	"testing"

	"github.com/ragscope/ragscope/internal/kernel"
)

// govern runs a target that uses a core, at hooks that take the given shares of it, and returns how many seconds
// each step held and the share that was spent.
func govern(g *governor, seconds int, prices [3]float64) (held [3]int, spent float64) {
	at := g.most
	for range seconds {
		held[at]++
		spent += prices[at]
		at = g.next(at, prices[at], 1, 1)
	}
	return held, spent / float64(seconds)
}

func TestGovernor(t *testing.T) {
	for _, tt := range []struct {
		name   string
		budget float64
		most   kernel.Precision
		prices [3]float64
		least  [3]int // seconds of a thousand, at least
	}{
		{"the dearest step fits", .02, kernel.Full, [3]float64{.015, .01, .005}, [3]int{1000, 0, 0}},
		{"it fits half of the time", .02, kernel.Full, [3]float64{.03, .01, .005}, [3]int{450, 400, 0}},
		{"it is far too dear", .02, kernel.Full, [3]float64{.20, .01, .005}, [3]int{40, 900, 0}},
		{"links are too dear as well", .02, kernel.Full, [3]float64{.10, .03, .01}, [3]int{80, 0, 800}},
		{"everything is too dear", .001, kernel.Full, [3]float64{.10, .03, .01}, [3]int{1, 0, 900}},
		{"no budget", 0, kernel.Full, [3]float64{.9, .5, .3}, [3]int{1000, 0, 0}},
		{"only links are wanted", .02, kernel.Linked, [3]float64{.9, .015, .01}, [3]int{0, 1000, 0}},
		{"only links are wanted, and too dear", .02, kernel.Linked, [3]float64{.9, .03, .01}, [3]int{0, 400, 400}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := &governor{budget: tt.budget, most: tt.most}
			held, spent := govern(g, 1000, tt.prices)
			for p, n := range tt.least {
				if held[p] < n {
					t.Errorf("%s held %d of 1000 s, at least %d expected: %v", kernel.Precision(p), held[p], n, held)
				}
			}
			if cheapest := tt.prices[kernel.Sockets]; tt.budget > 0 && cheapest < tt.budget && spent > 1.05*tt.budget {
				t.Errorf("%.2f %% spent of %.2f %% allowed: %v", 100*spent, 100*tt.budget, held)
			}
		})
	}
}

// TestGovernorFollowsTheLoad holds the step while the target is idle, and learns a new price.
func TestGovernorFollowsTheLoad(t *testing.T) {
	g := &governor{budget: .02, most: kernel.Full}
	if at := g.next(kernel.Linked, .5, .001, 1); at != kernel.Linked {
		t.Errorf("an idle target is judged: %s", at)
	}
	if held, _ := govern(g, 300, [3]float64{.2, .01, .005}); held[kernel.Full] > 60 {
		t.Errorf("too dear and held %v", held)
	}
	if held, _ := govern(g, 1000, [3]float64{.015, .01, .005}); held[kernel.Full] < 900 {
		t.Errorf("cheap again and held %v", held)
	}
}

// TestGovernorOfATargetThatWaits allows a service that hardly computes what no machine would notice.
func TestGovernorOfATargetThatWaits(t *testing.T) {
	for _, tt := range []struct {
		hooks float64 // cores, of a target that uses 0.03
		least int     // seconds of a thousand at full precision
		most  int
	}{{.0019, 1000, 1000}, {.004, 400, 429}} /* (2 − 0.5) / (4 − 0.5) of the time */ {
		g := &governor{budget: .02, most: kernel.Full}
		at, full := g.most, 0
		for range 1000 {
			hooks := .0005
			if at == kernel.Full {
				full++
				hooks = tt.hooks
			}
			at = g.next(at, hooks, .03+hooks, 1)
		}
		if full < tt.least || full > tt.most {
			t.Errorf("hooks that take %g cores: full precision held for %d of 1000 s, %d to %d expected", tt.hooks, full, tt.least, tt.most)
		}
	}
}

// TestGovernorKeepsTheAverage counts a step as the watcher does: it is left a second after it was judged too dear, when
// the requests that began in it have ended. The one thing that must be paid in advance is the trial that tells what
// the dearest step costs: the average is inside the budget once that is repaid, and from then on at every instant.
func TestGovernorKeepsTheAverage(t *testing.T) {
	for _, tt := range []struct {
		name   string
		prices [3]float64 // added to a core of the target's own
		repaid int        // seconds
		least  int        // seconds of full in an hour
	}{
		{"a service that calls others", [3]float64{.06, .012, .008}, 15, 500},
		{"a health check", [3]float64{.30, .10, .015}, 200, 40},
		{"links fit and leave little", [3]float64{.15, .0155, .005}, 100, 90},
		{"the dearest step hardly fits", [3]float64{.021, .01, .005}, 5, 3000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := &governor{budget: .02, most: kernel.Full}
			at, wanted := g.most, g.most
			full := 0
			for second := 1; second <= 3600; second++ {
				hooks := tt.prices[at]
				if at == kernel.Full {
					full++
				}
				to := g.next(at, hooks, 1+hooks, 1)
				if at != kernel.Full || to == at || wanted == to {
					at = to
				}
				wanted = to
				if second >= tt.repaid && g.average() > 1.01*g.budget {
					t.Fatalf("%.2f %% on average after %d s, %.0f %% allowed", 100*g.average(), second, 100*g.budget)
				}
			}
			if full < tt.least {
				t.Errorf("full for %d of 3600 s, at least %d expected", full, tt.least)
			}
		})
	}
}

// What somebody asked for is paid back like everything else, and no step is taken for dearer by it.
func TestGovernorPaysBack(t *testing.T) {
	g := &governor{budget: .02, most: kernel.Full}
	at := g.most
	rested := 0
	for second := 1; second <= 600; second++ {
		if second == 20 {
			g.pay(2) // CPU seconds: 100 s of budget
		}
		hooks := .01
		if at != kernel.Full {
			rested++
			hooks = .001
		}
		at = g.next(at, hooks, 1+hooks, 1)
	}
	if rested < 80 || rested > 130 {
		t.Errorf("rested for %d s, about 100 s are owed", rested)
	}
	if g.price[kernel.Full] > .011 {
		t.Errorf("the step is said to cost %.3f", g.price[kernel.Full])
	}
	if g.average() > .02*1.01 {
		t.Errorf("%.4f on average", g.average())
	}
}
