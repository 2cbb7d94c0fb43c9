package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strconv"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/scenario"
)

// HTTP sends with net/http: HTTP/2, which the lean sender does not speak, over TLS and, with
// http:// URLs, without it and without an upgrade. All sessions share its connections.
type HTTP struct {
	base      string
	conns     Connections
	transport *http.Transport
}

// maxRedirects is the limit of Python's requests, and so Locust's.
const maxRedirects = 30

// NewHTTP returns a sender to a base URL. Where the server does not agree to HTTP/2 over TLS,
// it is HTTP/1.1.
func NewHTTP(base string, c Connections) *HTTP {
	dialer := &net.Dialer{Timeout: c.connectTimeout()}
	h := &HTTP{base: base, conns: c, transport: &http.Transport{
		DialContext:           dialer.DialContext,
		DisableCompression:    true,
		DisableKeepAlives:     c.NoKeepAlive,
		MaxIdleConnsPerHost:   1 << 20,
		ResponseHeaderTimeout: c.FirstByteTimeout,
		TLSHandshakeTimeout:   c.connectTimeout(),
		TLSClientConfig:       &tls.Config{InsecureSkipVerify: c.Insecure},
		WriteBufferSize:       8 << 10,
		ReadBufferSize:        16 << 10,
		Protocols:             new(http.Protocols),
	}}
	h.transport.Protocols.SetHTTP2(c.HTTP2)
	h.transport.Protocols.SetUnencryptedHTTP2(c.HTTP2)
	h.transport.Protocols.SetHTTP1(!c.HTTP2 || strings.HasPrefix(base, "https:"))
	return h
}

// Close drops the idle connections.
func (h *HTTP) Close() { h.transport.CloseIdleConnections() }

// httpSession is a user of an HTTP: the cookies are its own.
type httpSession struct {
	sender *HTTP
	ctx    context.Context
	client http.Client
	buf    []byte
	found  finder
}

// Session implements Sender.
func (h *HTTP) Session(ctx context.Context) Session {
	jar, _ := cookiejar.New(nil) // has no error without options
	return &httpSession{h, ctx, http.Client{Transport: h.transport, Jar: jar, CheckRedirect: checkRedirect}, make([]byte, 16<<10), finder{}}
}

// Close implements Session.
func (s *httpSession) Close() {}

func checkRedirect(_ *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errRedirects
	}
	return nil
}

// Send implements Session.
func (s *httpSession) Send(r *Request) Answer {
	limited, cancel := context.WithTimeout(s.ctx, r.Timeout)
	defer cancel()
	a := Answer{}
	req, err := s.newRequest(limited, r)
	a.Sent = time.Now()
	var res *http.Response
	if err == nil {
		res, err = s.client.Do(req)
	}
	if err == nil {
		a.FirstByte = time.Now()
		a.Status = res.StatusCode
		if r.Keep.Header {
			a.Header = res.Header
		}
		for via := res.Request; via.Response != nil; via = via.Response.Request {
			a.Redirects++
		}
		err = s.read(&a, r, res)
		_ = res.Body.Close() // the answer is read; nothing depends on it
	}
	if a.End.IsZero() {
		a.End = time.Now()
	}
	if err != nil {
		a.Aborted = s.ctx.Err() != nil && errors.Is(err, context.Canceled)
		a.Failure = networkFailure(err, r.Timeout)
		return a
	}
	a.judge(r.Check, []byte(strings.TrimSpace(strings.TrimPrefix(res.Status, strconv.Itoa(res.StatusCode)))), []byte(res.Header.Get("Retry-After")))
	return a
}

func (s *httpSession) newRequest(ctx context.Context, r *Request) (*http.Request, error) {
	var body io.Reader
	if r.Body != nil { // a transport may still read it when the answer is there
		body = bytes.NewReader(bytes.Clone(r.Body))
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, s.sender.base+string(r.Target), body)
	if err != nil {
		return nil, err
	}
	for _, h := range r.Headers {
		if h.Name == "Host" {
			req.Host = string(h.Value)
			continue
		}
		req.Header[h.Name] = []string{string(h.Value)}
	}
	if _, given := req.Header["User-Agent"]; !given {
		req.Header["User-Agent"] = []string{userAgent}
	}
	if _, given := req.Header["X-Request-Id"]; !given {
		req.Header["X-Request-Id"] = []string{string(r.ID)}
	}
	if _, given := req.Header["Traceparent"]; !given && r.Traceparent != nil {
		req.Header["Traceparent"] = []string{string(r.Traceparent)}
	}
	return req, nil
}

func (s *httpSession) read(a *Answer, r *Request, res *http.Response) error {
	if r.Stream != scenario.NoStream && res.StatusCode < 400 {
		return readStream(a, r, res.Body)
	}
	s.found.want(r)
	for {
		n, err := res.Body.Read(s.buf)
		a.Bytes += int64(n)
		if err := s.found.look(s.buf[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	a.End = time.Now()
	a.Body = s.found.body()
	if !s.found.found() && res.StatusCode < 400 {
		a.Failure = lacks(r.Check.Contains)
	}
	return nil
}

func lacks(text string) Failure {
	return Failure{Kind: CheckFailed, Text: clip(fmt.Sprintf("the answer does not contain %q", text))}
}

// maxKept bounds how much of a body is kept for check.contains.
const maxKept = 1 << 20

// finder looks for a text in the first megabyte of a body, or keeps the body.
type finder struct {
	text string
	all  bool
	kept []byte
}

func (f *finder) want(r *Request) { f.text, f.all, f.kept = r.Check.Contains, r.Keep.Body, f.kept[:0] }

func (f *finder) look(p []byte) error {
	if f.all || f.text != "" && len(f.kept) < maxKept {
		f.kept = append(f.kept, p...)
	}
	if f.all && len(f.kept) > maxAnswer {
		return errTooLong
	}
	return nil
}

func (f *finder) found() bool { return f.text == "" || bytes.Contains(f.kept, []byte(f.text)) }

// body is what was kept, nil when it was not asked for.
func (f *finder) body() []byte {
	if !f.all {
		return nil
	}
	return f.kept
}

func statusList(codes []int) string {
	words := make([]string, len(codes))
	for i, c := range codes {
		words[i] = strconv.Itoa(c)
	}
	return "status " + strings.Join(words, " or ")
}
