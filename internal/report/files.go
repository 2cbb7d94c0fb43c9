package report

import (
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
)

// memoryReport is memory_report.json.
func memoryReport(in Input) any {
	type growth struct {
		Over    string              `json:"over"`
		Verdict string              `json:"verdict"`
		Growth  *recording.Estimate `json:"growth_bytes_per_second"` // null: not measured
	}
	m := in.Whole.Memory
	out := struct {
		Service     string                  `json:"service"`
		Start       time.Time               `json:"start"`
		Seconds     float64                 `json:"seconds"`
		PeakRSS     *uint64                 `json:"peak_rss_bytes"`
		Verdict     string                  `json:"verdict"`
		Growth      *recording.Estimate     `json:"growth_bytes_per_second"`
		Scenarios   []growth                `json:"scenarios"`
		Timeline    []recording.MemoryTick  `json:"timeline"`
		Hotspots    []recording.Hotspot     `json:"hotspots"`
		NotMeasured []recording.NotMeasured `json:"not_measured"`
	}{
		Service: in.Whole.Target.Service, Start: in.Whole.Window.Start, Seconds: in.Whole.Window.Seconds, Verdict: or(m.Verdict),
		Growth: m.GrowthBytesPerSecond, Timeline: m.Timeline, Hotspots: m.Hotspots, Scenarios: []growth{}, NotMeasured: []recording.NotMeasured{},
	}
	if peak := peakRSS(in.Whole); peak > 0 {
		out.PeakRSS = &peak
	}
	for _, r := range in.Scenarios {
		out.Scenarios = append(out.Scenarios, growth{name(r), or(r.Memory.Verdict), r.Memory.GrowthBytesPerSecond})
	}
	for _, n := range in.Whole.NotMeasured {
		if strings.Contains(n.What, "memory") || strings.Contains(n.What, "growth") {
			out.NotMeasured = append(out.NotMeasured, n)
		}
	}
	if len(m.Hotspots) == 0 {
		out.NotMeasured = append(out.NotMeasured, recording.NotMeasured{What: "hotspots", Why: hotspotsWhy(in.Whole)})
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
