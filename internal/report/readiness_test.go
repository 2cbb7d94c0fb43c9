package report

import (
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/diagnose"
	"github.com/ragscope/ragscope/internal/recording"
)

// sent is a scenario with only its loader's summary.
func sent(s recording.Scenario) *recording.Recording {
	return &recording.Recording{Scenario: &s}
}

func find(t *testing.T, list []checked, target string) checked {
	t.Helper()
	for _, c := range list {
		if c.target == target {
			return c
		}
	}
	t.Fatalf("no target %q", target)
	return checked{}
}

func TestThroughputTarget(t *testing.T) {
	for name, c := range map[string]struct {
		s    recording.Scenario
		want status
		why  string
	}{
		"reached":                       {recording.Scenario{Rate: 50, RequestsPerSec: 50}, pass, ""},
		"offered, not reached":          {recording.Scenario{Rate: 60, RequestsPerSec: 41}, fail, ""},
		"not offered":                   {recording.Scenario{Rate: 12, RequestsPerSec: 12}, none, "at most 12.0 /s"},
		"users think too long":          {recording.Scenario{Users: 50, ThinkTime: "1s..3s", RequestsPerSec: 23.8}, none, "at most 25.0 /s"},
		"users could, target could not": {recording.Scenario{Users: 50, ThinkTime: "500ms", RequestsPerSec: 30}, fail, ""},
		"users without think time":      {recording.Scenario{Users: 50, ThinkTime: "0s", RequestsPerSec: 30}, fail, ""},
		"generator fell behind":         {recording.Scenario{Rate: 50, RequestsPerSec: 50, Invalid: "no CPU left"}, none, "no CPU left"},
		"nothing sent":                  {recording.Scenario{Rate: 50}, none, "no loader"},
	} {
		t.Run(name, func(t *testing.T) {
			c.s.Name = "baseline_50qps"
			in := Input{Scenarios: []*recording.Recording{sent(c.s)}, Whole: &recording.Recording{}}
			got := find(t, readiness(in), "Sustained throughput")
			if got.status != c.want || !strings.Contains(got.why, c.why) {
				t.Errorf("%s (%s), want %s (%s)", got.status, got.why, c.want, c.why)
			}
		})
	}
}

func TestThinkTime(t *testing.T) {
	for text, want := range map[string]float64{"1s..3s": 2, "0s": 0, "250ms": .25, "exponential(2s)": 2, "1..2": 1.5} {
		if got, ok := meanThink(text); !ok || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "soon", "1s..later"} {
		if _, ok := meanThink(text); ok {
			t.Errorf("%q was understood", text)
		}
	}
}

// TestTaskTargets: searches share an endpoint, and only the loader can tell them apart.
func TestTaskTargets(t *testing.T) {
	slow, fast := recording.Dist{}, recording.Dist{}
	slow.Observe(.4)
	fast.Observe(.05)
	e := recording.Endpoint{Endpoint: "POST /api/v1/retrieval/search", Latency: slow, Client: &recording.Client{Response: slow,
		Tasks: []recording.Task{{Name: "search [Hybrid]", Response: slow}, {Name: "search [vector]", Response: fast}}}}
	r := &recording.Recording{Endpoints: []recording.Endpoint{e}}
	for i, want := range []float64{.4, .05} {
		if d, _ := targetLatency(r, diagnose.Targets[i]); d.Max != want {
			t.Errorf("%+v judged by %v", diagnose.Targets[i], d.Max)
		}
	}
	e.Client.Tasks = nil
	if d, why := targetLatency(r, diagnose.Targets[0]); d.Count != 0 || !strings.Contains(why, "apart") {
		t.Errorf("the sum of both tasks must not be judged: %d, %q", d.Count, why)
	}
}

func TestMemoryErrorAndCacheTargets(t *testing.T) {
	r := sent(recording.Scenario{Name: "peak"})
	r.Endpoints = []recording.Endpoint{{Endpoint: "GET /", Cache: recording.Cache{Hits: 4, Misses: 1}, Client: &recording.Client{Requests: 20, Failures: 1}}}
	r.Memory.Timeline = []recording.MemoryTick{{RSS: 1_999_999_999}, {RSS: 5}}
	list := readiness(Input{Scenarios: []*recording.Recording{r}, Whole: r})
	for target, want := range map[string]status{
		"Memory under sustained load (peak RSS)": pass,
		"Error rate in peak":                     fail, // 5 % is not below 5 %
		"Error rate in baseline":                 none,
		"Cache hit rate (Redis)":                 fail, // 80 % is not above 80 %
		"Breaking point":                         none,
	} {
		if c := find(t, list, target); c.status != want || (want == none) != (c.why != "" && c.measured == missing) {
			t.Errorf("%s: %+v, want %s", target, c, want)
		}
	}
}

func TestVerdict(t *testing.T) {
	of := func(n map[status]int) (list []checked) {
		for s, k := range n {
			for range k {
				list = append(list, checked{status: s})
			}
		}
		return list
	}
	for _, c := range []struct {
		n          map[status]int
		want, mark string
	}{
		{map[status]int{pass: 3}, "Ready: all 3", "pass"},
		{map[status]int{pass: 2, none: 1}, "All 2 measured targets are met; 1 could not", "pass"},
		{map[status]int{pass: 2, fail: 1, none: 1}, "Not ready: 1 of 3 measured targets fail; 1 could not", "fail"},
		{map[status]int{none: 4}, "None of the 4", "none"},
	} {
		if got, mark := verdict(of(c.n)); !strings.HasPrefix(got, c.want) || mark != c.mark {
			t.Errorf("%q (%s), want %q (%s)", got, mark, c.want, c.mark)
		}
	}
}
