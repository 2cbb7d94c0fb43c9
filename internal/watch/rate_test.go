package watch

import (
	"slices"
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
)

// steps are the rates that seconds at a price lead to.
func (r *rate) steps(at, seconds int, price, cores float64) (held []int) {
	for range seconds {
		at = r.after(at, price, cores)
		if len(held) == 0 || held[len(held)-1] != at {
			held = append(held, at)
		}
	}
	return held
}

func TestRateFitsItsShareOfTheBudget(t *testing.T) {
	const µs = 1e-6
	for _, tt := range []struct {
		name         string
		budget       float64
		most         int
		price, cores float64
		want         int
	}{
		{"a short stack", .02, 97, 40 * µs, 1, 97},
		{"a FastAPI stack takes 0.8 % at 97 Hz, 0.4 % at 47", .02, 97, 85 * µs, 1, 47},
		{"the same at any load", .02, 97, 85 * µs, .3, 47},
		{"a deep stack", .02, 97, 160 * µs, 1, 23},
		{"a small budget", .002, 97, 40 * µs, 1, 11},
		{"a budget for nothing at all", 1e-6, 97, 85 * µs, 1, 11},
		{"no budget", 0, 97, 900 * µs, 1, 97},
		{"the price is not known", .02, 97, 0, 1, 97},
		{"the target hardly runs: 0.2 % of a CPU are always allowed", .02, 97, 85 * µs, .05, 97},
		{"an idle target is not judged", .02, 97, 900 * µs, .001, 97},
		{"more is asked for", .02, 499, 30 * µs, 1, 113},
		{"less is asked for", .02, 29, 30 * µs, 1, 29},
		{"next to nothing is asked for", .001, 5, 900 * µs, 1, 5},
	} {
		r := rate{budget: tt.budget, most: tt.most}
		held := r.steps(tt.most, 60, tt.price, tt.cores)
		if got := held[len(held)-1]; got != tt.want {
			t.Errorf("%s: %d Hz, want %d", tt.name, got, tt.want)
		}
		if len(held) > 2 {
			t.Errorf("%s: by way of %v", tt.name, held)
		}
	}
}

func TestRateHolds(t *testing.T) {
	r := rate{budget: .02, most: 97}
	for second, price := range []float64{85e-6, 40e-6, 85e-6, 85e-6, 40e-6, 85e-6, 85e-6, 85e-6, 85e-6} {
		if at := r.after(97, price, 1); at != 97 {
			t.Errorf("second %d: %d Hz, of a price that held for less than %d s", second, at, rateFor)
		}
	}
	r = rate{budget: .02, most: 97}
	// 51 µs are allowed at 97 Hz, and 0.8 of that on the way up.
	if got := r.steps(97, 20, 52e-6, 1); !slices.Equal(got, []int{97, 47}) {
		t.Errorf("just too dear: %v", got)
	}
	if got := r.steps(47, 20, 45e-6, 1); !slices.Equal(got, []int{47}) {
		t.Errorf("just cheap enough: %v, want no way up", got)
	}
	if got := r.steps(47, 20, 40e-6, 1); !slices.Equal(got, []int{47, 97}) {
		t.Errorf("cheap: %v", got)
	}
	for at, price := 97, 1e-6; price < 1e-2; price *= 1.3 {
		for range 20 {
			at = r.after(at, price, 1)
		}
		if cost := float64(at) * price; at > leastHz && cost > stacksShare*r.budget {
			t.Errorf("%d Hz at %.0f µs: %.2f %% of the target's CPU", at, price*1e6, 100*cost)
		}
		if at < leastHz || !prime(at) {
			t.Errorf("%d Hz", at)
		}
	}
}

func TestRatesSince(t *testing.T) {
	before := map[int]float64{97: 10, 23: 4}
	after := map[int]float64{97: 15, 23: 4, 47: 20}
	want := []recording.StackRate{{Hz: 97, Seconds: 5}, {Hz: 47, Seconds: 20}}
	if got := ratesSince(before, after); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	o := recording.Overhead{StackRates: want}
	if got := o.StackRateText(); got != "97 Hz in 20 % of the time, 47 Hz in 80 % of the time" {
		t.Error(got)
	}
	if o.StackRates = want[:1]; o.StackRateText() != "97 Hz" {
		t.Error(o.StackRateText())
	}
}
