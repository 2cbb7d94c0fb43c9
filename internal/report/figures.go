package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

// missing stands where a figure was not measured.
const missing = "not measured"

// columns makes columns of two comma-separated lists: names that stand left, figures that
// stand right.
func columns(left, right string) (out []Column) {
	for _, t := range strings.Split(left, ",") {
		out = append(out, Column{Title: strings.TrimSpace(t)})
	}
	for _, t := range strings.Split(right, ",") {
		if t = strings.TrimSpace(t); t != "" {
			out = append(out, Column{Title: t, Right: true})
		}
	}
	return out
}

// quantile writes a percentile, or that there is none.
func quantile(d recording.Dist, q float64) string {
	if d.Count == 0 {
		return missing
	}
	return recording.Seconds(d.Quantile(q))
}

// clients adds up the loader's figures over the endpoints.
func clients(r *recording.Recording) (sum recording.Client) {
	for i := range r.Endpoints {
		if c := r.Endpoints[i].Client; c != nil {
			sum.Requests += c.Requests
			sum.Failures += c.Failures
			sum.Limited += c.Limited
			sum.Response.Merge(c.Response)
			sum.Service.Merge(c.Service)
		}
	}
	return sum
}

// peerName is the system of a peer, as people write it.
func peerName(peer string) string {
	system, _, _ := strings.Cut(peer, " ")
	if name, ok := map[string]string{"redis": "Redis", "qdrant": "Qdrant", "neo4j": "Neo4j", "ollama": "Ollama", "openai": "OpenAI", "http": "HTTP"}[system]; ok {
		return name
	}
	return system
}

// name says what a scenario is called, for recordings that have none too.
func name(r *recording.Recording) string {
	if r.Scenario == nil || r.Scenario.Name == "" {
		return "unnamed"
	}
	return r.Scenario.Name
}

// stageTotal sums all stages of an endpoint, in seconds.
func stageTotal(e *recording.Endpoint) (sum float64) {
	for _, s := range e.Stages {
		sum += s.Sum
	}
	return sum
}

// stageSum sums one stage of an endpoint over all peers, in seconds.
func stageSum(e *recording.Endpoint, stage string) (sum float64) {
	for _, s := range e.Stages {
		if s.Stage == stage {
			sum += s.Sum
		}
	}
	return sum
}

// busiest returns the endpoints with stages, those that took most seconds first.
func busiest(r *recording.Recording) (out []*recording.Endpoint) {
	for i := range r.Endpoints {
		if stageTotal(&r.Endpoints[i]) > 0 {
			out = append(out, &r.Endpoints[i])
		}
	}
	slices.SortStableFunc(out, func(a, b *recording.Endpoint) int { return cmp.Compare(stageTotal(b), stageTotal(a)) })
	return out
}

// redisFigure finds a figure of Redis's own under its plain or its exporter's name.
func redisFigure(figures map[string]float64, name string) (float64, bool) {
	for _, k := range []string{name, name + "_total", "redis_" + name, "redis_" + name + "_total"} {
		if v, ok := figures[k]; ok {
			return v, true
		}
	}
	return 0, false
}

// ratio is a ÷ b, 0 when b is 0.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
