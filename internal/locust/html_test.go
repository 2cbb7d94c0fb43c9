package locust

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/scenario"
)

func TestHTMLPage(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	sc, err := scenario.Parse("s.yaml", []byte("name: <b>x\nusers: 2\nspawn_rate: 100\nrun_time: 200ms\nthink_time: 5ms\ntasks: [{name: a<i, request: {path: /}}, {request: {path: /bad}}]\nthresholds: ['error_rate < 1%']\n"), nil, scenario.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stats := NewStats(sc.Tasks, time.Now())
	res, err := load.Run(context.Background(), load.Config{Scenario: sc, Host: server.URL, Sinks: []load.Sink{stats}, StopTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	b, err := HTML(stats, res)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, want := range []string{"Load test: &lt;b&gt;x", "a&lt;i", "500 Server Error", "missed", "response", "service", "<polyline"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, no := range []string{"http://www", "https://", "<script", "src=", "NaN", "%!"} {
		if strings.Contains(text, no) {
			t.Errorf("the page has %s", no)
		}
	}
	if stats.Total.Requests != res.All().Requests {
		t.Errorf("the compatible table counts %d, the other %d", stats.Total.Requests, res.All().Requests)
	}
}

func TestChartIsXML(t *testing.T) {
	for _, points := range [][]point{nil, {{0, 0}}, {{0, 3}, {5, 1234}}, {{0, math.NaN()}, {1, 2}, {2, math.NaN()}, {3, 4}}} {
		d := xml.NewDecoder(strings.NewReader(string(chart("t", "ms", line{"a", "#000", points}))))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A second in which nothing ended is a gap in the latency lines, not a zero.
func TestMoments(t *testing.T) {
	start := time.Unix(1795431890, 0)
	s := NewStats([]scenario.Task{{Method: "GET", Name: "/"}}, start)
	tick := func(at time.Duration, n int) {
		for i := range n {
			s.Add([]load.Sample{{End: at, Sent: at - time.Duration(i+1)*time.Millisecond}})
		}
		s.Tick(load.Progress{Start: start, Elapsed: at, Total: 3 * time.Second, Users: 2})
	}
	tick(time.Second, 100)
	tick(2*time.Second, 0)
	tick(3*time.Second, 1)
	tick(3010*time.Millisecond, 0)
	if len(s.History) != 3 {
		t.Fatalf("moments %+v", s.History)
	}
	a, b := s.History[0], s.History[1]
	if a.RPS != 100 || math.Abs(a.P50-50) > 1e-6 || math.Abs(a.P95-95) > 1e-6 || !math.IsNaN(b.P50) || b.RPS != 0 {
		t.Errorf("moments %+v", s.History)
	}
}

func TestNiceAbove(t *testing.T) {
	for v, want := range map[float64]float64{0: 1, 0.3: .4, 1: 1, 7: 8, 9: 10, 430: 800} {
		if got := niceAbove(v); got < want*0.999 || got > want*1.001 {
			t.Errorf("above %g: %g, want %g", v, got, want)
		}
	}
}
