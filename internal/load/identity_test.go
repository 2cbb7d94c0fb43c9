package load

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ragscope/ragscope/internal/scenario"
)

// heard keeps what a server got: traceparent by x-request-id, and when.
type heard struct {
	mu      sync.Mutex
	parents map[string][]string
}

func (h *heard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	id := r.Header.Get("X-Request-Id")
	h.parents[id] = append(h.parents[id], strings.Join(r.Header.Values("Traceparent"), ","))
	h.mu.Unlock()
	if r.URL.Path == "/moved" {
		http.Redirect(w, r, "/", http.StatusFound)
	}
}

// sendTraced sends a scenario and returns what the server heard, and the log.
func sendTraced(t *testing.T, sender, text string, cfg Config) (*heard, []requestLine) {
	t.Helper()
	h := &heard{parents: map[string][]string{}}
	server := httptest.NewServer(h)
	defer server.Close()
	s, err := scenario.Parse("traced", []byte(text), nil, scenario.Options{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "made", "requests.jsonl")
	log, err := NewRequestLog(path, s)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Sender, err = senders[sender](server.URL, Connections{}); err != nil {
		t.Fatal(err)
	}
	cfg.Scenario, cfg.Host, cfg.Sinks, cfg.Identify, cfg.StopTimeout = s, server.URL, []Sink{log}, true, 10*time.Second
	if _, err := Run(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return h, logLines(t, path)
}

func logLines(t *testing.T, path string) (lines []requestLine) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	in := bufio.NewScanner(file)
	for in.Scan() {
		var l requestLine
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			t.Fatalf("%v in %s", err, in.Text())
		}
		lines = append(lines, l)
	}
	return lines
}

// Every request is a sampled trace of its own, also in two runs of one seed, and the log tells which; a redirect
// belongs to its request's trace.
func TestTraceparent(t *testing.T) {
	valid := regexp.MustCompile(`^00-([0-9a-f]{32})-([0-9a-f]{16})-01$`)
	const text = "rate: 200/s\nrun_time: 500ms\ntasks: [{request: {path: /}}, {request: {path: /moved}}]\n"
	for sender := range senders {
		t.Run(sender, func(t *testing.T) {
			traces, spans := map[string]bool{}, map[string]bool{}
			for range 2 {
				server, lines := sendTraced(t, sender, text, Config{Traceparent: true, Seed: 7})
				if len(lines) < 50 || len(lines) != len(server.parents) {
					t.Fatalf("%d lines, the server heard of %d requests", len(lines), len(server.parents))
				}
				for _, l := range lines {
					parents := server.parents[l.ID]
					if len(parents) != 1+l.Redirects || l.Redirects > 0 && parents[0] != parents[1] {
						t.Fatalf("%s with %d redirects: %q", l.ID, l.Redirects, parents)
					}
					ids := valid.FindStringSubmatch(parents[0])
					if ids == nil || ids[1] != l.TraceID || traces[ids[1]] || spans[ids[2]] {
						t.Fatalf("the server heard %q, again %v; the log says %q", parents[0], ids != nil && (traces[ids[1]] || spans[ids[2]]), l.TraceID)
					}
					traces[ids[1]], spans[ids[2]] = true, true
				}
			}
		})
	}
}

// Without being asked for, no trace context is sent; a task's own header stays as it is, and the log knows it.
func TestOwnTraceparent(t *testing.T) {
	const own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	task := func(headers string) string {
		return "rate: 20/s\nrun_time: 200ms\ntasks: [{name: home, request: {path: /" + headers + "}}]\n"
	}
	for sender := range senders {
		for _, tt := range []struct {
			headers, parent, trace string
			asked                  bool
		}{
			{},
			{headers: ", headers: {TraceParent: " + own + "}", parent: own, trace: own[3:35], asked: true},
			{headers: ", headers: {traceparent: other}", parent: "other"},
		} {
			server, lines := sendTraced(t, sender, task(tt.headers), Config{Traceparent: tt.asked})
			for _, l := range lines {
				if got := server.parents[l.ID]; len(got) != 1 || got[0] != tt.parent || l.TraceID != tt.trace {
					t.Errorf("%s: with%s the server heard %q, the log says %q", sender, tt.headers, got, l.TraceID)
				}
			}
			if len(lines) == 0 {
				t.Error("nothing was sent")
			}
		}
	}
}

// A line holds what happened to its request, and when by the clock that the agent uses.
func TestRequestLog(t *testing.T) {
	now := func() float64 {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			t.Fatal(err)
		}
		return float64(ts.Nano()) / 1e9
	}
	server := httptest.NewServer(http.HandlerFunc(api))
	defer server.Close()
	s, err := scenario.Parse("log", []byte("rate: 20/s\nrun_time: 200ms\ntasks: [{name: talk, request: {method: POST, path: /stream, stream: sse, headers: {X-Request-Id: mine}}}, {name: bad, request: {path: /broken}}]\n"), nil, scenario.Options{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "requests.jsonl")
	log, err := NewRequestLog(path, s)
	if err != nil {
		t.Fatal(err)
	}
	before := now()
	if _, err := Run(context.Background(), Config{Scenario: s, Host: server.URL, Sinks: []Sink{log}, Identify: true, StopTimeout: time.Second, Seed: 3}); err != nil {
		t.Fatal(err)
	}
	after := now()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, l := range logLines(t, path) {
		seen[l.Endpoint] = true
		if l.Start < before || l.Start+l.Seconds > after || time.Since(l.Time) > time.Minute {
			t.Errorf("sent at %v by the kernel's clock (%v…%v), %v by the calendar, took %v s", l.Start, before, after, l.Time, l.Seconds)
		}
		switch l.Endpoint {
		case "POST talk":
			if l.ID != "mine" || l.Tokens != 2 || len(l.Gaps) != 1 || l.FirstToken < l.FirstEvent || l.FirstEvent <= 0 || l.FirstToken > l.Seconds || l.Failure != "" {
				t.Errorf("%+v", l)
			}
		default:
			if l.Status != 500 || l.Failure != "HTTP 500 Internal Server Error" || l.Tokens != 0 || l.ID == "" {
				t.Errorf("%+v", l)
			}
		}
	}
	if len(seen) != 2 {
		t.Errorf("lines of %v", seen)
	}
}

// Requests that find no room on the disk are counted.
func TestRequestLogFull(t *testing.T) {
	s, err := scenario.Parse("full", []byte("tasks: [{request: {path: /}}]\n"), nil, scenario.Options{})
	if err != nil {
		t.Fatal(err)
	}
	log, err := NewRequestLog("/dev/full", s)
	if err != nil {
		t.Skip(err)
	}
	samples := []Sample{{Identity: &Identity{}}, {Identity: &Identity{}}}
	log.Add(samples)
	log.Tick(Progress{})
	log.Add(samples)
	if err := log.Close(); err == nil || err.Error() != "--requests: write /dev/full: no space left on device; at least 2 requests have no line" {
		t.Error(err)
	}
}
