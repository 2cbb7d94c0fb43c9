package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/locust/locusttest"
	"github.com/ragscope/ragscope/internal/recording"
)

// background runs a program until the test ends, and returns what ends it before.
func background(t *testing.T, argv ...string) (end func()) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if !ended {
			_ = cmd.Process.Signal(os.Interrupt)
			_ = cmd.Wait()
			ended = true
		}
	}
	t.Cleanup(func() {
		if end(); t.Failed() {
			t.Logf("%s said: %s", filepath.Base(argv[0]), said.Bytes())
		}
	})
	return end
}

// lastRecording is that of the run that ended last behind a UI.
func lastRecording(t *testing.T, base string) *recording.Recording {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var s struct{ State string }
		if json.Unmarshal([]byte(page(t, base+"/stats/requests")), &s) == nil && s.State == "stopped" {
			var rec recording.Recording
			if err := json.Unmarshal([]byte(page(t, base+"/recording.json")), &rec); err != nil {
				t.Fatal(err)
			}
			return &rec
		}
	}
	t.Fatal("the run does not end")
	return nil
}

// Behind the web UI a live agent watches each run: its part of the page shows the stages meanwhile, the recording holds
// both views, which count alike; and when the agent goes, the page and the next recording say so.
func TestLiveAgentBehindTheWebUI(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: NOT TESTED WITH A LIVE AGENT: that needs root")
	}
	if testing.Short() {
		t.Skip("builds and attaches the agent")
	}
	python := filepath.Join(locusttest.Need(t), "python")
	program := filepath.Join(t.TempDir(), "agent")
	if out, err := exec.Command("go", "build", "-o", program, "../agent").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	target, listen := freeAddress(t), freeAddress(t)
	_, port, _ := net.SplitHostPort(target)
	background(t, python, "-m", "uvicorn", "--app-dir", "../../internal/load/testdata/servers", "--port", port, "--lifespan", "off", "--no-access-log", "app:app")
	page(t, "http://"+target+"/small")
	leave := background(t, program, "run", "--target", ":"+port, "--listen", listen)
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if r, err := http.Get("http://" + listen + "/?part=waits"); err == nil {
			_ = r.Body.Close()
			break
		} else if time.Now().After(end) {
			t.Skip("SKIPPED: NOT TESTED WITH A LIVE AGENT: it does not run here: ", err)
		}
	}
	scene := filepath.Join(t.TempDir(), "s.yaml")
	if err := os.WriteFile(scene, []byte("name: live\ntasks: [{name: /small, request: {path: /small}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := behindUI(t, "--host", "http://"+target, "--scenario", scene, "--agent", "http://"+listen, "--csv", filepath.Join(t.TempDir(), "run"))
	page(t, base+"/")
	swarm(t, base, url.Values{"rate": {"50"}, "run_time": {"4s"}})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		part := page(t, base+"/agent")
		if strings.Contains(part, "Where the time goes") && strings.Contains(part, "/small") && strings.Contains(part, "on_cpu") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the agent's part of the page: %s", part)
		}
	}
	rec := lastRecording(t, base)
	var seen, sent int64
	for _, e := range rec.Endpoints {
		if e.Client != nil {
			seen, sent = seen+e.Requests, sent+e.Client.Requests
			if len(e.Stages) == 0 {
				t.Errorf("no stages of %s", e.Endpoint)
			}
		}
	}
	if sent != 200 || seen != sent {
		t.Errorf("%d requests sent, want 200; the agent saw %d of them", sent, seen)
	}

	leave()
	if text := page(t, base+"/agent"); !strings.Contains(text, "does not answer") {
		t.Errorf("without its agent the page says %q", text)
	}
	swarm(t, base, url.Values{"rate": {"50"}, "run_time": {"1s"}})
	rec = lastRecording(t, base)
	if len(rec.NotMeasured) == 0 || !strings.Contains(rec.NotMeasured[0].Why, "the agent did not watch") || rec.Scenario.Requests != 50 {
		t.Errorf("%d requests; not measured: %+v", rec.Scenario.Requests, rec.NotMeasured)
	}
}
