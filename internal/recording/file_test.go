package recording

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWriteReadKeepsFacts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recording.json")
	rec := part(0, "baseline")
	if err := Write(path, rec); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	if err := errors.Join(Encode(&a, rec), Encode(&b, got)); err != nil {
		t.Fatal(err)
	}
	if a.String() != b.String() {
		t.Errorf("written and read differ:\n%s\n%s", &a, &b)
	}
	if got.Endpoints[0].Endpoint != "GET /health" || got.Endpoints[1].Stages[0].Stage != "on_cpu" {
		t.Errorf("arrays are not sorted by name: %+v", got.Endpoints)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ content, says string }{
		"cut off":      {`{"schema": "ragscope.recording/1", "target": {`, "cut off or damaged"},
		"other schema": {`{"schema": "ragscope.recording/9"}`, `"ragscope.recording/9"`},
		"no schema":    {`{}`, `its schema is ""`},
		"an array":     {`[]`, "damaged"},
		"wrong shape":  {`{"schema": "ragscope.recording/1", "endpoints": 5}`, "another shape"},
		"bad histogram": {`{"schema": "ragscope.recording/1", "endpoints": [{"endpoint": "GET /", "latency": {"count": 1, "hdr": "??"}}]}`,
			"another shape"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.json")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Read(path)
			if !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v: want ErrSchema that names the file and says %q", err, c.says)
			}
		})
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestWriteFileLeavesNothingHalf(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	err := WriteFile(path, func(w io.Writer) error { _, _ = w.Write([]byte("half")); return full })
	if !errors.Is(err, full) {
		t.Fatalf("error %v, want %v", err, full)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Errorf("old file became %q", b)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("left behind: %v", list)
	}
}

func dist(seconds ...float64) Dist {
	var d Dist
	for _, s := range seconds {
		d.Observe(s)
	}
	return d
}

// part is a small recording that starts so many seconds after noon.
func part(after float64, name string) *Recording {
	start := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC).Add(time.Duration(after * float64(time.Second)))
	n := int64(100)
	return &Recording{
		Schema: Schema, Target: Target{Service: "api", PIDs: []int{7}}, Window: Window{Start: start, Seconds: 10},
		Scenario: &Scenario{Name: name, Users: 5, Requests: 20, Failures: 1, RequestsPerSec: 2, RunTime: 10},
		Endpoints: []Endpoint{
			{Endpoint: "POST /chat", Requests: 2, Status: map[string]int64{"200": 2}, Latency: dist(.1, .3), AllocatedBytes: &n,
				Stages: []Stage{{Stage: "upstream", Peer: "redis", Requests: 2, Dist: dist(.1, .1)}, {Stage: "on_cpu", Requests: 2, Dist: dist(.1, .1)}},
				Calls:  []Call{{Peer: "redis", Operation: "GET", Count: 4, Latency: dist(.05, .05, .05, .05), PerRequest: 2}},
				Client: &Client{Requests: 2, Response: dist(.2, .4), Errors: []Failure{{"503", 1}}, Tasks: []Task{{Name: "chat", Requests: 2, Response: dist(.2, .4)}}}},
			{Endpoint: "GET /health", Requests: 1, Status: map[string]int64{"200": 1}, Latency: dist(.001)},
		},
		Pools: []Pool{{Peer: "redis", Address: "127.0.0.1:6379", OpenMax: 3, InUseMax: 2, WaitersMax: 1,
			Waits: []PoolWait{{Endpoint: "POST /chat", Acquisitions: 4, Waited: 1, TimedOut: 2, Unsure: .01, Dist: dist(.02)}}, Timeline: []PoolTick{{T: 1, InUse: 2}}}},
		Memory:   Memory{Timeline: []MemoryTick{{T: 2, RSS: 100}}, MemoryGrowth: MemoryGrowth{Verdict: "stable", GrowthBytesPerSecond: &Estimate{1, 0, 2}}},
		Backends: []Backend{{Peer: "redis", Address: "127.0.0.1:6379", Values: map[string]float64{"keys": after}, Rates: map[string]float64{"hits": 1 + after}}},
		Losses:   []Loss{{"ring", "full", 3}}, Probes: []Probe{{Probe: "send", Attached: true}},
		Timeline: []Tick{{T: 3, Requests: 3}}, Overhead: Overhead{TargetRatio: .01, PrecisionMode: "core"},
	}
}
