package main

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/load/loadtest"
	"github.com/ragscope/ragscope/internal/locust/locusttest"
)

// mishap is a server with which requests fail, and what both programs' errors have in common.
type mishap struct {
	url   string
	same  bool     // the whole text
	words []string // in both texts
}

// ill is a server that reads a request and then does to the connection what it is told.
func ill(t *testing.T, do func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					do(conn.(*net.TCPConn))
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func mishaps(t *testing.T) map[string]mishap {
	say := func(text string) string { return ill(t, func(c *net.TCPConn) { _, _ = io.WriteString(c, text) }) }
	reset := func(c *net.TCPConn) { _ = c.SetLinger(0) }
	const part = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	return map[string]mishap{
		"refused":          {url: "http://" + closed.Addr().String(), same: true},
		"reset":            {url: ill(t, reset), same: true},
		"reset_in_body":    {url: ill(t, func(c *net.TCPConn) { _, _ = io.WriteString(c, part); time.Sleep(50 * time.Millisecond); reset(c) }), words: []string{"ConnectionResetError(104, 'Connection reset by peer')"}},
		"closed":           {url: ill(t, func(*net.TCPConn) {}), same: true},
		"no_answer":        {url: ill(t, func(*net.TCPConn) { time.Sleep(5 * time.Second) }), words: []string{"ReadTimeout(", "Read timed out. ("}},
		"stalled":          {url: ill(t, func(c *net.TCPConn) { _, _ = io.WriteString(c, part); time.Sleep(5 * time.Second) }), words: []string{"ReadTimeout", "Read timed out."}},
		"no_connection":    {url: loadtest.FullListener(t), words: []string{"ConnectTimeoutError(", "timed out. ("}},
		"no_name":          {url: "http://nosuch.invalid", same: true},
		"cut":              {url: say(part), words: []string{"ChunkedEncodingError(", "Connection broken: IncompleteRead"}},
		"cut_chunk":        {url: say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc"), words: []string{"ChunkedEncodingError(", "Connection broken: IncompleteRead"}},
		"bad_chunk":        {url: say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), words: []string{"ChunkedEncodingError(", "Connection broken: "}},
		"no_http":          {url: say("220 mail.example.org ESMTP\r\n"), words: []string{"BadStatusLine(", "220 mail.example.org ESMTP"}},
		"no_gzip":          {url: say("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n01234567890123456789"), words: []string{"ContentDecodingError("}},
		"round":            {url: say("HTTP/1.1 302 Found\r\nLocation: /x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), same: true},
		"status_404":       {url: say("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), same: true},
		"status_429":       {url: say("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"), same: true},
		"status_500":       {url: say("HTTP/1.1 500 It's broken\r\nContent-Length: 0\r\n\r\n"), same: true},
		"bad_certificate":  {url: secure.URL, words: []string{"SSLError(", "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "}},
		"no_tls":           {url: strings.Replace(plain.URL, "http:", "https:", 1), words: []string{"SSLError("}},
		"longer_than_head": {url: say("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 200_000)), words: nil}, // LineTooLong there, BadStatusLine here
	}
}

// What a Locust user searches for in failures.csv is there when the loader made it.
func TestErrorsAsLocust(t *testing.T) {
	bin, dir, all := locusttest.Need(t), t.TempDir(), mishaps(t)
	theirs, ours := filepath.Join(dir, "locust"), filepath.Join(dir, "loader")
	var script, scene strings.Builder
	script.WriteString("from locust import HttpUser, constant, task\n")
	scene.WriteString("name: mishaps\nuser_classes:\n")
	for name, m := range all {
		fmt.Fprintf(&script, "class %s(HttpUser):\n    host, wait_time, fixed_count = %q, constant(60), 1\n    @task\n    def t(self):\n        self.client.get('/x', name=%q, timeout=1)\n", name, m.url, name)
		fmt.Fprintf(&scene, "  - {name: %s, fixed_count: 1, host: '%s', think_time: 60s, tasks: [{name: %s, request: {path: /x}}]}\n", name, m.url, name)
	}
	for path, text := range map[string]string{theirs + ".py": script.String(), ours + ".yaml": scene.String()} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	locust := exec.Command(filepath.Join(bin, "locust"), "-f", theirs+".py", "--headless", "-u", fmt.Sprint(len(all)), "-r", "100", "--only-summary", "--exit-code-on-error", "0", "--csv", theirs)
	var said strings.Builder
	locust.Stderr = &said
	if err := locust.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = locust.Process.Kill(); _ = locust.Wait() }()
	if code := loader("--scenario", ours+".yaml", "-u", fmt.Sprint(len(all)), "-r", "100", "-t", "3s", "--timeout", "1s", "--headless", "--only-summary", "--exit-code-on-error", "0", "--csv", ours); code != 0 {
		t.Errorf("exit code %d", code)
	}
	want, got := map[string]string{}, failuresOf(t, ours)
	for end := time.Now().Add(time.Minute); len(want) < len(all) && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if _, err := os.Stat(theirs + "_failures.csv"); err == nil {
			want = failuresOf(t, theirs)
		}
	}
	if len(want) < len(all) {
		_ = locust.Process.Kill()
		_ = locust.Wait()
		t.Fatalf("Locust has %d failures of %d\n%s", len(want), len(all), said.String())
	}
	for name, m := range all {
		if want[name] == "" || got[name] == "" || m.same && got[name] != want[name] {
			t.Errorf("%s\n Locust %s\n loader %s", name, want[name], got[name])
		}
		for _, w := range m.words {
			if !strings.Contains(want[name], w) || !strings.Contains(got[name], w) {
				t.Errorf("%s: %q is not in both of\n Locust %s\n loader %s", name, w, want[name], got[name])
			}
		}
	}
}

// failuresOf are the errors of PREFIX_failures.csv by task.
func failuresOf(t *testing.T, prefix string) map[string]string {
	t.Helper()
	file, err := os.Open(prefix + "_failures.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, _ := csv.NewReader(file).ReadAll() // Locust rewrites the file in place: it may be cut just now
	out := map[string]string{}
	for _, row := range rows {
		out[row[1]] = row[2]
	}
	delete(out, "Name")
	return out
}
