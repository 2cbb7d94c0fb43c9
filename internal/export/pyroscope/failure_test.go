package pyroscope

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
)

func TestJudge(t *testing.T) {
	wire := func(code connect.Code, text string) error { return connect.NewWireError(code, errors.New(text)) }
	here := func(code connect.Code) error { return connect.NewError(code, errors.New("HTTP status")) }
	for _, test := range []struct {
		name   string
		err    error
		status int
		want   verdict
	}{
		{"accepted", nil, 200, accepted},
		{"nobody listens", here(connect.CodeUnavailable), 0, away},
		{"it hangs", here(connect.CodeDeadlineExceeded), 0, away},
		{"starting", wire(connect.CodeUnavailable, "starting"), 503, away},
		{"rate limit", wire(connect.CodeResourceExhausted, "ingestion rate limit (4 MB) exceeded while adding 1 MB"), 429, away},
		{"message limit", wire(connect.CodeResourceExhausted, "message size 9 is larger than configured max 8"), 429, inParts},
		{"profile limit", wire(connect.CodeInvalidArgument, "exceeds the samples count limit"), 400, inParts},
		{"internal error", wire(connect.CodeInternal, "oops"), 500, broken},
		{"wrong token", wire(connect.CodeUnauthenticated, "who?"), 401, useless},
		{"no such tenant", wire(connect.CodePermissionDenied, "no"), 403, useless},
		{"a proxy's 400", here(connect.CodeInternal), 400, useless},
		{"a proxy's 401", here(connect.CodeUnauthenticated), 401, useless},
		{"not this service", here(connect.CodeUnimplemented), 404, useless},
		{"a proxy's 413", here(connect.CodeUnknown), 413, inParts},
		{"a proxy's 429", here(connect.CodeUnavailable), 429, away},
		{"a proxy's 500", here(connect.CodeUnknown), 500, broken},
		{"a proxy's 502", here(connect.CodeUnavailable), 502, away},
		{"a proxy's 504", here(connect.CodeUnavailable), 504, away},
		{"a redirect", here(connect.CodeUnknown), 302, broken},
		{"another server's page", here(connect.CodeUnknown), 200, broken},
	} {
		if got := judge(test.err, test.status); got != test.want {
			t.Errorf("%s: verdict %d, want %d", test.name, got, test.want)
		}
	}
}

// Servers that are no Pyroscope, or a sick one, over real connections.
func TestSickServersCostOnlyCountedProfiles(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		reason  string
		tries   int64
	}{
		{"400 of a proxy", status(400), DropRejected, 1},
		{"401", status(401), DropRejected, 1},
		{"404", status(404), DropRejected, 1},
		{"405", status(405), DropRejected, 1},
		{"500", status(500), DropRejected, maxFailures},
		{"a redirect to a page", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, DropRejected, maxFailures},
		{"a page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>welcome")) }, DropRejected, maxFailures},
		{"an endless answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/proto")
			for range 2 * maxAnswerBytes / 1024 {
				_, _ = w.Write(make([]byte, 1024))
			}
		}, DropRejected, maxFailures},
	} {
		t.Run(test.name, func(t *testing.T) {
			var tries atomic.Int64
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tries.Add(1)
				test.handler(w, r)
			}))
			defer web.Close()
			c, _ := newClient(t, Options{URL: web.URL})
			c.Push(cpuProfile("GET /health"))
			run(c)()
			if got := c.Stats(); got.Dropped[test.reason] != 1 || got.Sent != 0 || got.Queued != 0 || got.Trouble == "" {
				t.Errorf("stats %+v, want one dropped: %s, and the error", got, test.reason)
			}
			if tries.Load() != test.tries {
				t.Errorf("%d tries, want %d", tries.Load(), test.tries)
			}
		})
	}
}

// A server that takes the connection and never answers: what is pushed meanwhile is bounded and
// counted, and the program ends all the same.
func TestAServerThatHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes connections, nobody reads
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, _ := newClient(t, Options{URL: "http://" + l.Addr().String(), HTTP: &http.Client{Timeout: 200 * time.Millisecond}})
	stop := run(c)
	begin := time.Now()
	for range maxQueued + 10 {
		c.Push(cpuProfile("GET /health"))
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("%d pushes took %v: they waited for the server", maxQueued+10, took)
	}
	for c.Stats().Retries == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	if got := c.Stats(); got.Queued > maxQueued || got.Dropped[DropQueueFull] < 10 || got.Trouble == "" {
		t.Errorf("stats %+v, want at most %d queued", got, maxQueued)
	}
	begin = time.Now()
	stop()
	if took := time.Since(begin); took > flushTimeout+5*time.Second {
		t.Errorf("the end took %v", took)
	}
	got := c.Stats()
	if sum := got.Dropped[DropQueueFull] + got.Dropped[DropShutdown]; sum != maxQueued+10 || got.Queued != 0 || got.Sent != 0 {
		t.Errorf("stats %+v, want all %d dropped and counted", got, maxQueued+10)
	}
}

// A server that is slow delays profiles, it loses none.
func TestASlowServer(t *testing.T) {
	s, url := start(t)
	s.delay = 50 * time.Millisecond
	c, _ := newClient(t, Options{URL: url})
	stop := run(c)
	for range 8 {
		c.Push(cpuProfile("GET /health"))
	}
	s.await(t, 8)
	stop()
	if got := c.Stats(); got.Sent != 8 || len(got.Dropped) != 0 {
		t.Errorf("stats %+v, want eight sent", got)
	}
}

func TestAnOutageIsTwoLines(t *testing.T) {
	away := connect.NewError(connect.CodeUnavailable, errors.New("starting"))
	s, url := start(t, away, away, away)
	var out bytes.Buffer
	c, _ := newClient(t, Options{URL: url, Access: Access{Token: "secret"}, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	for range 3 {
		c.Push(cpuProfile("GET /health"))
	}
	run(c)()
	s.await(t, 6)
	if n := strings.Count(out.String(), "\n"); n != 2 || !strings.Contains(out.String(), "takes profiles again") {
		t.Errorf("logged\n%s\nwant the begin and the end of the outage", out.String())
	}
	if strings.Contains(out.String(), "secret") {
		t.Error("the log holds the token")
	}
}

func TestAccess(t *testing.T) {
	for _, test := range []struct {
		name, url string // with %s for the server
		access    Access
		want      string // Authorization
		said      string // Access.String
	}{
		{"none", "http://%s", Access{}, "", "no authentication"},
		{"token", "http://%s", Access{Token: "tok", Tenant: "team"}, "Bearer tok", "bearer token, tenant team"},
		{"basic auth", "http://%s", Access{User: "me", Password: "pw"}, "Basic bWU6cHc=", "basic auth"},
		{"basic auth in the URL", "http://me:pw@%s", Access{}, "Basic bWU6cHc=", "no authentication"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, url := start(t)
			c, _ := newClient(t, Options{URL: strings.Replace(test.url, "%s", strings.TrimPrefix(url, "http://"), 1), Access: test.access})
			c.Push(cpuProfile("GET /health"))
			run(c)()
			s.await(t, 1)
			if h := s.headers[0]; h.Get("Authorization") != test.want || h.Get("X-Scope-OrgID") != test.access.Tenant {
				t.Errorf("Authorization %q, tenant %q", h.Get("Authorization"), h.Get("X-Scope-OrgID"))
			}
			if test.access.String() != test.said {
				t.Errorf("Access prints %q, want %q", test.access, test.said)
			}
		})
	}
}

func TestReasonsAreAllOfThem(t *testing.T) {
	if got := Reasons(); len(got) != 5 || !slices.Contains(got, DropQueueFull) {
		t.Errorf("reasons %v", got)
	}
}
