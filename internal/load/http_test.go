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

	"golang.org/x/sys/unix"

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

// senders are the ways to send HTTP/1.1.
var senders = map[string]func(base string, c Connections) (Sender, error){
	"lean":     func(base string, c Connections) (Sender, error) { return NewLean(base, c) },
	"net/http": func(base string, c Connections) (Sender, error) { return NewHTTP(base, c), nil },
}

// sendOnce sends one request with a sender of its own.
func sendOnce(t *testing.T, sender, base string, c Connections, r *Request) Answer {
	t.Helper()
	s, err := senders[sender](base, c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	session := s.Session(context.Background())
	defer session.Close()
	if r.Timeout == 0 {
		r.Timeout = 10 * time.Second
	}
	return session.Send(r)
}

func TestAnswers(t *testing.T) {
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
		"endless":       {url: "/round", kind: Circular, text: "more than 30 redirects"},
		"timeout":       {url: "/hang", kind: Timeout, text: "timed out after 300ms"},
		"cut":           {url: "/cut", status: 200, kind: Truncated, text: "the answer ended too early"},
		"closed":        {url: "/close", kind: Closed, text: "connection closed without an answer"},
		"stream":        {url: "/stream", stream: scenario.SSE, check: scenario.Check{Done: true}, status: 200},
		"stream of 404": {url: "/nope", stream: scenario.SSE, status: 404, kind: HTTPStatus, text: "HTTP 404 Not Found"},
		"refused":       {url: "http://" + dead, kind: Refused, text: "connection refused"},
		"no such name":  {url: "http://nothing.invalid", kind: NameNotFound, text: "host name not found: nothing.invalid"},
	}
	for name, tt := range tests {
		for sender := range senders {
			t.Run(sender+", "+name, func(t *testing.T) {
				base, target := server.URL, tt.url
				if tt.url[0] != '/' {
					base, target = tt.url, "/"
				}
				r := &Request{Method: "POST", Target: []byte(target), Body: []byte("hello"), ID: []byte("id-7"), Stream: tt.stream, Check: tt.check}
				if tt.kind == Timeout {
					r.Timeout = 300 * time.Millisecond
				}
				a := sendOnce(t, sender, base, Connections{}, r)
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
}

// Where no descriptor is left, none is for asking for a name either.
func TestNoDescriptorForAName(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	session := lean(t, "http://nosuch.invalid", Connections{})
	low := limit
	low.Cur = 3 // standard input, output and errors
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	a := session.Send(get("/"))
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if a.Failure.Kind != Exhausted {
		t.Errorf("failure %d %q", a.Failure.Kind, a.Failure)
	}
}

func TestAbortedIsNoFailure(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(api))
	defer server.Close()
	for name, open := range senders {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(20*time.Millisecond, cancel)
		s, err := open(server.URL, Connections{})
		if err != nil {
			t.Fatal(err)
		}
		session := s.Session(ctx)
		if a := session.Send(&Request{Method: "GET", Target: []byte("/hang"), Timeout: time.Minute}); !a.Aborted {
			t.Errorf("%s: answer = %+v", name, a)
		}
		session.Close()
		s.Close()
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

// BenchmarkSenders is the price of a short request at full speed: the loader's own and that of
// a bare server in the same process (one read, one write). Compare by CPU time, not by wall time.
func BenchmarkSenders(b *testing.B) {
	for name, open := range senders {
		b.Run(name, func(b *testing.B) { benchmark(b, open) })
	}
}

func benchmark(b *testing.B, open func(string, Connections) (Sender, error)) {
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
	if r.cfg.Sender, err = open(r.base, Connections{}); err != nil {
		b.Fatal(err)
	}
	defer r.cfg.Sender.Close()
	r.kill = context.Background()
	var number, failed atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(25)
	before := ownCPU()
	b.RunParallel(func(pb *testing.PB) {
		w := r.worker(int(number.Add(1)))
		defer w.close()
		for pb.Next() {
			w.turn(context.Background(), w.as(0), 0, r.since())
			if s := w.box.samples[0]; s.Failure.Failed() {
				failed.Add(1)
			}
			w.box.samples = w.box.samples[:0]
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
