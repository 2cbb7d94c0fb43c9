package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ragscope/ragscope/internal/command"
)

// Profiles of the loader reach Pyroscope when they are asked for, and only then; a server that
// is not there changes nothing.
func TestSelfProfile(t *testing.T) {
	var requests, uploads atomic.Int64
	api := ragAPI(t, &requests)
	pyroscope := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Query().Get("name"), ownName) {
			uploads.Add(1)
		}
	}))
	defer pyroscope.Close()
	for _, test := range []struct {
		name  string
		args  []string
		code  int
		sends bool
	}{
		{"asked for", []string{"--pyroscope", pyroscope.URL, "--self-profile"}, command.OK, true},
		{"not asked for", []string{"--pyroscope", pyroscope.URL}, command.OK, false},
		{"to a server that is not there", []string{"--pyroscope", "http://127.0.0.1:1", "--self-profile"}, command.OK, false},
		{"to nowhere", []string{"--self-profile"}, command.Usage, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			uploads.Store(0)
			args := append([]string{"--host", api, "--tags", "health", "-u1", "-t", "200ms", "--think-time", "10ms", "--headless", "--only-summary"}, test.args...)
			if code := loader(args...); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if got := uploads.Load() > 0; got != test.sends {
				t.Errorf("%d uploads", uploads.Load())
			}
		})
	}
}
