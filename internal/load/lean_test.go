package load

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/load/loadtest"
	"github.com/ragscope/ragscope/internal/scenario"
)

// scripted is a server that does with each connection, the first is 1, what serve says, and
// closes it then.
func scripted(t *testing.T, serve func(n int, conn net.Conn, r *bufio.Reader)) (base string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 1; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(n, conn, bufio.NewReader(conn))
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// request reads one request with its body.
func request(r *bufio.Reader) (*http.Request, string) {
	req, err := http.ReadRequest(r)
	if err != nil {
		return nil, ""
	}
	body, _ := io.ReadAll(req.Body)
	return req, string(body)
}

// lean opens a session of a lean sender.
func lean(t *testing.T, base string, c Connections) Session {
	t.Helper()
	l, err := NewLean(base, c)
	if err != nil {
		t.Fatal(err)
	}
	s := l.Session(context.Background())
	t.Cleanup(s.Close)
	return s
}

func get(target string) *Request {
	return &Request{Method: "GET", Target: []byte(target), ID: []byte("id"), Timeout: 10 * time.Second}
}

func post(target, body string) *Request {
	r := get(target)
	r.Method, r.Body = "POST", []byte(body)
	return r
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestWire(t *testing.T) {
	requests := make(chan string, 1)
	base := scripted(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		req, body := request(r)
		requests <- fmt.Sprintf("%s %s %s|%v|%s", req.Method, req.RequestURI, req.Host, req.Header, body)
		io.WriteString(conn, okAnswer)
	})
	r := post("/a b?q=<é>#fragment", "hello")
	r.Headers = []RenderedHeader{{"User-Agent", []byte("x")}, {"Content-Length", []byte("99")}, {"Transfer-Encoding", []byte("chunked")}}
	a := lean(t, base+"/prefix", Connections{}).Send(r)
	want := "POST /prefix/a%20b?q=%3C%C3%A9%3E " + strings.TrimPrefix(base, "http://") +
		"|map[Accept:[*/*] Accept-Encoding:[gzip, deflate] Content-Length:[5] User-Agent:[x] X-Request-Id:[id]]|hello"
	if got := <-requests; a.Failure.Failed() || got != want {
		t.Errorf("failure %q, the server got\n%s, want\n%s", a.Failure, got, want)
	}
	r.Headers = []RenderedHeader{{"X-Name", []byte("a\r\nInjected: 1")}}
	if a := lean(t, base, Connections{}).Send(r); a.Failure.Kind != Network || a.Sent.IsZero() || a.End.IsZero() {
		t.Errorf("a header with a line break: %+v", a)
	}
}

// What a server may do to a request, and what is said of it.
func TestMishaps(t *testing.T) {
	bomb := gzipped(strings.Repeat("0", 1<<20))
	tests := map[string]struct {
		answer string
		want   string
		kind   Kind
	}{
		"interim answers":   {answer: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + okAnswer},
		"429":               {answer: "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", want: "HTTP 429 Too Many Requests (it asks to wait, at most 10s)", kind: HTTPStatus},
		"429 until a date":  {answer: "HTTP/1.1 429 Too Many Requests\r\nRetry-After: Thu, 01 Jan 2032 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n", want: "HTTP 429 Too Many Requests", kind: HTTPStatus},
		"malformed chunk":   {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", want: `the answer's body is malformed: the chunk size "xyz"`, kind: BadChunk},
		"endless header":    {answer: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20), want: "the answer is not HTTP: its head is longer than 64 kB", kind: Malformed},
		"long header":       {answer: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 50<<10) + "\r\nContent-Length: 1\r\n\r\na"},
		"another protocol":  {answer: "220 mail.example.org ESMTP\r\n", want: `the answer is not HTTP: it begins with "220 mail.example.org ESMTP"`, kind: Malformed},
		"cut in the head":   {answer: "HTTP/1.1 200 OK\r\nConte", want: "the answer ended too early", kind: Truncated},
		"cut in the body":   {answer: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", want: "the answer ended too early", kind: Truncated},
		"cut in a chunk":    {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", want: "the answer ended too early", kind: Truncated},
		"no answer":         {want: "connection closed without an answer", kind: Closed},
		"gzip bomb":         {answer: fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n%s", strings.Repeat(bomb, maxDecoded>>20+1)), want: "the answer decompresses to more than 256 MB", kind: BadCoding},
		"no gzip":           {answer: "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n01234567890123456789", want: "the answer does not decompress: gzip: invalid header", kind: BadCoding},
		"cut gzip":          {answer: "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzipped("hello")[:15], want: "the answer ended too early", kind: Truncated},
		"redirect to mail":  {answer: "HTTP/1.1 302 Found\r\nLocation: mailto:a@b\r\nContent-Length: 0\r\n\r\n", want: `the server redirects to what is not followed: "mailto:a@b" is not an http:// or https:// URL`, kind: Network},
		"redirect nowhere":  {answer: "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"},
		"another protocol2": {answer: "HTTP/1.1 101 Switching Protocols\r\n\r\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			base := scripted(t, func(_ int, conn net.Conn, r *bufio.Reader) {
				request(r)
				io.WriteString(conn, tt.answer)
			})
			if a := lean(t, base, Connections{}).Send(post("/", "x")); a.Failure.String() != tt.want || a.Failure.Kind != tt.kind {
				t.Errorf("failure %d %q, want %d %q", a.Failure.Kind, a.Failure, tt.kind, tt.want)
			}
		})
	}
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return b.String()
}

// Compressed bodies count as long as they are when decompressed, as Locust counts them.
func TestCompressed(t *testing.T) {
	const text = "data: {\"type\":\"token\"}\n\ndata: [DONE]\n\n"
	bodies := map[string]func(io.Writer) io.WriteCloser{
		"gzip":         func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"deflate":      func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
		"bare-deflate": func(w io.Writer) io.WriteCloser { d, _ := flate.NewWriter(w, 6); return d },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code := r.URL.Query().Get("code")
		w.Header().Set("Content-Encoding", strings.TrimPrefix(code, "bare-"))
		c := bodies[code](w)
		io.WriteString(c, text)
		c.Close()
	}))
	defer server.Close()
	for code := range bodies {
		s := lean(t, server.URL, Connections{})
		for i := range 3 { // the decoder is used again
			r := get("/?code=" + code)
			r.Check.Contains = "DONE"
			if i == 2 {
				r.Stream, r.Check.Done = scenario.SSE, true
			}
			a := s.Send(r)
			if a.Failure.Failed() || a.Bytes != int64(len(text)) || i > 0 && a.Connect != 0 || i == 2 && a.Tokens != 1 {
				t.Errorf("%s: %d bytes, %d tokens, connected in %v, failure %q", code, a.Bytes, a.Tokens, a.Connect, a.Failure)
			}
		}
	}
}

func TestKeepAlive(t *testing.T) {
	serve := map[string]func(n int, conn net.Conn, r *bufio.Reader){
		"kept": func(_ int, conn net.Conn, r *bufio.Reader) {
			for req, _ := request(r); req != nil; req, _ = request(r) {
				io.WriteString(conn, okAnswer)
			}
		},
		"closed while idle": func(_ int, conn net.Conn, r *bufio.Reader) {
			request(r)
			io.WriteString(conn, okAnswer)
		},
		"closed by the next request": func(n int, conn net.Conn, r *bufio.Reader) {
			request(r)
			io.WriteString(conn, okAnswer)
			request(r)
		},
		"said to close": func(n int, conn net.Conn, r *bufio.Reader) {
			request(r)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
			time.Sleep(time.Second)
		},
	}
	tests := []struct {
		server, method string
		connected      bool // the second request opens a connection
		resent         int
		kind           Kind
	}{
		{server: "kept", method: "POST"},
		{server: "closed while idle", method: "POST", connected: true},
		{server: "closed by the next request", method: "GET", connected: true, resent: 1},
		{server: "closed by the next request", method: "POST", kind: Closed},
		{server: "said to close", method: "POST", connected: true},
	}
	for _, tt := range tests {
		s := lean(t, scripted(t, serve[tt.server]), Connections{})
		r := get("/")
		r.Method = tt.method
		first := s.Send(r)
		time.Sleep(20 * time.Millisecond) // the server's closing comes
		a := s.Send(r)
		if first.Connect == 0 || first.Failure.Failed() || a.Failure.Kind != tt.kind || (a.Connect > 0) != tt.connected || a.Resent != tt.resent {
			t.Errorf("%s, %s: connected in %v, sent again %d times, failure %q", tt.server, tt.method, a.Connect, a.Resent, a.Failure)
		}
	}
}

func TestRedirects(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	handler := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		cookie, _ := r.Cookie("c")
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprintf("%s %s body=%q type=%q auth=%q cookie=%v", r.Method, r.URL.Path, body, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), cookie != nil))
		if r.URL.Path == "/end" {
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "c", Value: "1", Path: "/"})
		var code int
		fmt.Sscan(r.URL.Query().Get("code"), &code)
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(code)
		io.WriteString(w, "moved")
	}
	here := httptest.NewServer(http.HandlerFunc(handler))
	defer here.Close()
	there := httptest.NewServer(http.HandlerFunc(handler))
	defer there.Close()
	tests := []struct {
		method, to string
		code       int
		want       string
	}{
		{"POST", "/end", 302, `GET /end body="" type="" auth="Bearer x" cookie=true`},
		{"PUT", "/end", 303, `GET /end body="" type="" auth="Bearer x" cookie=true`},
		{"POST", "/end", 301, `GET /end body="" type="" auth="Bearer x" cookie=true`},
		{"PUT", "/end", 301, `PUT /end body="" type="" auth="Bearer x" cookie=true`},
		{"POST", "end", 307, `POST /end body="b" type="t" auth="Bearer x" cookie=true`},
		{"POST", here.URL + "/end", 308, `POST /end body="b" type="t" auth="Bearer x" cookie=true`},
		{"POST", there.URL + "/end", 307, `POST /end body="b" type="t" auth="" cookie=true`},
		{"POST", strings.Replace(here.URL, "127.0.0.1", "localhost", 1) + "/end", 302, `GET /end body="" type="" auth="" cookie=false`},
	}
	for _, tt := range tests {
		mu.Lock()
		seen = nil
		mu.Unlock()
		s := lean(t, here.URL, Connections{})
		r := post(fmt.Sprintf("/start?code=%d&to=%s", tt.code, tt.to), "b")
		r.Method = tt.method
		r.Headers = []RenderedHeader{{"Authorization", []byte("Bearer x")}, {"Content-Type", []byte("t")}}
		a := s.Send(r)
		other := lean(t, here.URL, Connections{}).Send(get("/end"))
		mu.Lock()
		if len(seen) != 3 || seen[1] != tt.want || a.Redirects != 1 || a.Status != 200 || a.Bytes != 0 {
			t.Errorf("%s %d to %s: %+v\n%s\nwant %s", tt.method, tt.code, tt.to, a, strings.Join(seen, "\n"), tt.want)
		}
		if other.Failure.Failed() || !strings.Contains(seen[2], "cookie=false") {
			t.Errorf("another user has the cookie: %s", seen[2])
		}
		mu.Unlock()
	}
}

func TestExpect(t *testing.T) {
	bodies := make(chan string, 1)
	base := scripted(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			switch req.URL.Path {
			case "/refuse":
				io.WriteString(conn, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
				continue // had the body been sent, it would be read as a request now
			case "/grant":
				io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
			}
			b, _ := io.ReadAll(req.Body)
			bodies <- string(b)
			io.WriteString(conn, okAnswer)
		}
	})
	for path, status := range map[string]int{"/grant": 200, "/refuse": 417, "/silent": 200} {
		s := lean(t, base, Connections{})
		for range map[bool]int{true: 2, false: 1}[path != "/silent"] { // which takes a second
			r := post(path, "hello")
			r.Headers = []RenderedHeader{{"Expect", []byte("100-continue")}}
			a := s.Send(r)
			if a.Status != status {
				t.Errorf("%s: status %d, failure %q", path, a.Status, a.Failure)
			}
			if body := ""; status == 200 {
				if body = <-bodies; body != "hello" {
					t.Errorf("%s: body %q", path, body)
				}
			}
		}
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel() // it sleeps
	base := scripted(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		for req, _ := request(r); req != nil; req, _ = request(r) {
			switch req.URL.Path {
			case "/slow":
				time.Sleep(600 * time.Millisecond)
			case "/never":
				time.Sleep(3 * time.Second)
			case "/stall":
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na")
				time.Sleep(3 * time.Second)
			}
			io.WriteString(conn, okAnswer)
		}
	})
	tests := []struct {
		path, want string
		first      time.Duration
	}{
		{path: "/slow"}, {path: "/slow"}, // the second ends after the deadline of the first
		{path: "/never", want: "timed out after 1s"},
		{path: "/slow"},
		{path: "/stall", want: "timed out after 1s"},
		{path: "/never", want: "no byte of an answer after 400ms", first: 400 * time.Millisecond},
		{path: "/stall", want: "timed out after 1s", first: 400 * time.Millisecond},
	}
	s := lean(t, base, Connections{})
	for _, tt := range tests {
		on := s
		if tt.first > 0 {
			on = lean(t, base, Connections{FirstByteTimeout: tt.first})
		}
		r := get(tt.path)
		r.Timeout = time.Second
		a := on.Send(r)
		limit := r.Timeout
		if strings.HasPrefix(tt.want, "no byte") {
			limit = tt.first
		}
		if took := a.End.Sub(a.Sent); a.Failure.String() != tt.want || tt.want != "" && (took < limit || a.Failure.Kind != Timeout) {
			t.Errorf("%s: failure %q after %v, want %q", tt.path, a.Failure, took, tt.want)
		}
	}
}

// A listener whose queue is full does not answer.
func TestConnectTimeout(t *testing.T) {
	url := loadtest.FullListener(t)
	a := lean(t, url, Connections{ConnectTimeout: 100 * time.Millisecond}).Send(get("/"))
	if a.Failure != (Failure{Kind: NoConnection, Text: "no connection after 100ms"}) || a.Connect == 0 {
		t.Errorf("%+v", a)
	}
	r := get("/")
	r.Timeout = 200 * time.Millisecond
	if a := lean(t, url, Connections{}).Send(r); a.Failure != (Failure{Kind: NoConnection, Text: "no connection after 200ms"}) {
		t.Errorf("the whole request's timeout: %+v", a)
	}
}

func TestTLS(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.HandlerFunc(api))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // which complains about clients that leave
	secure.StartTLS()
	defer secure.Close()
	plain := httptest.NewServer(http.HandlerFunc(api))
	defer plain.Close()
	tests := map[string]struct {
		base     string
		insecure bool
		want     string
		kind     Kind
	}{
		"unknown authority": {base: secure.URL, want: "the certificate is not trusted: x509: certificate signed by unknown authority; --insecure does not check it", kind: Untrusted},
		"not checked":       {base: secure.URL, insecure: true},
		"no TLS":            {base: strings.Replace(plain.URL, "http", "https", 1), want: "the server does not speak TLS: is it http:// and not https://?", kind: Insecure},
		"plain to TLS":      {base: strings.Replace(secure.URL, "https", "http", 1), want: "HTTP 400 Bad Request", kind: HTTPStatus},
	}
	for name, tt := range tests {
		s := lean(t, tt.base, Connections{Insecure: tt.insecure})
		for i := range 3 {
			time.Sleep(time.Duration(i) * time.Millisecond) // long enough to look at the connection
			a := s.Send(post("/ok", "hello"))
			if a.Failure.String() != tt.want || a.Failure.Kind != tt.kind || tt.want == "" && (a.Connect > 0) != (i == 0) {
				t.Errorf("%s: failure %q, want %q; connected in %v", name, a.Failure, tt.want, a.Connect)
			}
		}
	}
	if a := sendOnce(t, "net/http", secure.URL, Connections{}, post("/ok", "")); a.Failure.Kind != Untrusted {
		t.Errorf("net/http: failure %q", a.Failure)
	}
}

// HTTP/2 is net/http's.
func TestHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	clear := httptest.NewUnstartedServer(server.Config.Handler)
	clear.Config.Protocols = new(http.Protocols)
	clear.Config.Protocols.SetUnencryptedHTTP2(true)
	clear.Start()
	defer clear.Close()
	for _, base := range []string{server.URL, clear.URL} {
		sender, err := NewSender(base, Connections{HTTP2: true, Insecure: true})
		if err != nil {
			t.Fatal(err)
		}
		r := get("/")
		r.Check.Contains = "HTTP/2.0"
		if a := sender.Session(context.Background()).Send(r); a.Failure.Failed() {
			t.Errorf("%s: failure %q", base, a.Failure)
		}
		sender.Close()
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(api))
	server.Listener = l
	server.Start()
	defer server.Close()
	base, err := BaseURL("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	s := lean(t, base, Connections{})
	for _, target := range []string{"/ok", "/moved"} {
		r := post(target, "hello")
		r.Check.Contains = "id hello"
		if a := s.Send(r); a.Failure.Failed() {
			t.Errorf("%s: failure %q", target, a.Failure)
		}
	}
}

// A body larger than the socket's buffers, and a server that does not want it.
func TestLargeBodies(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refused" {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		b, _ := io.ReadAll(r.Body) // all of it: nobody reads the answer before the request is written
		w.Write(b)
	}))
	defer server.Close()
	s := lean(t, server.URL, Connections{})
	body := strings.Repeat("0123456789abcdef", 20<<16)
	for range 2 {
		if a := s.Send(post("/echo", body)); a.Failure.Failed() || a.Bytes != int64(len(body)) {
			t.Errorf("%d bytes, failure %q", a.Bytes, a.Failure)
		}
	}
	if a := s.Send(post("/refused", body)); a.Status != 413 && a.Failure.Kind != Reset {
		t.Errorf("status %d, failure %q", a.Status, a.Failure)
	}
}

func TestNoGarbage(t *testing.T) {
	answer := []byte("HTTP/1.1 200 OK\r\nserver: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
	base := scripted(t, func(_ int, conn net.Conn, _ *bufio.Reader) {
		buf := make([]byte, 4096) // a small request comes in one piece
		for {
			if _, err := conn.Read(buf); err != nil {
				return
			}
			if _, err := conn.Write(answer); err != nil {
				return
			}
		}
	})
	s, err := scenario.Parse("x", []byte(`tasks: [{request: {method: POST, path: /search, headers: {Authorization: Bearer x}, json: {query: "{{ user }}", id: "{{ uuid }}", of: "r{{ .n }}", top_k: 5}}, set: {n: "{{ randInt 1 9 }}"}, check: {time: 9s}}]`), nil, scenario.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRun(Config{Scenario: s, Host: base})
	if err != nil {
		t.Fatal(err)
	}
	if r.cfg.Sender, err = NewLean(r.base, Connections{}); err != nil {
		t.Fatal(err)
	}
	r.kill = context.Background()
	w := r.worker(1)
	defer w.close()
	var failed atomic.Int64
	perRequest := testing.AllocsPerRun(200, func() {
		w.turn(r.kill, w.as(0), 0, 0)
		if w.box.samples[0].Failure.Failed() {
			failed.Add(1)
		}
		w.box.samples = w.box.samples[:0]
	})
	if perRequest >= 1 || failed.Load() > 0 {
		t.Errorf("%v allocations a request, %d failures", perRequest, failed.Load())
	}
}
