package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/recording"
)

// A loader that has no file descriptor left says so, fails, calls the run invalid, and writes all of its results.
func TestNoDescriptorLeft(t *testing.T) {
	program := filepath.Join(t.TempDir(), "loader")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for model, load := range map[string]string{"closed": "users: 80\nspawn_rate: 200\nthink_time: 10ms\n", "open": "rate: 400/s\n"} {
		t.Run(model, func(t *testing.T) {
			var served atomic.Int64
			api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				served.Add(1)
				time.Sleep(300 * time.Millisecond)
			}))
			defer api.Close()
			prefix := filepath.Join(t.TempDir(), "run")
			if err := os.WriteFile(prefix+".yaml", []byte("name: many\nrun_time: 2s\n"+load+"tasks: [{name: a, request: {path: /a}}]\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			// The hard limit, too: Go's runtime raises the soft one to it.
			cmd := exec.Command("sh", "-c", `ulimit -n 40; exec "$@"`, "sh", program, "run", "--host", api.URL, "--scenario", prefix+".yaml", "--headless", "--only-summary",
				"--csv", prefix, "--html", prefix+".html", "--hlog", prefix+".hlog", "--requests", prefix+".jsonl", "--junit", prefix+".xml")
			out, err := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != command.Failed {
				t.Errorf("%v, want exit code 1: requests failed\n%s", err, out)
			}
			for _, sentence := range []string{"too many open files on the loader's machine; raise ulimit -n or lower the load", "THIS RUN IS INVALID"} {
				if !strings.Contains(string(out), sentence) {
					t.Errorf("it does not say %q:\n%s", sentence, out)
				}
			}
			rec, err := recording.Read(prefix + "_recording.json")
			if err != nil {
				t.Fatal(err)
			}
			c := rec.Endpoints[0].Client
			if good := c.Requests - c.Failures; good != served.Load() || c.Failures == 0 || !strings.Contains(rec.Scenario.Invalid, "too many open files") {
				t.Errorf("%d requests with %d failures, the server answered %d; invalid: %q", c.Requests, c.Failures, served.Load(), rec.Scenario.Invalid)
			}
			all := strconv.FormatInt(c.Requests, 10)
			if got := column(t, prefix+"_stats.csv", "a", "Request Count"); got != all {
				t.Errorf("the CSV counts %s of %s", got, all)
			}
			if got := lastRow(t, prefix+"_stats_history.csv")[17]; got != all {
				t.Errorf("the history ends with %s of %s", got, all)
			}
			if got := failuresOf(t, prefix)["a"]; got != `ConnectionError("too many open files on the loader's machine")` {
				t.Errorf("failure %q", got)
			}
			text, err := os.ReadFile(prefix + ".jsonl")
			if err != nil || strings.Count(string(text), "\n") != int(c.Requests) || !json.Valid(text[:strings.IndexByte(string(text), '\n')]) {
				t.Errorf("%d lines of %s, %v", strings.Count(string(text), "\n"), all, err)
			}
			for _, end := range []string{".html", ".hlog", ".xml"} {
				if info, err := os.Stat(prefix + end); err != nil || info.Size() == 0 {
					t.Errorf("%s: %v", end, err)
				}
			}
		})
	}
}
