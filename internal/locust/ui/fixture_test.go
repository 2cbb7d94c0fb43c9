package ui

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/locust"
	"github.com/ragscope/ragscope/internal/scenario"
)

// target answers /a and refuses /bad.
func target(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprint(w, `{"ok": 1}`)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// suite is testdata/locustfile.py as a scenario.
const suite = `
name: Suite
think_time: 50ms
tasks:
  - {name: a, weight: 3, tags: [good], request: {path: /a}}
  - {name: bad, weight: 1, request: {path: /bad}}
`

// served starts a UI over a scenario and returns it with its address.
func served(t *testing.T, text, host string, change func(*Config)) (*UI, string) {
	t.Helper()
	stats := locust.NewStats(nil, time.Now())
	files, err := locust.NewFiles(stats, filepath.Join(t.TempDir(), "run"), true)
	if err != nil {
		t.Fatal(err)
	}
	logs := NewLogs(slog.NewTextHandler(t.Output(), nil))
	slog.New(logs).Info("served")
	cfg := Config{Logs: logs, Stats: stats, Files: files, Scenarios: scenario.BuiltinNames(), Load: load.Config{StopTimeout: time.Minute}}
	cfg.Scenario = func(name string) (*scenario.Scenario, error) {
		if name != "" {
			return scenario.Load(name, scenario.Options{})
		}
		s, err := scenario.Parse("suite.yaml", []byte(text), nil, scenario.Options{})
		if err == nil && host != "" {
			s.Host = host
		}
		return s, err
	}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	u, err := New(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(u.Handler())
	t.Cleanup(func() {
		cancel()
		_, _, _ = u.Wait()
		server.Close()
		if err := files.Close(); err != nil {
			t.Error(err)
		}
	})
	return u, server.URL
}
