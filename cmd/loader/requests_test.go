package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
)

// --traceparent and --requests together tell of each request under which trace it is found.
func TestTraceparent(t *testing.T) {
	for _, asked := range []bool{true, false} {
		var mu sync.Mutex
		sent := map[string]string{} // traceparent by x-request-id
		api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			sent[r.Header.Get("X-Request-Id")] = r.Header.Get("Traceparent")
			mu.Unlock()
		}))
		file := filepath.Join(t.TempDir(), "new", "requests.jsonl")
		args := []string{"--csv", filepath.Join(t.TempDir(), "run"), "--host", api.URL, "--scenario", "testdata/locust.yaml", "-u5", "-r100", "-t1s", "--think-time", "20ms", "--headless", "--only-summary", "--exit-code-on-error", "0", "--requests", file}
		if asked {
			args = append(args, "--traceparent")
		}
		if code := loader(args...); code != 0 {
			t.Errorf("exit code %d", code)
		}
		api.Close()
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for in := bufio.NewScanner(f); in.Scan(); lines++ {
			var l struct {
				ID    string `json:"id"`
				Trace string `json:"trace_id"`
			}
			if err := json.Unmarshal(in.Bytes(), &l); err != nil {
				t.Fatal(err)
			}
			if parent, ok := sent[l.ID]; !ok || asked && (len(parent) != 55 || parent[3:35] != l.Trace) || !asked && parent+l.Trace != "" {
				t.Fatalf("asked %v: the log says %+v, the server heard %q (%v)", asked, l, parent, ok)
			}
		}
		f.Close()
		rec, err := recording.Read(args[1] + "_recording.json")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range rec.Endpoints {
			slow := e.Client.Slowest
			if len(slow) != int(min(5, e.Client.Requests)) || slow[0].Response != e.Client.Response.Max {
				t.Errorf("%s took %v s at most; slowest %+v", e.Endpoint, e.Client.Response.Max, slow)
			}
			for i, s := range slow {
				if parent, ok := sent[s.ID]; !ok || asked && parent[3:35] != s.TraceID || i > 0 && s.Response > slow[i-1].Response {
					t.Errorf("%s: %+v of %+v; the server heard %q", e.Endpoint, s, slow, parent)
				}
			}
		}
		if lines == 0 || lines != len(sent) {
			t.Errorf("%d lines of %d requests", lines, len(sent))
		}
	}
}
