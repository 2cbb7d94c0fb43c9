package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/scenario"
)

// api answers as the paths say.
func api(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/ok":
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Header.Get("x-request-id"), body)
	case "/moved":
		http.Redirect(w, r, "/ok", http.StatusTemporaryRedirect)
	case "/round":
		http.Redirect(w, r, "/round", http.StatusFound)
	case "/limited":
		w.WriteHeader(http.StatusTooManyRequests)
	case "/broken":
		http.Error(w, "x", http.StatusInternalServerError)
	case "/hang":
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server see the client leave
		<-r.Context().Done()
	case "/cut":
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "short")
	case "/close":
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	case "/stream":
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"type\":\"metadata\"}\n\n")
		_ = http.NewResponseController(w).Flush()
		fmt.Fprint(w, "data: {\"type\":\"token\"}\n\ndata: {\"type\":\"token\"}\n\ndata: [DONE]\n\n")
	default:
		http.NotFound(w, r)
	}
}

func TestHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(api))
	defer server.Close()
	dead := deadAddress(t)
	tests := map[string]struct {
		url    string
		stream scenario.Stream
		check  scenario.Check
		status int
		kind   Kind
		text   string
	}{
		"ok":            {url: "/ok", status: 200},
		"found text":    {url: "/ok", check: scenario.Check{Contains: "id-7 hello"}, status: 200},
		"lacks text":    {url: "/ok", check: scenario.Check{Contains: "bye"}, status: 200, kind: CheckFailed, text: `the answer does not contain "bye"`},
		"wrong status":  {url: "/ok", check: scenario.Check{Status: []int{201, 202}}, status: 200, kind: CheckFailed, text: "expected status 201 or 202, got status 200"},
		"not found":     {url: "/nope", status: 404, kind: HTTPStatus, text: "HTTP 404 Not Found"},
		"404 expected":  {url: "/nope", check: scenario.Check{Status: []int{404}}, status: 404},
		"500":           {url: "/broken", status: 500, kind: HTTPStatus, text: "HTTP 500 Internal Server Error"},
		"limited":       {url: "/limited", check: scenario.Check{Status: []int{200}}, status: 429, kind: HTTPStatus, text: "HTTP 429 Too Many Requests"},
		"redirect":      {url: "/moved", check: scenario.Check{Contains: "hello"}, status: 200},
		"endless":       {url: "/round", kind: Network, text: "more than 30 redirects"},
		"timeout":       {url: "/hang", kind: Timeout, text: "timed out after 300ms"},
		"cut":           {url: "/cut", status: 200, kind: Truncated, text: "the answer ended too early"},
		"closed":        {url: "/close", kind: Closed, text: "connection closed without an answer"},
		"stream":        {url: "/stream", stream: scenario.SSE, check: scenario.Check{Done: true}, status: 200},
		"stream of 404": {url: "/nope", stream: scenario.SSE, status: 404, kind: HTTPStatus, text: "HTTP 404 Not Found"},
		"refused":       {url: "http://" + dead, kind: Refused, text: "connection refused"},
		"bad url":       {url: "http://127.0.0.1:x", kind: Network},
	}
	h := NewHTTP()
	defer h.Close()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			url := tt.url
			if url[0] == '/' {
				url = server.URL + url
			}
			r := &Request{Method: "POST", URL: url, Body: []byte("hello"), ID: "id-7", Stream: tt.stream, Check: tt.check, Timeout: 10 * time.Second}
			if tt.kind == Timeout {
				r.Timeout = 300 * time.Millisecond
			}
			a := h.Send(context.Background(), r)
			if a.Failure.Kind != tt.kind || tt.text != "" && a.Failure.String() != tt.text || tt.status != 0 && a.Status != tt.status {
				t.Errorf("status %d, failure %d %q; want %d, %d %q", a.Status, a.Failure.Kind, a.Failure, tt.status, tt.kind, tt.text)
			}
			if a.Sent.IsZero() || a.End.Before(a.Sent) {
				t.Errorf("sent %v, end %v", a.Sent, a.End)
			}
			if tt.url == "/moved" && a.Redirects != 1 {
				t.Errorf("%d redirects, want 1", a.Redirects)
			}
			if tt.url == "/stream" && (a.Tokens != 2 || a.FirstToken.Before(a.FirstEvent) || a.FirstEvent.Before(a.FirstByte)) {
				t.Errorf("stream: %+v", a)
			}
		})
	}
}

func TestAbortedIsNoFailure(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(api))
	defer server.Close()
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	h := NewHTTP()
	defer h.Close()
	if a := h.Send(ctx, &Request{Method: "GET", URL: server.URL + "/hang", Timeout: time.Minute}); !a.Aborted {
		t.Errorf("answer = %+v", a)
	}
}

// deadAddress returns an address where nobody listens.
func deadAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// BenchmarkHTTP is the price of a short request at full speed: the loader's own and that of a
// bare server in the same process (one read, one write). Compare by CPU time, not by wall time.
func BenchmarkHTTP(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go serveFixed(l)
	s, err := scenario.Parse("bench", []byte(`tasks: [{request: {method: POST, path: /search, json: {query: "What is LangGraph?", top_k: 5}}}]`), nil, scenario.Options{})
	if err != nil {
		b.Fatal(err)
	}
	r, err := newRun(Config{Scenario: s, Host: "http://" + l.Addr().String()})
	if err != nil {
		b.Fatal(err)
	}
	h := NewHTTP()
	defer h.Close()
	r.cfg.Sender, r.kill = h, context.Background()
	var number, failed atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(25)
	before := ownCPU()
	b.RunParallel(func(pb *testing.PB) {
		w := r.worker(int(number.Add(1)))
		for pb.Next() {
			w.send(0, r.since())
		}
		for _, s := range w.box.samples {
			if s.Failure.Failed() {
				failed.Add(1)
			}
		}
	})
	b.ReportMetric(float64((ownCPU()-before).Microseconds())/float64(b.N), "cpu-µs/op")
	if failed.Load() > 0 {
		b.Fatalf("%d of %d requests failed", failed.Load(), b.N)
	}
}

func serveFixed(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			request := make([]byte, 4096) // one small request comes in one piece
			for {
				if _, err := conn.Read(request); err != nil {
					return
				}
				if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
					return
				}
			}
		}()
	}
}
