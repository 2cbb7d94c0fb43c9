package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/scenario"
)

func TestProgressLine(t *testing.T) {
	var out bytes.Buffer
	p := &progress{out: &out}
	for second := 1; second <= 6; second++ {
		for range 10 {
			p.Add([]load.Sample{{End: 40 * time.Millisecond}})
		}
		p.Add([]load.Sample{{End: time.Second, Failure: load.Failure{Kind: load.Timeout}}, {End: time.Millisecond, Failure: load.Failure{Kind: load.HTTPStatus, Status: 429}}})
		p.Tick(load.Progress{Elapsed: time.Duration(second) * time.Second, Total: time.Minute, Users: 3, Last: second == 6})
	}
	want := "0:05/1:00  3 users  12.0 req/s  p50 40 ms  p95 1000 ms  60 requests  5 failures  5 limited (429)\n" +
		"0:06  done: 72 requests  6 failures  6 limited (429)  0 missed\n"
	if got := out.String(); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}

// The live table takes the place of the one before it, makes way for log lines, and fits the
// terminal.
func TestLiveTable(t *testing.T) {
	var out bytes.Buffer
	s := &scenario.Scenario{}
	for i := range 9 {
		s.Tasks = append(s.Tasks, scenario.Task{Method: "GET", Name: fmt.Sprintf("/a/rather/long/path/for/eighty/columns/%d", i)})
	}
	to := &screen{out: &out}
	l := newLive(s, to, func() (int, int) { return 80, 10 })
	for second := 1; second <= 2; second++ {
		l.Add([]load.Sample{{Task: 7, End: 40 * time.Millisecond}, {Task: 7, End: 40 * time.Millisecond}, {Task: 8, End: 4 * time.Millisecond, Failure: load.Failure{Kind: load.Timeout}}})
		l.Tick(load.Progress{Elapsed: time.Duration(second) * 15 * time.Second, Total: time.Minute, Users: 3, Stopping: second == 2, InFlight: 4})
	}
	drawn := strings.Split(out.String(), "\x1b[9A\r\x1b[J") // bar, head, five tasks, how many more, all
	if len(drawn) != 2 || strings.Count(drawn[1], "\n") != 9 {
		t.Fatalf("drawn %q", drawn)
	}
	for _, want := range []string{"██░░░░░░░░  25 %  0:15 of 1:00, 0:45 left  3 users", "GET /a/rather/long/pa…         2        0       0.4       40       40       40", "… and 4 more tasks", "all                            3        1       0.6       40       40       40"} {
		if !strings.Contains(drawn[0], want) {
			t.Errorf("no %q in\n%s", want, drawn[0])
		}
	}
	for line := range strings.Lines(drawn[1]) {
		if n := len([]rune(strings.TrimSpace(line))); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if !strings.Contains(drawn[1], "STOPPING") {
		t.Errorf("the end is not told: %s", drawn[1])
	}
	out.Reset()
	_, _ = fmt.Fprintln(to, "a log line")
	l.Tick(load.Progress{Elapsed: time.Minute, Last: true})
	if got := out.String(); got != "\x1b[9A\r\x1b[Ja log line\n1:00  done: 6 requests  2 failures  0 limited (429)  0 missed\n" {
		t.Errorf("the end is %q", got)
	}
}
