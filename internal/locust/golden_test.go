package locust

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/scenario"
)

// The golden files are Locust's own output for testdata/samples.jsonl; testdata/make_fixture.py
// makes them again.

const fixtureStart = 1795431890.25

func golden(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func same(t *testing.T, name, got string) {
	t.Helper()
	if diff := cmp.Diff(strings.SplitAfter(golden(t, name), "\n"), strings.SplitAfter(got, "\n")); diff != "" {
		t.Errorf("%s (-locust +ours):\n%s", name, diff)
	}
}

var fixtureFailures = map[string]load.Failure{
	"http":    {Kind: load.HTTPStatus, Status: 500, Text: "Internal Server Error"},
	"check":   {Kind: load.CheckFailed, Text: "it's wrong"},
	"refused": {Kind: load.Refused, Text: "connection refused"},
	"limited": {Kind: load.HTTPStatus, Status: 429, Text: "Too Many Requests"},
}

// replay feeds the fixture's traffic and returns the statistics with both histories.
func replay(t *testing.T) (s *Stats, history, full string) {
	t.Helper()
	start := time.UnixMicro(fixtureStart * 1e6)
	s = NewStats(nil, start)
	s.Users = 7
	next := fixtureStart
	tick := func() {
		now := time.UnixMicro(int64(next * 1e6))
		history += string(s.historyRows(now, false))
		full += string(s.historyRows(now, true))
		next++
	}
	lines := bufio.NewScanner(strings.NewReader(golden(t, "samples.jsonl")))
	tick()
	for lines.Scan() {
		var x struct {
			Method, Name, Error string
			At, MS              float64
			Length              int64
		}
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			t.Fatal(err)
		}
		for x.At > next {
			tick()
		}
		s.log(x.Method, x.Name, x.At, x.MS, x.Length)
		if x.Error != "" {
			s.logFailure(x.Method, x.Name, x.At, fixtureFailures[x.Error])
		}
	}
	for next <= fixtureStart+25 {
		tick()
	}
	return s, history, full
}

func TestFilesAreLocusts(t *testing.T) {
	s, history, full := replay(t)
	same(t, "stats.csv", string(s.CSV()))
	same(t, "failures.csv", string(s.FailuresCSV()))
	same(t, "exceptions.csv", string(ExceptionsCSV()))
	same(t, "history.csv", history)
	same(t, "history_full.csv", full)
}

func TestConsoleIsLocusts(t *testing.T) {
	s, _, _ := replay(t)
	same(t, "console.txt", s.Table(80, false)+s.Table(80, true)+s.PercentileTable(80)+s.ErrorTable(80)+"\n")
}

// Locust keeps response_times in the order of their first use; as JSON objects have no order,
// the two are compared by meaning.
func TestJSONIsLocusts(t *testing.T) {
	s, _, _ := replay(t)
	var want, got any
	if err := json.Unmarshal([]byte(golden(t, "stats.json")), &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(s.JSON(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-locust +ours):\n%s", diff)
	}
	if a, b := strings.Count(golden(t, "stats.json"), "\n"), bytes.Count(s.JSON(), []byte("\n")); a != b {
		t.Errorf("%d lines, Locust writes %d", b, a)
	}
}

func TestPythonsWays(t *testing.T) {
	var floats [][2]any
	var buckets [][2]float64
	var strs [][3]string
	for name, into := range map[string]any{"floats.json": &floats, "buckets.json": &buckets, "strings.json": &strs} {
		if err := json.Unmarshal([]byte(golden(t, name)), into); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range floats {
		if got := pyFloat(x[0].(float64)); got != x[1] {
			t.Errorf("float %v: %s, want %s", x[0], got, x[1])
		}
	}
	for _, x := range buckets {
		if got := bucket(x[0]); float64(got) != x[1] {
			t.Errorf("bucket of %v: %d, want %v", x[0], got, x[1])
		}
	}
	for _, x := range strs {
		if got := pyRepr(x[0]); got != x[1] {
			t.Errorf("repr of %q: %s, want %s", x[0], got, x[1])
		}
		if got := pyJSONString(x[0]); got != x[2] {
			t.Errorf("json of %q: %s, want %s", x[0], got, x[2])
		}
	}
}

// The rows that LOCUST.md's users know, before any request.
func TestBeforeAnyRequest(t *testing.T) {
	s := NewStats(nil, time.Unix(1795431890, 0))
	const want = "1795431890,0,,Aggregated,0.000000,0.000000,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,0,0,0,0.0,0,0,0\r\n"
	if got := string(s.historyRows(s.now, false)); got != want {
		t.Errorf("history row\n got %s want %s", got, want)
	}
	const row = ",Aggregated,0,0,0,0.0,0,0,0,0.0,0.0,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A\r\n"
	if got := string(s.CSV()); !strings.HasSuffix(got, row) {
		t.Errorf("stats\n got %s want %s", got, row)
	}
	if s.ErrorTable(80) != "" || string(s.JSON()) != "[]" {
		t.Errorf("errors %q, JSON %s", s.ErrorTable(80), s.JSON())
	}
}

func TestFilesHoldTheLastRows(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "new", "run")
	start := time.Unix(1795431890, 0)
	s := NewStats([]scenario.Task{{Method: "GET", Name: "/"}}, start)
	f, err := NewFiles(s, prefix, false)
	if err != nil {
		t.Fatal(err)
	}
	sinks := []load.Sink{s, f}
	feed := func(n int, at time.Duration, last bool) {
		for _, sink := range sinks {
			for range n {
				sink.Add([]load.Sample{{End: at, Sent: at - 5*time.Millisecond}})
			}
			sink.Tick(load.Progress{Start: start, Elapsed: at, Users: 3, Last: last})
		}
	}
	feed(2, time.Second, false)
	feed(3, 1500*time.Millisecond, true)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	history, err := os.ReadFile(prefix + "_stats_history.csv")
	if n := strings.Count(string(history), "\r\n"); err != nil || n != 3 { // header, start, and one row for the last second
		t.Errorf("%d lines in the history, want 3: %v\n%s", n, err, history)
	}
	for suffix, want := range map[string]string{"_stats.csv": "GET,/,5,0,5,5.0,5.0,5.0,0.0,3.33", "_stats_history.csv": "1795431891,3,,Aggregated,0.000000,0.000000,5,5,5,5,5,5,5,5,5,5,5,5,0,5,", "_failures.csv": "Method,", "_exceptions.csv": "Count,"} {
		if b, err := os.ReadFile(prefix + suffix); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v\n%s\nlacks %s", suffix, err, b, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(prefix), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestUnwritableFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFiles(NewStats(nil, time.Now()), filepath.Join(file, "run"), false); err == nil {
		t.Error("files were created below a file")
	}
}
