package load

import (
	"math"
	"testing"
	"time"
)

// changes follows a plan to its end and lists the instants in milliseconds at which the crowd
// grows (positive) or shrinks (negative).
func changes(t *testing.T, p Plan) (out []int64, n int) {
	t.Helper()
	var at time.Duration
	for range 1000 {
		next, by, _ := p.Change(n, at)
		if by == 0 {
			return out, n
		}
		if next < at {
			t.Fatalf("%v goes back to %v at %v", p, next, at)
		}
		n, at = n+by, next
		out = append(out, int64(by)*max(next.Milliseconds(), 1))
	}
	t.Fatalf("%v never rests", p)
	return nil, 0
}

func TestCrowdFollowsThePlan(t *testing.T) {
	up := Plan{}.To(0, 3, 10)
	tests := map[string]struct {
		plan Plan
		want []int64
		n    int
	}{
		"up":                    {up, []int64{1, 100, 200}, 3},
		"nobody":                {Plan{}, nil, 0},
		"at once":               {Plan{}.To(time.Second, 3, 0), []int64{1000, 1000, 1000}, 3},
		"up and down":           {up.To(time.Second, 1, 10), []int64{1, 100, 200, -1100, -1200}, 1},
		"to nobody at once":     {up.To(time.Second, 0, 0), []int64{1, 100, 200, -1000, -1000, -1000}, 0},
		"turned round half way": {up.To(150*time.Millisecond, 0, 10), []int64{1, 100, -200, -300}, 0},
		"thirds do not add up":  {Plan{}.To(0, 4, 3), []int64{1, 333, 666, 1000}, 4},
		"a fraction of a user":  {Plan{}.To(0, 2.5, 10), []int64{1, 100, 200}, 3},
	}
	for name, tt := range tests {
		got, n := changes(t, tt.plan)
		if len(got) != len(tt.want) || n != tt.n {
			t.Errorf("%s: %v, %d users; want %v, %d", name, got, n, tt.want, tt.n)
			continue
		}
		for i := range got {
			if d := got[i] - tt.want[i]; d < -1 || d > 1 {
				t.Errorf("%s: %v, want %v", name, got, tt.want)
				break
			}
		}
	}
	if at, by, resting := up.To(time.Second, 9, 10).Change(3, 500*time.Millisecond); at != time.Second || by != 1 || !resting {
		t.Errorf("between two ramps: %v, %d, %v; want a rest until 1s", at, by, resting)
	}
}

// Requests are sent when the rate has added up to their number, so that a ramp sends as many as
// the area below it.
func TestPaceOfARamp(t *testing.T) {
	s := parse(t, "stages: [{rate: 100, duration: 10s}, {rate: 0, spawn_rate: 50, duration: 10s}, {rate: 10, duration: 10s}]\ntasks: [{request: {path: /}}]\n")
	p := planOf(s)
	for at, want := range map[time.Duration]float64{5 * time.Second: 50, 10 * time.Second: 100, 11 * time.Second: 50, 12 * time.Second: 0, 15 * time.Second: 0, 25 * time.Second: 5, time.Minute: 10} {
		if got := p.Level(at); math.Abs(got-want) > 1e-9 {
			t.Errorf("at %v: %g, want %g", at, got, want)
		}
	}
	const all = 500 + 100 + 50 // triangles of 10 s, 2 s and 10 s
	if got := p.Sum(30 * time.Second); math.Abs(got-all) > 1e-6 {
		t.Errorf("%g requests are due, want %d", got, all)
	}
	pace := Even{p}
	var previous time.Duration
	for hit := range uint64(all) {
		at := pace.Next(previous, hit)
		if math.Abs(p.Sum(at)-float64(hit)) > 1e-3 || at < previous || at > 30*time.Second {
			t.Fatalf("hit %d at %v (after %v), when %g are due", hit, at, previous, p.Sum(at))
		}
		previous = at
	}
	if at := (Even{planOf(s).To(12*time.Second, 0, 0)}).Next(0, 601); at != math.MaxInt64 {
		t.Errorf("without any rate a request is due at %v", at)
	}
}

// A new rate begins where the old one was left: no request is due twice, none is left out.
func TestRateChangesKeepTheCount(t *testing.T) {
	p := steady(100)
	for i := range 50 {
		at := time.Duration(i+1) * 333 * time.Millisecond
		before := p.Sum(at)
		p = p.since(at).To(at, float64(10+i%7*40), float64(i%3*25))
		if got := p.Sum(at); math.Abs(got-before) > 1e-6 {
			t.Fatalf("change %d at %v: %g are due, before %g", i, at, got, before)
		}
		if n := math.Floor(before) + 1; p.When(n) <= at {
			t.Fatalf("change %d: request %g is due at %v, before the change at %v", i, n, p.When(n), at)
		}
	}
	if len(p.steps) > 3 {
		t.Errorf("%d steps are kept", len(p.steps))
	}
}

// A Poisson pace sends on average what the plan says, on a ramp, too.
func TestPoissonOnARamp(t *testing.T) {
	p := Poisson{Plan{}.To(0, 2000, 20), 3} // over 100 s: 100,000 requests
	var at time.Duration
	var half, all int
	for hit := uint64(0); ; hit++ {
		if at = p.Next(at, hit); at > 100*time.Second {
			break
		}
		if all++; at < 50*time.Second {
			half++
		}
	}
	if math.Abs(float64(all)-100_000) > 1500 || math.Abs(float64(half)-25_000) > 800 {
		t.Errorf("%d requests, %d of them in the first half; want about 100000 and 25000", all, half)
	}
}
