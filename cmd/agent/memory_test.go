package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/export/memoryfile"
	"github.com/ragscope/ragscope/internal/memory"
)

// What was read of a target that ends meanwhile is kept: its memory, what that consisted of when it
// was last looked at, and that it is too early for a verdict.
func TestMemory(t *testing.T) {
	needRoot(t)
	target := startService(t)
	dir := t.TempDir()
	agent := begin(t, "memory", "--target", target.port, "--duration", "1h", "--out", dir, "--memory-limit", "512MiB")
	agent.until(t, "attached")
	const n = 20
	target.ask(t, "/hello", n)
	time.Sleep(2500 * time.Millisecond) // readings, one a second
	target.end()
	agent.until(t, "has ended")
	agent.stop()
	got := agent.end(t)
	got.wants(t, command.OK)
	if want := " /memory_profile.svg /memory_report.json"; list(t, dir) != want {
		t.Errorf("files:%s, want%s", list(t, dir), want)
	}
	text, err := os.ReadFile(filepath.Join(dir, memoryfile.ReportName))
	if err != nil {
		t.Fatal(err)
	}
	var r memoryfile.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if r.Schema != memoryfile.Schema || r.Requests != n || r.PeakRSS == nil || len(r.Timeline) < 3 {
		t.Errorf("report: schema %q, %d requests of %d, peak %v, %d readings", r.Schema, r.Requests, n, r.PeakRSS, len(r.Timeline))
	}
	if len(r.Processes) != 1 || r.Processes[0].PID != target.pid || !r.Processes[0].Ended || len(r.Processes[0].Timeline) < 3 {
		t.Errorf("processes: %+v", r.Processes)
	}
	if c := r.Composition; c == nil || c.PSS == 0 || c.RSS != c.File+c.Anonymous+c.Shared {
		t.Errorf("composition: %+v", c)
	}
	if r.Verdict != memory.TooShort || !strings.Contains(r.Reason, "30 are needed") {
		t.Errorf("verdict %q: %s", r.Verdict, r.Reason)
	}
	if len(r.Limits) == 0 || r.Limits[0].Bytes != 512<<20 || r.Limits[0].Peak != *r.PeakRSS {
		t.Errorf("limits: %+v", r.Limits)
	}
	for _, s := range []string{"too short to say", "RSS", "(ended)", "--memory-limit", "not measured: " + memoryfile.Hotspots} {
		if !strings.Contains(got.out, s) {
			t.Errorf("the summary has no %q:\n%s", s, got.out)
		}
	}
	if svg, err := os.ReadFile(filepath.Join(dir, memoryfile.PictureName)); err != nil || !bytes.Contains(svg, []byte("too short to say")) {
		t.Errorf("the picture does not hold the verdict: %v", err)
	}
}
