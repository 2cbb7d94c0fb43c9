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
