package request

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Captures of a real uvicorn (internal/watch/testdata/app.py, a pool of two Redis connections,
// eight clients), made by `agent record --events`, beside what the application itself logged of
// its waits. CPython 3.11, uvicorn 0.54, redis-py 8.1, uvloop 0.23.
var captures = []struct {
	name string
	late bool
}{
	{"uvloop", true},   // httptools
	{"asyncio", false}, // httptools
	{"h11", true},      // uvloop
}

func readEvents(t testing.TB, name string) []event.Event {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".events.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	events, err := event.ReadStream(bufio.NewReader(z))
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// replay feeds a recorded stream as the agent does.
func replay(events []event.Event, late bool) (*facts, *Tracker) {
	f := &facts{}
	tr := New(Options{
		Endpoint: func(_ uint32, method, path string) string {
			if strings.HasPrefix(path, "/items/") {
				path = "/items/{item}"
			}
			return method + " " + path
		},
		Late: func(uint32) bool { return late },
	}, f)
	var q Sequence
	const poll = 10_000_000 // ns
	next := int64(0)
	for i := range events {
		q.Push(&events[i])
		if at := events[i].Time; at > next {
			q.Release(at-Hold, tr.Feed)
			next = at + poll
		}
	}
	q.Release(math.MaxInt64, tr.Feed)
	return f, tr
}

type appTruth struct {
	ID    string    `json:"id"`
	Path  string    `json:"path"`
	Waits []float64 `json:"waits"` // seconds, one for each connection that it asked for
}

func readTruth(t *testing.T, name string) map[string]appTruth {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".truth"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]appTruth{}
	for line := range strings.Lines(string(raw)) {
		var a appTruth
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatal(err)
		}
		out[a.ID] = a
	}
	return out
}

func TestReplay(t *testing.T) {
	for _, c := range captures {
		t.Run(c.name, func(t *testing.T) {
			f, tr := replay(readEvents(t, c.name), c.late)
			truth := readTruth(t, c.name)
			if len(f.requests) != len(truth)-1 {
				t.Errorf("%d requests, the application answered %d and the agent's own question", len(f.requests), len(truth)-1)
			}
			if tr.Orphans() > 0 || len(tr.Losses()) > 0 {
				t.Errorf("%d calls without a request, losses %v", tr.Orphans(), tr.Losses())
			}
			var errors []float64
			for _, r := range f.requests {
				whole(t, r)
				want, known := truth[r.ID]
				if !known || len(r.Missing) > 0 || r.Status != 200 {
					t.Errorf("request %q: status %d, missing %v, known to the application: %t", r.ID, r.Status, r.Missing, known)
					continue
				}
				errors = append(errors, waitsAgree(t, r, want)...)
			}
			slices.Sort(errors)
			if n := len(errors); n > 0 {
				t.Logf("error of a request's pool wait: median %.2f ms, p90 %.2f, max %.2f", errors[n/2], errors[n*9/10], errors[n-1])
			}
			golden(t, filepath.Join("testdata", c.name+".golden"), summary(f))
		})
	}
}

// waitsAgree compares a request's waits with the application's clock; it returns the error in ms.
func waitsAgree(t *testing.T, r *Request, want appTruth) []float64 {
	t.Helper()
	waited, truth, connects := 0.0, 0.0, false
	for _, k := range r.Calls {
		waited += float64(k.PoolWait) / 1e6
		connects = connects || k.Connect > 0
		if k.Basis != "context" || !k.Finished || k.Error != "" {
			t.Errorf("%s %s: call %+v", r.ID, r.Path, *k)
		}
	}
	for _, w := range want.Waits {
		truth += w * 1e3
	}
	if len(r.Calls) != len(want.Waits) {
		t.Errorf("%s %s: %d calls %v, the application made %d", r.ID, r.Path, len(r.Calls), operations(r), len(want.Waits))
	}
	if connects {
		return nil // the application's clock contains the making of connections
	}
	if math.Abs(waited-truth) > 5 || waited > 1 && truth < .3 {
		t.Errorf("%s %s waited %.2f ms, by the application's clock %.2f", r.ID, r.Path, waited, truth)
	}
	return []float64{math.Abs(waited - truth)}
}

// summary is one line a request, in µs.
func summary(f *facts) string {
	var out strings.Builder
	for _, r := range f.requests {
		fmt.Fprintf(&out, "%s %s %d total %d:", r.ID, r.Endpoint, r.Status, r.Total()/1000)
		for _, stage := range Stages {
			if ns := int64(math.Round(r.sum(stage) * 1e6)); ns > 0 {
				fmt.Fprintf(&out, " %s %d", stage, ns/1000)
			}
		}
		for _, k := range r.Calls {
			fmt.Fprintf(&out, "; %s %s %d hits %d/%d wait %d", k.Peer.System, k.Operation, (k.LastArrived-k.Sent)/1000, k.Hits, k.Lookups, k.PoolWait/1000)
		}
		fmt.Fprintln(&out)
	}
	return out.String()
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: make it with -update", err)
	}
	w, g := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			t.Fatalf("%s, line %d\n got  %s\n want %s\n(-update writes it anew, if the change is meant)", path, i+1, g[i], w[i])
		}
	}
	if len(w) != len(g) {
		t.Errorf("%s has %d lines, got %d", path, len(w), len(g))
	}
}

// Streams that lost or doubled events: nothing panics, every request is whole.
func TestReplayDisturbed(t *testing.T) {
	for _, c := range captures {
		events := readEvents(t, c.name)
		for name, disturb := range map[string]disturbance{"lost": lose(.02), "shuffled": shuffled(40), "doubled": doubled} {
			f, tr := replay(disturb(rngOf(1), events), c.late)
			tr.Gone(f.requests[0].PID, events[len(events)-1].Time)
			for _, r := range f.requests {
				if why := broken(r); why != "" {
					t.Errorf("%s, %s: request %s: %s", c.name, name, r.ID, why)
				}
			}
		}
	}
}

func BenchmarkFeed(b *testing.B) {
	events := readEvents(b, "uvloop")
	b.ReportAllocs()
	for b.Loop() {
		f, _ := replay(events, true)
		b.ReportMetric(float64(len(events)), "events/op")
		b.ReportMetric(float64(len(f.requests)), "requests/op")
	}
}
