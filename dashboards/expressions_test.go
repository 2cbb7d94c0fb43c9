package dashboards

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/promqltest"
)

// exprOf finds the expression of a panel.
func exprOf(t *testing.T, title, refID string) string {
	t.Helper()
	for _, p := range load(t).Panels {
		for _, target := range p.Targets {
			if p.Title == title && target.RefID == refID {
				return filled(target.Expr)
			}
		}
	}
	t.Fatalf("no expression %s of panel %q", refID, title)
	return ""
}

// Expressions whose answer can be told from the series that they get: one a minute for ten
// minutes, asked at the end.
func TestExpressionsAnswerRight(t *testing.T) {
	const requests = `http_server_request_duration_seconds_count{job="a",service="rag",http_route="/chat",http_response_status_code=%q} 0+%dx20`
	for _, c := range []struct {
		name, title, refID string
		series             []string
		want               []string // labels and value
	}{
		{"one error in ten", "Error Rate", "A", []string{fmt.Sprintf(requests, "200", 90), fmt.Sprintf(requests, "500", 10)}, []string{"{} 0.1"}},
		{"no error is zero, not a gap", "Error Rate", "A", []string{fmt.Sprintf(requests, "200", 90)}, []string{"{} 0"}},
		{"hits by endpoint", "Cache Hit Rate", "A", []string{
			`ragscope_endpoint_cache_requests_total{job="a",service="rag",http_route="/chat",result="hit"} 0+30x20`,
			`ragscope_endpoint_cache_requests_total{job="a",service="rag",http_route="/chat",result="miss"} 0+10x20`,
		}, []string{`{http_route="/chat"} 0.75`}},
		{"median in its bucket", "Request Latency", "A", []string{
			`http_server_request_duration_seconds_bucket{job="a",service="rag",http_route="/chat",le="0.1"} 0+25x20`,
			`http_server_request_duration_seconds_bucket{job="a",service="rag",http_route="/chat",le="0.3"} 0+75x20`,
			`http_server_request_duration_seconds_bucket{job="a",service="rag",http_route="/chat",le="+Inf"} 0+100x20`,
		}, []string{"{} 0.2"}},
		{"unexplained share", "Unexplained Time", "A", []string{
			`http_server_request_stage_duration_seconds_sum{job="a",service="rag",http_route="/chat",stage="upstream",peer="redis"} 0+99x20`,
			`http_server_request_stage_duration_seconds_sum{job="a",service="rag",http_route="/chat",stage="unexplained"} 0+1x20`,
		}, []string{`{http_route="/chat"} 0.01`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			expr := strings.ReplaceAll(exprOf(t, c.title, c.refID), "[1m]", "[5m]")
			script := "load 1m\n  " + strings.Join(c.series, "\n  ") + "\n\neval instant at 10m " + expr + "\n  " + strings.Join(c.want, "\n  ") + "\n"
			promqltest.RunTest(t, script, promqltest.NewTestEngine(t, false, 5*time.Minute, 10000))
		})
	}
}
