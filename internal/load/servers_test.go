package load

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/locust/locusttest"
	"github.com/ragscope/ragscope/internal/scenario"
)

// framings answers as testdata/servers/app.py does.
func framings(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch r.URL.Path {
	case "/small":
		io.WriteString(w, "hello")
	case "/chunked":
		for range 10 {
			io.WriteString(w, strings.Repeat("0123456789", 1000))
		}
	case "/gzip":
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, strings.Repeat("a", 10000))
		z.Close()
	case "/empty":
		w.WriteHeader(http.StatusNoContent)
	case "/moved":
		http.Redirect(w, r, "/small", http.StatusTemporaryRedirect)
	case "/stream":
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			io.WriteString(w, "data: {\"type\": \"token\", \"data\": {\"content\": \"x\"}}\n\n")
			_ = http.NewResponseController(w).Flush()
		}
		io.WriteString(w, "data: [DONE]\n\n")
	case "/echo":
		w.Write(body)
	default:
		http.NotFound(w, r)
	}
}

// missing ends a test that lacks a program: in CI .ci/setup has it.
func missing(t *testing.T, what string) {
	if os.Getenv("CI") != "" {
		t.Fatal(what + " is missing: .ci/setup installs it")
	}
	t.Skip("SKIPPED: " + what + " is missing: .ci/setup installs it")
}

// start starts a server and waits until it listens.
func start(t *testing.T, address string, argv ...string) (base string) {
	t.Helper()
	if _, err := exec.LookPath(argv[0]); err != nil {
		missing(t, argv[0])
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	for begin := time.Now(); time.Since(begin) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return "http://" + address
		}
	}
	t.Fatalf("%v does not listen", argv)
	return ""
}

func uvicorn(http string) func(t *testing.T) string {
	return func(t *testing.T) string {
		python := filepath.Join(locusttest.Bin(t), "python")
		if exec.Command(python, "-c", "import uvicorn, httptools, h11").Run() != nil {
			missing(t, "uvicorn")
		}
		address := deadAddress(t)
		_, port, _ := net.SplitHostPort(address)
		return start(t, address, python, "-m", "uvicorn", "--app-dir", "testdata/servers", "--port", port, "--http", http, "--timeout-keep-alive", "1", "--lifespan", "off", "--no-access-log", "app:app")
	}
}

func nginx(t *testing.T) string {
	upstream := httptest.NewServer(http.HandlerFunc(framings))
	t.Cleanup(upstream.Close)
	text, err := os.ReadFile("testdata/servers/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir, address := t.TempDir(), deadAddress(t)
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(strings.NewReplacer("DIR", dir, "ADDRESS", address, "UPSTREAM", upstream.URL).Replace(string(text))), 0o644); err != nil {
		t.Fatal(err)
	}
	return start(t, address, "nginx", "-e", filepath.Join(dir, "errors"), "-c", conf)
}

var servers = map[string]func(t *testing.T) string{
	"uvicorn, h11":       uvicorn("h11"),
	"uvicorn, httptools": uvicorn("httptools"),
	"nginx":              nginx,
	"node": func(t *testing.T) string {
		address := deadAddress(t)
		_, port, _ := net.SplitHostPort(address)
		return start(t, address, "node", "testdata/servers/app.js", port)
	},
	"net/http": func(t *testing.T) string {
		s := httptest.NewUnstartedServer(http.HandlerFunc(framings))
		s.Config.IdleTimeout = time.Second
		s.Start()
		t.Cleanup(s.Close)
		return s.URL
	},
}

// Real servers frame as they like; the lean sender must read each as net/http's client does.
func TestServers(t *testing.T) {
	large := strings.Repeat("x", 3<<20)
	asks := []struct {
		method, path, body string
		stream             scenario.Stream
		status             int
		bytes              int64
		failure            Kind
	}{
		{method: "GET", path: "/small", status: 200, bytes: 5},
		{method: "HEAD", path: "/small", status: 200},
		{method: "GET", path: "/chunked", status: 200, bytes: 100_000},
		{method: "HEAD", path: "/chunked", status: 200},
		{method: "GET", path: "/gzip", status: 200, bytes: 10_000},
		{method: "GET", path: "/empty", status: 204},
		{method: "POST", path: "/echo", body: "hello", status: 200, bytes: 5},
		{method: "POST", path: "/echo", body: large, status: 200, bytes: int64(len(large))},
		{method: "PUT", path: "/echo", status: 200},
		{method: "POST", path: "/moved", body: "hello", status: 200, bytes: 5},
		{method: "GET", path: "/missing", status: 404, failure: HTTPStatus, bytes: -1},
		{method: "GET", path: "/stream", stream: scenario.SSE, status: 200, bytes: 3*51 + 14},
		{method: "GET", path: "/small", status: 200, bytes: 5},
	}
	for name, launch := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := launch(t)
			l, err := NewLean(base, Connections{})
			if err != nil {
				t.Fatal(err)
			}
			s := l.Session(context.Background())
			defer s.Close()
			send := func(i int) Answer {
				ask := asks[i]
				r := &Request{Method: ask.method, Target: []byte(ask.path), ID: fmt.Append(nil, "id-", i), Timeout: 10 * time.Second, Stream: ask.stream, Check: scenario.Check{Done: ask.stream != ""}}
				if ask.body != "" {
					r.Body = []byte(ask.body)
				}
				return s.Send(r)
			}
			for i, ask := range asks {
				a := send(i)
				if a.Status != ask.status || a.Failure.Kind != ask.failure || ask.bytes >= 0 && a.Bytes != ask.bytes {
					t.Errorf("%s %s: status %d, %d bytes, failure %q", ask.method, ask.path, a.Status, a.Bytes, a.Failure)
				}
				if (a.Connect > 0) != (i == 0) || a.FirstByte.Before(a.Sent) || a.End.Before(a.FirstByte) || ask.stream != "" && a.Tokens != 3 {
					t.Errorf("%s %s: connected in %v, sent %v, first byte %v, end %v, %d tokens", ask.method, ask.path, a.Connect, a.Sent, a.FirstByte, a.End, a.Tokens)
				}
			}
			time.Sleep(1500 * time.Millisecond) // the server closes the idle connection after a second
			if a := send(6); a.Failure.Failed() || a.Resent > 0 {
				t.Errorf("after a rest: failure %q, sent again %d times", a.Failure, a.Resent)
			}
		})
	}
}
