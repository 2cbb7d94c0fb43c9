package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/command"
)

var servesAt = regexp.MustCompile(`pages=(http://[^/]+)/`)

// daemon starts agent run and returns where it serves.
func daemon(t *testing.T, args ...string) (agent *running, at string) {
	t.Helper()
	agent = begin(t, append([]string{"run", "--listen", "127.0.0.1:0", "--cpu-hz", "0"}, args...)...)
	m := servesAt.FindStringSubmatch(agent.until(t, "msg=serving"))
	if m == nil {
		t.Fatal("it does not say where it serves")
	}
	return agent, m[1]
}

// eventually asks again and again: the daemon renews its figures once a second.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for late := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// The daemon serves its pages until it is told to end, then lets the port go; --requests grows
// while it runs and is whole at the end.
func TestRunServes(t *testing.T) {
	needRoot(t)
	target := startService(t)
	lines := filepath.Join(t.TempDir(), "requests.jsonl")
	if err := os.WriteFile(lines, []byte("of an earlier run\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	agent, at := daemon(t, "--target", target.port, "--requests", lines)
	client := &http.Client{Timeout: patience}
	if health := body(t, client, at+"/healthz", http.StatusOK); !strings.Contains(health, "attached") {
		t.Errorf("/healthz: %s", health)
	}
	const n = 12
	target.ask(t, "/hello", n)
	counted := regexp.MustCompile(fmt.Sprintf(`(?m)^http_server_request_duration_seconds_count{[^}]*http_route="/hello"[^}]*} %d$`, n))
	eventually(t, "/metrics counts the requests", func() bool {
		return counted.MatchString(body(t, client, at+"/metrics", http.StatusOK))
	})
	eventually(t, "/metrics tells about the agent itself", func() bool {
		m := body(t, client, at+"/metrics", http.StatusOK)
		return strings.Contains(m, "ragscope_probe_attached{") && strings.Contains(m, "ragscope_target_overhead_ratio")
	})
	if page := body(t, client, at+"/", http.StatusOK); !strings.Contains(page, "GET /hello") || !strings.Contains(page, "<html") {
		t.Errorf("the page does not show the endpoint: %s", page)
	}
	body(t, client, at+"/api/v1/profile/cpu", http.StatusNotFound) // switched off
	eventually(t, "--requests grows while the agent runs", func() bool {
		text, err := os.ReadFile(lines)
		return err == nil && strings.Count(string(text), "\n") == n
	})
	target.ask(t, "/hello", 1)
	agent.stop() // a connection of client is still open
	agent.end(t).wants(t, command.OK)
	checkRequestLines(t, lines, n+1)
	if _, err := net.Dial("tcp", strings.TrimPrefix(at, "http://")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the port is not free: %v", err)
	}
}

// A target that ends makes the daemon unhealthy, not dead; one that comes back on the port is
// attached again. Here it does not.
func TestRunTargetEnds(t *testing.T) {
	needRoot(t)
	target := startService(t)
	agent, at := daemon(t, "--target", target.port)
	target.ask(t, "/hello", 3)
	target.end()
	client := &http.Client{Timeout: patience}
	eventually(t, "/healthz says that the target is not there", func() bool {
		res, err := client.Get(at + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusServiceUnavailable
	})
	if page := body(t, client, at+"/", http.StatusOK); !strings.Contains(page, "GET /hello") {
		t.Error("the page has lost what was seen")
	}
	agent.stop()
	agent.end(t).wants(t, command.OK)
}
