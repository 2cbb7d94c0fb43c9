package memory

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
)

// load is the timeline of requests at a rate that may change with the second.
func load(n int, rate func(t int) float64) []recording.Tick {
	out := make([]recording.Tick, n)
	for i := range out {
		out[i] = recording.Tick{T: float64(i), Requests: int64(rate(i))}
	}
	return out
}

// grown is 60 MiB and what f makes of the requests answered until then and of the seconds, with the
// noise of a real allocator: pages, some of them kept for a while.
func grown(n int, requests []recording.Tick, seed uint64, f func(requests, t float64) float64) []recording.MemoryTick {
	r := rand.New(rand.NewPCG(seed, 5))
	wander, sum := 0., 0.
	return series(n, func(i int) float64 {
		wander = .7*wander + r.NormFloat64()*30e3
		if i > 0 {
			sum += float64(requests[i-1].Requests)
		}
		return math.Floor((60*mib+wander+f(sum, float64(i)))/4096) * 4096
	})
}

// Three minutes of load at several rates, with warm-ups of several kinds: what keeps 1 MB of 1,000
// requests is called a leak, and what fills and stops is not.
func TestThreeMinutesTellALeakFromACache(t *testing.T) {
	const n, seeds = 180, 20
	warmUps := map[string]func(t float64) float64{
		"no warm-up":              func(float64) float64 { return 0 },
		"warm-up of 20 MB, 20 s":  func(t float64) float64 { return 20e6 * (1 - math.Exp(-t/6)) },
		"warm-up of 30 MB, 40 s":  func(t float64) float64 { return 30e6 * min(t/40, 1) },
		"a model loaded at 0:05":  func(t float64) float64 { return 100e6 * min(max(t-5, 0), 1) },
		"steps of 2 MB till 0:30": func(t float64) float64 { return 2e6 * math.Floor(min(t, 30)/6) },
	}
	for _, rate := range []float64{10, 20, 50, 200, 1000} {
		requests := load(n, func(int) float64 { return rate })
		for name, warmUp := range warmUps {
			t.Run(fmt.Sprintf("%v a second, %s", rate, name), func(t *testing.T) {
				verdicts := map[string]map[string]int{}
				for seed := range uint64(seeds) {
					for what, f := range map[string]func(requests, t float64) float64{
						"leak":                    func(r, t float64) float64 { return 1000*r + warmUp(t) },
						"full after a third":      func(r, t float64) float64 { return 1000*min(r, 60*rate) + warmUp(t) },
						"full after a half":       func(r, t float64) float64 { return 1000*min(r, 90*rate) + warmUp(t) },
						"filled ever more slowly": func(r, t float64) float64 { return 60e3*rate*(1-math.Exp(-t/25)) + warmUp(t) },
						"nothing":                 func(_, t float64) float64 { return warmUp(t) },
					} {
						g := Judge(grown(n, requests, seed, f), requests)
						if verdicts[what] == nil {
							verdicts[what] = map[string]int{}
						}
						verdicts[what][g.Verdict]++
						if e := g.GrowthPerThousand; what == "leak" && e != nil && (e.Low > 1.02e6 || e.High < .98e6) {
							verdicts[what]["missed"]++
						}
					}
				}
				for what, v := range verdicts {
					if what == "leak" && (v[LeakSuspected] < seeds || v["missed"] > 3) {
						t.Errorf("the leak is called %v", v)
					}
					if what != "leak" && v[LeakSuspected] > 1 { // of 20; the interval allows 2.5 % each way
						t.Errorf("%s is called %v", what, v)
					}
				}
			})
		}
	}
}

// What the bench saw of a FastAPI application on uvicorn at 50 requests a second: one that keeps
// 1,000 bytes of each, one that fills a cache of 3,000 such entries within the first minute and
// stops, one that keeps nothing; what a RAG service took that had a few requests at a time, then a crowd of them; and
// what requests of two seconds took that come as a crowd of some two hundred, which rises for a minute and stays, rises
// to the end, or comes and goes, without and with 1,000 bytes of each that are kept. The
// leak is called one within two minutes, or three where there is a crowd, and the others at no time.
func TestRecordedSeries(t *testing.T) {
	leaks := map[string]float64{"leak": 120, "crowd_stays_leak": 200, "crowd_waves_leak": 200} // with 20 s before the load
	for name, want := range map[string]string{
		"leak": LeakSuspected, "cache": Stable, "nothing": Stable, "burst": Growing,
		"crowd_stays": Stable, "crowd_rises": Growing, "crowd_waves": TooShort, "crowd_stays_leak": LeakSuspected, "crowd_waves_leak": LeakSuspected,
	} {
		text, err := os.ReadFile("testdata/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var seen struct {
			Memory   []recording.MemoryTick `json:"memory"`
			Timeline []recording.Tick       `json:"timeline"`
		}
		if err := json.Unmarshal(text, &seen); err != nil {
			t.Fatal(err)
		}
		for n := 10; n <= len(seen.Memory); n++ {
			g := Judge(seen.Memory[:n], seen.Timeline)
			at := seen.Memory[n-1].T
			if leak := g.Verdict == LeakSuspected; leak && leaks[name] == 0 || !leak && leaks[name] > 0 && at > leaks[name] {
				t.Errorf("%s after %.0f s: %s: %s", name, at, g.Verdict, g.Reason)
			}
			if e := g.GrowthPerThousand; name == "leak" && e != nil && n == len(seen.Memory) && (e.Estimate < .95e6 || e.Estimate > 1.05e6) {
				t.Errorf("it keeps 1,000,000 bytes of 1,000 requests, not %.0f", e.Estimate)
			}
			if n == len(seen.Memory) && g.Verdict != want {
				t.Errorf("%s: %s: %s", name, g.Verdict, g.Reason)
			}
		}
	}
}

// The load comes and goes; memory grows with the requests, not with the time.
func TestLoadComesAndGoes(t *testing.T) {
	const n = 300
	shapes := map[string]func(t int) float64{
		"begins late and ends early": func(t int) float64 { return map[bool]float64{true: 50}[t >= 60 && t < 240] },
		"in waves":                   func(t int) float64 { return map[bool]float64{true: 100}[t/30%2 == 0] },
		"rises":                      func(t int) float64 { return float64(t) / 3 },
		"falls":                      func(t int) float64 { return float64(n-t) / 3 },
	}
	for name, rate := range shapes {
		requests := load(n, rate)
		leak := Judge(grown(n, requests, 1, func(r, _ float64) float64 { return 1000 * r }), requests)
		if leak.Verdict != LeakSuspected {
			t.Errorf("%s: a leak is %s: %s", name, leak.Verdict, leak.Reason)
		}
		none := Judge(grown(n, requests, 2, func(_, _ float64) float64 { return 0 }), requests)
		if none.Verdict != Stable {
			t.Errorf("%s: nothing kept is %s: %s", name, none.Verdict, none.Reason)
		}
	}
	quiet := load(n, func(int) float64 { return 0 })
	if g := Judge(grown(n, quiet, 3, func(_, t float64) float64 { return 20e3 * t }), quiet); g.Verdict != LeakSuspected || g.GrowthPerThousand != nil {
		t.Errorf("a leak without requests is %s: %s", g.Verdict, g.Reason)
	}
	short := load(n, func(t int) float64 { return map[bool]float64{true: 50}[t >= 100 && t < 120] })
	if g := Judge(grown(n, short, 4, func(r, _ float64) float64 { return 1000 * r }), short); g.Verdict != TooShort || !strings.Contains(g.Reason, "requests came for only 2") {
		t.Errorf("20 s of load: %s: %s", g.Verdict, g.Reason)
	}
}

// The warm-up is where it was, and is said.
func TestWarmUpIsLeftOut(t *testing.T) {
	requests := load(180, func(int) float64 { return 50 })
	g := Judge(grown(180, requests, 1, func(r, t float64) float64 { return 1000*r + 30e6*min(t/40, 1) }), requests)
	if g.Trend == nil || math.Abs(g.Trend.From-40) > 5 || !strings.Contains(g.Reason, g.Trend.WarmUp) || !strings.Contains(g.Trend.WarmUp, "it grew by 3") {
		t.Errorf("%+v: %s", g.Trend, g.Reason)
	}
	if e := g.GrowthBytesPerSecond; e == nil || e.Low > 50e3 || e.High < 50e3 {
		t.Errorf("growth a second %+v, want 50 kB", e)
	}
	if d := g.Trend.BytesTo - g.Trend.BytesFrom; math.Abs(d-50e3*(g.Trend.To-g.Trend.From)) > .1*d {
		t.Errorf("the line rises by %.0f bytes from %.0f to %.0f s", d, g.Trend.From, g.Trend.To)
	}
	late := Judge(grown(180, requests, 1, func(_, t float64) float64 { return 30e6 * min(t/160, 1) }), requests)
	if late.Verdict == LeakSuspected {
		t.Errorf("full 20 s before the end: %s: %s", late.Verdict, late.Reason)
	}
}

// What is swapped out is still held.
func TestSwapIsHeld(t *testing.T) {
	ticks := series(120, func(int) float64 { return 100 * mib })
	for i := range ticks {
		ticks[i].RSS -= uint64(i) * 100e3
		ticks[i].Swap = uint64(i) * 200e3
	}
	if g := Judge(ticks, nil); g.Verdict != LeakSuspected || math.Abs(g.GrowthBytesPerSecond.Estimate-100e3) > 1e3 {
		t.Errorf("%s: %s", g.Verdict, g.Reason)
	}
}

// Hours are judged by means of neighbours.
func TestLongRuns(t *testing.T) {
	const n = 6 * 3600
	r := rand.New(rand.NewPCG(1, 1))
	g := Judge(series(n, func(t int) float64 { return 500*mib + 2e3*float64(t) + r.NormFloat64()*mib }), nil)
	if g.Verdict != LeakSuspected || math.Abs(g.GrowthBytesPerSecond.Estimate-2e3) > 100 {
		t.Errorf("%s: %s", g.Verdict, g.Reason)
	}
}

// All processes together, each for itself, and when the limit is reached.
func TestConclude(t *testing.T) {
	leaks := series(180, func(i int) float64 { return 100*mib + 100e3*float64(i) })
	flat := series(180, func(int) float64 { return 100 * mib })
	sum := series(180, func(i int) float64 { return float64(leaks[i].RSS + flat[i].RSS) })
	m := recording.Memory{
		Timeline: sum, Limits: []recording.MemoryLimit{{Basis: "cgroup", Bytes: 4e9}, {Basis: "--memory-limit", Bytes: 1e9}},
		Processes: []recording.MemoryProcess{{PID: 1, To: 179, Timeline: leaks}, {PID: 2, To: 179, Timeline: flat}},
	}
	m.Hotspots = []recording.Hotspot{
		{Function: "start (app.py)", Endpoint: "(startup)", Bytes: 9e6}, {Endpoint: "GET /", Bytes: 20e6},
		{Function: "keep (app.py)", Endpoint: "GET /", Bytes: 7e6}, {Function: "keep (app.py)", Endpoint: "GET /", Bytes: 5e6},
	}
	m.Containers = []recording.Container{{Type: "list", Name: "app.kept", Before: 100, After: 18_000, Users: []string{"Store.put", "keep"}}}
	Conclude(&m, nil)
	if !strings.Contains(m.Reason, "the list app.kept grew most, from 100 to 18,000 entries, used in Store.put, keep") {
		t.Errorf("reason: %s", m.Reason)
	}
	if !strings.Contains(m.Reason, "most new memory, 12.0 MB, was first touched by keep (app.py) in GET /") {
		t.Errorf("reason: %s", m.Reason)
	}
	if m.Verdict != LeakSuspected || m.Processes[0].Verdict != LeakSuspected || m.Processes[1].Verdict != Stable {
		t.Errorf("%s: %s; %s: %s; %s: %s", m.Verdict, m.Reason, m.Processes[0].Verdict, m.Processes[0].Reason, m.Processes[1].Verdict, m.Processes[1].Reason)
	}
	if !strings.Contains(m.Reason, "the limit of 1.00 GB (--memory-limit) is reached in 2 hours") { // 772 MB at 100 kB a second
		t.Errorf("reason: %s", m.Reason)
	}

	// A worker that is started anew is no growth.
	for i := range m.Timeline {
		if i < 90 {
			m.Timeline[i].RSS -= flat[i].RSS
		}
	}
	m.Processes[1].From, m.Processes[1].Timeline = 90, flat[90:]
	Conclude(&m, nil)
	if m.Trend == nil || m.Trend.From < 90 || !strings.Contains(m.Reason, "began or ended until 90 s") || math.Abs(m.GrowthBytesPerSecond.Estimate-100e3) > 5e3 {
		t.Errorf("%+v: %s", m.Trend, m.Reason)
	}
}

// The agent's page asks every two seconds, of up to six hours.
func BenchmarkConclude(b *testing.B) {
	const n = 6 * 3600
	m := recording.Memory{Timeline: series(n, func(t int) float64 { return 500*mib + 2e3*float64(t) })}
	for range 8 {
		m.Processes = append(m.Processes, recording.MemoryProcess{To: n, Timeline: m.Timeline[:maxReadings]})
	}
	requests := load(n, func(int) float64 { return 50 })
	for b.Loop() {
		Conclude(&m, requests)
	}
}
