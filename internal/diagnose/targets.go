package diagnose

// Target is a latency that an endpoint promises: seconds at the given quantiles.
type Target struct {
	Endpoint      string // "POST /api/v1/chat"
	Task          string // what the task's name contains where several share the endpoint, "hybrid"
	P50, P95, P99 float64
}

// Targets are the latencies that the performance suite of the RAG API promises.
var Targets = []Target{
	{"POST /api/v1/retrieval/search", "hybrid", .200, .500, 1},
	{"POST /api/v1/retrieval/search", "vector", .100, .200, .500},
	{"POST /api/v1/chat", "", .500, 1, 2},
	{"GET /health", "", .020, .050, .100},
}

// p95Target returns the most lenient p95 that the endpoint promises, so that a finding never
// claims harm which only a stricter task would feel.
func p95Target(endpoint string) (seconds float64, ok bool) {
	for _, t := range Targets {
		if t.Endpoint == endpoint {
			seconds, ok = max(seconds, t.P95), true
		}
	}
	return seconds, ok
}
