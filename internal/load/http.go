package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ragscope/ragscope/internal/scenario"
)

// HTTP sends with net/http: HTTP/1.1, one pool of idle connections for all users, no
// compression, redirects followed as Locust does.
type HTTP struct{ client *http.Client }

// idleTimeout is how long a connection may rest before it is sent on again. uvicorn closes
// idle connections after 5 s; a request that meets the closing fails through nobody's fault.
const idleTimeout = 4 * time.Second

// maxRedirects is the limit of Python's requests, and so Locust's.
const maxRedirects = 30

// NewHTTP returns a sender.
func NewHTTP() *HTTP {
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	transport := &http.Transport{
		DialContext:         dialer.DialContext,
		DisableCompression:  true,
		MaxIdleConns:        0, // no limit
		MaxIdleConnsPerHost: 1 << 20,
		IdleConnTimeout:     idleTimeout,
		TLSHandshakeTimeout: 30 * time.Second,
		WriteBufferSize:     8 << 10,
		ReadBufferSize:      16 << 10,
	}
	return &HTTP{&http.Client{Transport: transport, CheckRedirect: checkRedirect}}
}

// Close drops the idle connections.
func (h *HTTP) Close() { h.client.CloseIdleConnections() }

func checkRedirect(_ *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	return nil
}

// Send implements Sender.
func (h *HTTP) Send(ctx context.Context, r *Request) Answer {
	limited, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	a := Answer{}
	req, err := newRequest(limited, r)
	if err != nil {
		a.Sent = time.Now()
		a.End = a.Sent
		a.Failure = Failure{Kind: Network, Text: clip(err.Error())}
		return a
	}
	a.Sent = time.Now()
	res, err := h.client.Do(req)
	if err == nil {
		a.FirstByte = time.Now()
		a.Status = res.StatusCode
		for via := res.Request; via.Response != nil; via = via.Response.Request {
			a.Redirects++
		}
		err = h.read(&a, r, res)
		_ = res.Body.Close() // the answer is read; nothing depends on it
	}
	if a.End.IsZero() {
		a.End = time.Now()
	}
	if err != nil {
		a.Aborted = ctx.Err() != nil && errors.Is(err, context.Canceled)
		a.Failure = networkFailure(err, r.Timeout)
		return a
	}
	a.judge(r.Check, strings.TrimPrefix(res.Status, strconv.Itoa(res.StatusCode)+" "))
	return a
}

func newRequest(ctx context.Context, r *Request) (*http.Request, error) {
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, body)
	if err != nil {
		return nil, err
	}
	for _, h := range r.Headers {
		if h.Name == "Host" {
			req.Host = h.Value
			continue
		}
		req.Header[h.Name] = []string{h.Value}
	}
	if _, given := req.Header["User-Agent"]; !given {
		req.Header["User-Agent"] = []string{"ragscope-loader"}
	}
	if _, given := req.Header["X-Request-Id"]; !given {
		req.Header["X-Request-Id"] = []string{r.ID}
	}
	return req, nil
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// maxKept bounds how much of a body is kept for check.contains.
const maxKept = 1 << 20

func (h *HTTP) read(a *Answer, r *Request, res *http.Response) error {
	if r.Stream != scenario.NoStream && res.StatusCode < 400 {
		return readStream(a, r, res.Body)
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	var kept []byte
	for {
		n, err := res.Body.Read(*buf)
		a.Bytes += int64(n)
		if r.Check.Contains != "" && len(kept) < maxKept {
			kept = append(kept, (*buf)[:n]...)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	a.End = time.Now()
	if r.Check.Contains != "" && res.StatusCode < 400 && !bytes.Contains(kept, []byte(r.Check.Contains)) {
		a.Failure = Failure{Kind: CheckFailed, Text: clip(fmt.Sprintf("the answer does not contain %q", r.Check.Contains))}
	}
	return nil
}

func statusList(codes []int) string {
	words := make([]string, len(codes))
	for i, c := range codes {
		words[i] = strconv.Itoa(c)
	}
	return "status " + strings.Join(words, " or ")
}
