package report

import (
	"slices"
	"time"

	"github.com/ragscope/ragscope/internal/export/memoryfile"
	"github.com/ragscope/ragscope/internal/recording"
)

// memoryReport is memory_report.json: that of the agent, with each scenario's growth.
func memoryReport(in Input) *memoryfile.Report {
	out := memoryfile.NewReport(in.Whole)
	for _, r := range in.Scenarios {
		g := r.Memory.MemoryGrowth
		g.Verdict = or(g.Verdict)
		out.Scenarios = append(out.Scenarios, memoryfile.ScenarioGrowth{Over: name(r), MemoryGrowth: g})
	}
	if len(in.Whole.Memory.Hotspots) == 0 && !slices.ContainsFunc(out.NotMeasured, func(n recording.NotMeasured) bool { return n.What == memoryfile.Hotspots }) {
		out.NotMeasured = append(out.NotMeasured, recording.NotMeasured{What: memoryfile.Hotspots, Why: hotspotsWhy(in.Whole)})
	}
	return out
}

// Ratings of a p95, the bounds in seconds.
var ratings = []struct {
	below float64
	word  string
}{{.1, "excellent"}, {.5, "good"}, {slowFrom, "acceptable"}}

// slowFrom is the p95 in seconds from which an endpoint counts as slow.
const slowFrom = 1.0

func rating(p95 float64) string {
	for _, r := range ratings {
		if p95 < r.below {
			return r.word
		}
	}
	return "slow"
}

type endpointLatency struct {
	Endpoint string  `json:"endpoint"`
	Clock    string  `json:"clock"` // loader: from the intended send time; agent: from arrival
	Requests int64   `json:"requests"`
	P50      float64 `json:"p50"`
	P95      float64 `json:"p95"`
	P99      float64 `json:"p99"`
	Rating   string  `json:"rating"`
}

type scenarioLatency struct {
	Scenario  string              `json:"scenario"`
	Endpoints []endpointLatency   `json:"endpoints"`
	Trend     string              `json:"trend"` // rising, falling, no trend, not measured
	Slope     *recording.Estimate `json:"p95_seconds_per_second"`
}

// latencyReport is latency_report.json. Latencies are in seconds.
func latencyReport(in Input) any {
	out := struct {
		Service   string            `json:"service"`
		Start     time.Time         `json:"start"`
		Seconds   float64           `json:"seconds"`
		Ratings   string            `json:"ratings"`
		Endpoints []endpointLatency `json:"endpoints"`
		Slow      []string          `json:"slow_endpoints"`
		Scenarios []scenarioLatency `json:"scenarios"`
	}{
		Service: in.Whole.Target.Service, Start: in.Whole.Window.Start, Seconds: in.Whole.Window.Seconds,
		Ratings:   "by p95: excellent < 0.1 s, good < 0.5 s, acceptable < 1 s, else slow",
		Endpoints: latencies(in.Whole), Slow: []string{}, Scenarios: []scenarioLatency{},
	}
	for _, e := range out.Endpoints {
		if e.P95 >= slowFrom {
			out.Slow = append(out.Slow, e.Endpoint)
		}
	}
	for _, r := range in.Scenarios {
		slope := latencyTrend(r)
		out.Scenarios = append(out.Scenarios, scenarioLatency{name(r), latencies(r), direction(slope), slope})
	}
	return out
}

func latencies(r *recording.Recording) []endpointLatency {
	out := []endpointLatency{}
	for i := range r.Endpoints {
		e := &r.Endpoints[i]
		d, clock := e.Latency, "agent"
		if e.Client != nil && e.Client.Response.Count > 0 {
			d, clock = e.Client.Response, "loader"
		}
		if d.Count > 0 {
			out = append(out, endpointLatency{e.Endpoint, clock, d.Count, d.Quantile(.5), d.Quantile(.95), d.Quantile(.99), rating(d.Quantile(.95))})
		}
	}
	return out
}
