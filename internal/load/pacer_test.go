package load

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"
)

func steady(rate float64) Plan { return Plan{}.To(0, rate, 0) }

func TestEvenPace(t *testing.T) {
	tests := []struct {
		rate float64
		hit  uint64
		want time.Duration
	}{
		{50, 0, 0},
		{50, 1, 20 * time.Millisecond},
		{50, 3000, time.Minute},
		{0.5, 3, 6 * time.Second},
		{3, 3_000_000, 1_000_000 * time.Second}, // thirds do not add up to an error
		{1e-9, 1e10, math.MaxInt64},
	}
	for _, tt := range tests {
		if got := (Even{steady(tt.rate)}).Next(12345, tt.hit); got != tt.want {
			t.Errorf("hit %d at %g/s: %v, want %v", tt.hit, tt.rate, got, tt.want)
		}
	}
}

// Gaps of the Poisson pace have mean 1/rate and a standard deviation as large; they repeat.
func TestPoissonPace(t *testing.T) {
	const n, rate = 200_000, 100
	p := Poisson{steady(rate), 7}
	var previous time.Duration
	var sum, squares float64
	for hit := range uint64(n) {
		at := p.Next(previous, hit)
		if at < previous {
			t.Fatalf("hit %d goes back", hit)
		}
		gap := (at - previous).Seconds()
		sum, squares, previous = sum+gap, squares+gap*gap, at
	}
	mean := sum / n
	deviation := math.Sqrt(squares/n - mean*mean)
	if math.Abs(mean*rate-1) > 0.015 || math.Abs(deviation*rate-1) > 0.02 {
		t.Errorf("mean gap %.5f s, deviation %.5f s, want both near %.5f", mean, deviation, 1.0/rate)
	}
	first, again := p.Next(5, 3), p.Next(5, 3)
	if first != again || first == (Poisson{steady(rate), 8}).Next(5, 3) {
		t.Error("a gap does not depend on seed and hit alone")
	}
}

func TestWaitIsNeverNegative(t *testing.T) {
	if Wait(5, 3) != 2 || Wait(3, 5) != 0 {
		t.Error("Wait(5,3), Wait(3,5) =", Wait(5, 3), Wait(3, 5))
	}
}

func TestAlarm(t *testing.T) {
	a, err := newAlarm()
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	start := time.Now()
	if err := a.wait(context.Background(), 3*time.Millisecond); err != nil || time.Since(start) < 3*time.Millisecond {
		t.Errorf("woke after %v, %v", time.Since(start), err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(5*time.Millisecond, cancel)
	if err := a.wait(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled wait returned %v", err)
	}
}

// exponentialD is Kolmogorov and Smirnov's D of gaps against the exponential distribution.
func exponentialD(gaps []float64, rate float64) float64 {
	gaps = slices.Sorted(slices.Values(gaps))
	n, d := float64(len(gaps)), 0.0
	for i, g := range gaps {
		f := 1 - math.Exp(-g*rate)
		d = max(d, f-float64(i)/n, float64(i+1)/n-f)
	}
	return d
}

// The gaps of the Poisson pace pass Kolmogorov and Smirnov's test at 1 %; even ones do not.
func TestPoissonPassesKolmogorovSmirnov(t *testing.T) {
	const n, rate = 20_000, 2000.0
	limit, plan := 1.628/math.Sqrt(n), Plan{}.To(0, rate, 0)
	for name, p := range map[string]Pacer{"poisson": Poisson{plan, 7}, "even": Even{plan}} {
		var previous time.Duration
		gaps := make([]float64, n)
		for hit := range gaps {
			at := p.Next(previous, uint64(hit))
			gaps[hit], previous = (at - previous).Seconds(), at
		}
		if d := exponentialD(gaps, rate); (d <= limit) != (name == "poisson") {
			t.Errorf("%s: D is %.4f, the limit %.4f", name, d, limit)
		}
	}
}
