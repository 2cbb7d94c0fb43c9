package memory

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
)

// crowds are how many requests are under way on average in the course of three minutes of load. Of a leak beside
// them it is said whether it must be found: where there are 90 s of load, and 60 in which the crowd does not grow.
var crowds = map[string]struct {
	at    func(t float64) float64
	found bool
}{
	"few":                {func(float64) float64 { return 2 }, true},
	"steady":             {func(float64) float64 { return 200 }, true},
	"rises till 1:00":    {func(t float64) float64 { return 200 * min(1, t/60) }, true},
	"rises till 2:00":    {func(t float64) float64 { return 200 * min(1, t/120) }, false},
	"rises to the end":   {func(t float64) float64 { return 200 * t / 180 }, false},
	"rises ever faster":  {func(t float64) float64 { return 200 * t * t / 180 / 180 }, false},
	"rises by steps":     {func(t float64) float64 { return 20 + 45*math.Floor(t/40) }, false},
	"falls":              {func(t float64) float64 { return 200 - t }, true},
	"in waves of 30 s":   {func(t float64) float64 { return 100 - 90*math.Cos(2*math.Pi*t/30) }, true},
	"in waves of 2:00":   {func(t float64) float64 { return 100 - 90*math.Cos(2*math.Pi*t/120) }, true},
	"comes at 1:20":      {func(t float64) float64 { return map[bool]float64{false: 5, true: 200}[t > 80 && t < 110] }, true},
	"comes back at 2:00": {func(t float64) float64 { return map[bool]float64{false: 5, true: 200}[t < 30 || t > 120] }, true},
}

// crowded is memory of which each request under way takes 30 kB as long as it lasts, and of which the allocator keeps
// 80 kB more for each of the largest crowd that there was, taken in the course of so many seconds.
func crowded(n int, crowd func(t float64) float64, slowness, leak float64, seed uint64) ([]recording.MemoryTick, []recording.Tick) {
	r := rand.New(rand.NewPCG(seed, 11))
	requests := load(n, func(t int) float64 { return 20 + crowd(float64(t))/2 })
	var kept, most, count, wander float64
	ticks := series(n, func(int) float64 { return 0 })
	for i := range ticks {
		mean := crowd(float64(i))
		active := max(0, math.Round(mean+math.Sqrt(mean)*r.NormFloat64()))
		most = max(most, active)
		kept += (1 - math.Exp(-1/slowness)) * (80e3*most - kept)
		wander = .7*wander + 30e3*r.NormFloat64()
		ticks[i].Active = int64(active)
		ticks[i].RSS = uint64(60*mib+kept+30e3*active+leak*count+wander) / 4096 * 4096
		count += float64(requests[i].Requests)
	}
	return ticks, requests
}

// ever reports whether a leak is suspected at one of the looks each 10 s.
func ever(ticks []recording.MemoryTick, requests []recording.Tick) bool {
	for end := 60; end <= len(ticks); end += 10 {
		if Judge(ticks[:end], requests).Verdict == LeakSuspected {
			return true
		}
	}
	return false
}

// A crowd is never called a leak, at no time; a leak of 1 MB by 1,000 requests is called one beside it.
func TestCrowdIsNoLeak(t *testing.T) {
	const n, seeds = 180, 40
	blind := 0 // crowds that would be called leaks if nobody knew of them
	for name, crowd := range crowds {
		t.Run(name, func(t *testing.T) {
			for _, slowness := range []float64{1, 3} {
				wrong, found := 0, 0
				for seed := range uint64(seeds) {
					ticks, requests := crowded(n, crowd.at, slowness, 0, seed)
					if ever(ticks, requests) {
						wrong++
					}
					leaking, _ := crowded(n, crowd.at, slowness, 1000, seed)
					if Judge(leaking, requests).Verdict == LeakSuspected {
						found++
					}
					for i := range ticks {
						ticks[i].Active = 0
					}
					if ever(ticks, requests) {
						blind++
					}
				}
				if wrong > 1 { // of 40, each looked at thirteen times
					t.Errorf("taken in %v s: called a leak in %d of %d", slowness, wrong, seeds)
				}
				if crowd.found && found < seeds*9/10 {
					t.Errorf("taken in %v s: a leak beside it is found in %d of %d", slowness, found, seeds)
				}
			}
		})
	}
	t.Logf("%d crowds would be called leaks if nobody knew of them", blind)
	if blind < 100 {
		t.Errorf("only %d crowds look like leaks: this proves little", blind)
	}
}

// The words say that it was the crowd, and how large it was.
func TestCrowdIsSaid(t *testing.T) {
	for name, want := range map[string][]string{
		"rises till 1:00":   {Stable, "left out: ", "more requests were under way than before, up to 2", "as an allocator does that keeps what a crowd needed"},
		"rises ever faster": {Growing, "while more and more requests were under way, up to 2", "hold the load for 90 s"},
	} {
		g := Judge(crowded(180, crowds[name].at, 1, 0, 1))
		if g.Verdict != want[0] {
			t.Errorf("%s: %s: %s", name, g.Verdict, g.Reason)
		}
		if said := strings.Contains(g.Reason, "left out: "); g.Trend == nil || said != (g.Trend.Crowded > 0) {
			t.Errorf("%s: said to be left out: %v, of the trend: %+v", name, said, g.Trend)
		}
		for _, w := range want[1:] {
			if !strings.Contains(g.Reason, w) {
				t.Errorf("%s: %q is not said: %s", name, w, g.Reason)
			}
		}
	}
	leak := func(float64) float64 { return 0 } // all of it: as much while the crowd grew as later
	ticks, requests := crowded(180, leak, 1, 1000, 1)
	for i := range ticks {
		ticks[i].Active = int64(i / 20)
	}
	if g := Judge(ticks, requests); g.Verdict != LeakSuspected || strings.Contains(g.Reason, "crowd") || g.Trend.Crowded != 0 {
		t.Errorf("the crowd explains nothing: %s: %s", g.Verdict, g.Reason)
	}
}

// Requests that take long make their crowd take long to settle: until as many as were under way are answered.
func TestCrowdSettles(t *testing.T) {
	s := stretch{byRequests: true}
	for i := range 60 {
		s.seconds = append(s.seconds, float64(i))
		s.requests = append(s.requests, 2*float64(i))
		s.active = append(s.active, map[bool]float64{false: 5, true: 50}[i >= 20])
		s.bytes = append(s.bytes, float64(i))
	}
	out, left := s.calm()
	const of5, of50 = 10, 26 // s: from the begin; from 18 s, as the reading at 20 s tells of them, until 50 more are answered at 45 s
	want := crowding{seconds: of5 + of50, requests: 2 * (of5 + of50), bytes: of5 + of50, most: 50}
	if left != want || out.len() != 60-of5-of50 || out.crowded != of5+of50 || span(out.seconds) != 59-of5-of50 || span(out.active) != 0 || out.seconds[out.len()-1] != 59 {
		t.Errorf("left out %#v, want %#v; of 60 readings %d stay, with %v", left, want, out.len(), out.active)
	}
}

// A reading that is kept for several tells of the largest crowd of them.
func TestTimelineKeepsCrowds(t *testing.T) {
	var l timeline
	for i := range 3 * maxReadings {
		l.add(recording.MemoryTick{T: float64(i), Active: map[bool]int64{true: 9}[i%8 == 5]})
	}
	for i, t0 := range l.ticks[1:] {
		for from := l.ticks[i].T + 1; from <= t0.T; from++ {
			if int(from)%8 == 5 && t0.Active != 9 {
				t.Fatalf("the reading at %v s does not know of the crowd at %v s", t0.T, from)
			}
		}
	}
}
