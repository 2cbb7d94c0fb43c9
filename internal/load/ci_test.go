package load

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/scenario"
)

func finished(t *testing.T, thresholds ...string) *Result {
	t.Helper()
	s := parse(t, "name: t\ntasks: [{request: {path: /a}}, {request: {path: /b}}]\n")
	for _, text := range thresholds {
		th, err := scenario.ParseThreshold(text)
		if err != nil {
			t.Fatal(err)
		}
		s.Thresholds = append(s.Thresholds, th)
	}
	sum := newSummary(s)
	for i := range 100 {
		at := time.Duration(i) * 10 * time.Millisecond
		sum.add(&Sample{Task: i % 2, Intended: at, Sent: at + 8*time.Millisecond, End: at + 20*time.Millisecond, Status: 200})
	}
	return &Result{Summary: sum, Scenario: s, Start: time.Unix(1795431890, 0), Elapsed: time.Second}
}

func TestJUnitAndAnnotations(t *testing.T) {
	r := finished(t, "GET /a: p95 < 15ms", `http_req_duration{endpoint="GET /a",clock="service"}:p95<15`, "rps > 5")
	cases := r.Cases(r.Check(), true)
	text, err := r.JUnit(cases)
	if err != nil {
		t.Fatal(err)
	}
	var suite junitSuite
	if err := xml.Unmarshal(text, &suite); err != nil {
		t.Fatal(err)
	}
	if suite.Tests != 5 || suite.Failures != 1 || suite.Cases[2].Failure == nil || suite.Cases[2].Class != "GET /a" || suite.Cases[3].Failure != nil {
		t.Errorf("%s", text)
	}
	var out bytes.Buffer
	GitHubAnnotations(&out, append(cases, Case{"a, b", "100%\n", "x", false}))
	want := "::error title=load test%3A GET /a::GET /a: p95 < 15ms (measured: 0.020 s)\n::error title=load test%3A a%2C b::100%25%0A (measured: x)\n"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
	if table := VerdictTable(r.Check()); !strings.HasPrefix(strings.Split(table, "\n")[1], "MISSED  GET /a: p95 < 15ms") {
		t.Errorf("table:\n%s", table)
	}
}

func TestLoaderBound(t *testing.T) {
	r := finished(t)
	if why := r.LoaderBound(); len(why) != 1 || !strings.Contains(why[0], "8.0 ms late") {
		t.Errorf("late by 8 ms: %q", why)
	}
	r.Usage = Usage{LoaderCores: 1.95, CPUs: 2, RunQueue: 100 * 0.003}
	if why := r.LoaderBound(); len(why) != 3 || !strings.Contains(why[1], "3.00 ms for a CPU by request, 25 % of the mean service time") {
		t.Errorf("busy, waiting and late: %q", why)
	}
	if f := r.Facts(); len(f.LoaderBound) != 3 || f.LoaderRunQueue != 0.003 || f.ScheduleLagP50 < 0.007 {
		t.Errorf("facts: %+v", f)
	}
}

// What /proc says of a process whose threads compete grows.
func TestRunQueueIsRead(t *testing.T) {
	before := ownRunQueue()
	stop := make(chan bool)
	for range 16 {
		go func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
			}
		}()
	}
	time.Sleep(50 * time.Millisecond)
	close(stop)
	if after := ownRunQueue(); after <= before {
		t.Errorf("waited %v before, %v after", before, after)
	}
}

func TestClockTable(t *testing.T) {
	table := finished(t).ClockTable()
	for _, want := range []string{"GET /a", "p99.99", "response           50      20.0", "service            50      12.0", "all"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
}
