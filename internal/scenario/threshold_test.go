package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/diagnose"
)

func TestThresholdsInK6Style(t *testing.T) {
	tests := map[string]string{
		`http_req_duration{endpoint="POST /api/v1/chat"}:p95<1s`:                 "POST /api/v1/chat: p95 < 1s",
		`http_req_duration{ endpoint: 'GET /a/{}', clock="service" }: p(95)<500`: "GET /a/{}: service p95 < 500ms",
		`http_req_duration{clock=first_token}:p(99.9) <= 1.5s`:                   "first_token p99.9 <= 1.5s",
		`http_req_duration:med<20`:                                               "p50 < 20ms",
		`http_req_duration:avg<50`:                                               "mean < 50ms",
		`http_req_failed:rate<0.01`:                                              "error_rate < 0.01",
		`http_req_failed{name="GET /a, b"}:rate<1%`:                              "GET /a, b: error_rate < 1%",
		`http_reqs{endpoint="POST /a"}:rate>50`:                                  "POST /a: rps > 50",
		`http_reqs:count >= 1000`:                                                "requests >= 1000",
	}
	for text, ours := range tests {
		want, err := ParseThreshold(ours)
		if err != nil {
			t.Fatal(err)
		}
		want.Text = text
		if got, err := ParseThreshold(text); err != nil || got != want {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", text, got, err, want)
		}
	}
	for text, why := range map[string]string{
		`http_req_duration{method="GET"}:p95<1s`: "unknown label method",
		`http_req_duration{endpoint}:p95<1s`:     "labels {endpoint} are not understood",
		`http_req_duration:rate<1`:               "http_req_duration has no rate",
		`http_req_failed:count<1`:                "http_req_failed has no count",
		`http_req_duration:p95`:                  "condition \"p95\" is not understood",
		`http_req_duration{clock="wall"}:p95<1s`: "not understood",
	} {
		if got, err := ParseThreshold(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %+v, %v; want %q", text, got, err, why)
		}
	}
}

// The table that is built in says what the report judges by.
func TestSuiteTargets(t *testing.T) {
	got, err := ReadThresholds(SuiteTargets)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, x := range diagnose.Targets {
		where := x.Endpoint
		if x.Task != "" {
			where += " [" + x.Task + "]"
		}
		for q, v := range map[float64]float64{.5: x.P50, .95: x.P95, .99: x.P99} {
			want = append(want, fmt.Sprintf("%s %g %g", where, q, v))
		}
	}
	var have []string
	for _, th := range got {
		if th.Metric == "quantile" && th.Clock == Response && th.Op == "<" {
			have = append(have, fmt.Sprintf("%s %g %g", th.Where, th.Q, th.Value))
		}
	}
	slices.Sort(want)
	if slices.Sort(have); !slices.Equal(have, want) {
		t.Errorf("have %q\nwant %q", have, want)
	}
	s, err := Load("baseline", Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Thresholds = got
	if err := s.CheckThresholds(); err != nil {
		t.Error(err)
	}
}

func TestThresholdFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "targets.txt")
	for text, want := range map[string]string{
		"# all\n\nGET /a#b: p95 < 1s # why\r\nrps > 3\n": "",
		"p95 < 1s\nfast\n": file + ":2: threshold \"fast\"",
		"# nothing\n":      "holds none",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadThresholds(file)
		if want == "" && (err != nil || len(got) != 2 || got[0].Where != "GET /a#b") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	if _, err := ReadThresholds(file + "x"); err == nil {
		t.Error("a file that is not there was read")
	}
}
