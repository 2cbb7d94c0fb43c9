package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/recording"
)

// runReport runs the command and returns its output and exit code.
func runReport(t *testing.T, args ...string) (output string, code int) {
	t.Helper()
	var out bytes.Buffer
	app := &cli.App{Commands: []*cli.Command{reportCommand()}, Writer: &out, ErrWriter: &out, ExitErrHandler: func(*cli.Context, error) {}}
	err := app.Run(append([]string{"loader", "report"}, args...))
	var exit cli.ExitCoder
	switch {
	case errors.As(err, &exit):
		return out.String() + err.Error(), exit.ExitCode()
	case err != nil:
		return out.String() + err.Error(), 1
	}
	return out.String(), 0
}

func scenarioRecording(name string, minute int) *recording.Recording {
	var d recording.Dist
	d.Observe(.1)
	return &recording.Recording{
		Target: recording.Target{Service: "api", Address: "127.0.0.1:8000"}, Scenario: &recording.Scenario{Name: name, Rate: 1, Requests: 1, RequestsPerSec: 1},
		Window: recording.Window{Start: time.Date(2026, 1, 2, 3, minute, 0, 0, time.UTC), Seconds: 30},
		Endpoints: []recording.Endpoint{{Endpoint: "GET /", Requests: 1, Latency: d, Stages: []recording.Stage{{Stage: "on_cpu", Requests: 1, Dist: d}},
			Client: &recording.Client{Requests: 1, Response: d, Service: d}}},
	}
}

func resultsFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i, name := range []string{"baseline", "peak"} {
		if err := recording.Write(filepath.Join(dir, name+"_recording.json"), scenarioRecording(name, i)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReportOfFolder(t *testing.T) {
	dir := resultsFolder(t)
	out, code := runReport(t, "--results", dir, "--out", filepath.Join(dir, "today.html"))
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	for _, name := range []string{"today.md", "today.html", "recording.json", "memory_profile.svg", "memory_report.json", "latency_report.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil || !strings.Contains(out, name) {
			t.Errorf("%s: %v; printed:\n%s", name, err, out)
		}
	}
	whole, err := recording.Read(filepath.Join(dir, "recording.json"))
	if err != nil || whole.Endpoints[0].Requests != 2 || len(whole.Bottlenecks) != 1 {
		t.Errorf("recording.json: %v, %+v", err, whole)
	}
	// The whole run's own recording.json is not taken for a scenario.
	if out, code := runReport(t, "--results", dir); code != 0 {
		t.Errorf("a second time: %d, %s", code, out)
	}
}

func TestReportWithAgent(t *testing.T) {
	whole := scenarioRecording("", 0)
	whole.Scenario, whole.Endpoints[0].Client, whole.Endpoints[0].Requests = nil, nil, 77
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/recording", func(w http.ResponseWriter, _ *http.Request) { _ = recording.Encode(w, whole) })
	mux.HandleFunc("/api/v1/profile/cpu", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("format") == "svg" {
			http.Error(w, "no samples yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("pprof"))
	})
	agent := httptest.NewServer(mux)
	defer agent.Close()
	dir := resultsFolder(t)
	if out, code := runReport(t, "--results", dir, "--agent", agent.URL+"/"); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	rec, err := recording.Read(filepath.Join(dir, "recording.json"))
	if err != nil || rec.Endpoints[0].Requests != 77 || rec.Endpoints[0].Client.Requests != 2 {
		t.Errorf("recording.json is not the agent's with the loader's figures: %v, %+v", err, rec)
	}
	text, _ := os.ReadFile(filepath.Join(dir, "report.md"))
	if !strings.Contains(string(text), "no samples yet") {
		t.Error("the report does not say why there is no flame graph")
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "cpu.pb.gz")); string(b) != "pprof" {
		t.Errorf("cpu.pb.gz holds %q", b)
	}
}

func TestReportRefuses(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		rec := scenarioRecording("", 0)
		rec.Target.Address = "127.0.0.1:9999"
		_ = recording.Encode(w, rec)
	}))
	defer other.Close()
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	broken := resultsFolder(t)
	if err := os.WriteFile(filepath.Join(broken, "x_recording.json"), []byte(`{"schema": "ragscope.recor`), 0o600); err != nil {
		t.Fatal(err)
	}
	twice := resultsFolder(t)
	if err := recording.Write(filepath.Join(twice, "again_recording.json"), scenarioRecording("again", 0)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no folder":      {[]string{"--results", "/nonexistent/results"}, 2, "does not exist"},
		"no recordings":  {[]string{"--results", t.TempDir()}, 2, "loader run --agent"},
		"corrupt":        {[]string{"--results", broken}, 2, "x_recording.json"},
		"overlapping":    {[]string{"--results", twice}, 2, "count twice"},
		"other form":     {[]string{"--results", resultsFolder(t), "--out", "x.pdf"}, 2, ".md or .html"},
		"stray argument": {[]string{"results"}, 2, "--results"},
		"dead agent":     {[]string{"--results", resultsFolder(t), "--agent", dead.URL}, 3, "leave out --agent"},
		"other agent":    {[]string{"--results", resultsFolder(t), "--agent", other.URL}, 3, "127.0.0.1:9999"},
		"cannot write":   {[]string{"--results", resultsFolder(t), "--out", "/dev/null/x.md"}, 3, "another folder"},
	} {
		t.Run(name, func(t *testing.T) {
			out, code := runReport(t, c.args...)
			if code != c.code || !strings.Contains(out, c.says) {
				t.Errorf("exit code %d, want %d, saying %q:\n%s", code, c.code, c.says, out)
			}
		})
	}
}
