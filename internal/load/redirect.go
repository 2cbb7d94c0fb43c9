package load

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"

	"golang.org/x/net/http/httpguts"
)

// hop is one request of a chain of redirects.
type hop struct {
	origin   origin
	url      *url.URL // nil: not known yet, see session.address
	method   string
	target   []byte
	body     []byte
	rest     []byte // body that waits for 100 Continue
	followed bool   // it is not the first
	bare     bool   // without the body and what describes it
	foreign  bool   // credentials stay behind
	last     bool   // the connection is of no use after it
}

// first makes the request ready to be written.
func (s *session) first(r *Request) error {
	s.hop = hop{origin: s.lean.origin, method: r.Method, body: r.Body, target: s.hop.target[:0]}
	s.hop.target = append(s.hop.target, s.prefix...)
	if len(s.prefix) == 0 && (len(r.Target) == 0 || r.Target[0] != '/') {
		s.hop.target = append(s.hop.target, '/')
	}
	s.hop.target = appendTarget(s.hop.target, r.Target)
	return s.render(r)
}

// appendTarget escapes what may not stand in a request line, as Python's requests does.
func appendTarget(dst, target []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range target {
		switch {
		case c == '#':
			return dst
		case c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' || c == '\\' || c == '^' || c == '`' || c == '{' || c == '|' || c == '}':
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// given says which of the loader's own fields a task has itself.
type given uint8

const (
	givenAgent given = 1 << iota
	givenAccept
	givenEncoding
	givenHost
	givenID
	givenCookie
	givenTrace
)

// render writes the head of the current hop into s.out, and the body behind it.
func (s *session) render(r *Request) error {
	h := &s.hop
	out := append(append(append(s.out[:0], h.method...), ' '), h.target...)
	out = append(out, " HTTP/1.1\r\n"...)
	var have given
	var expect bool
	for i := range r.Headers {
		f := &r.Headers[i]
		is, keep := s.classify(f)
		if !keep {
			continue
		}
		if !httpguts.ValidHeaderFieldName(f.Name) || breaks(f.Value) {
			return fmt.Errorf("the header %s of the task holds what no header may", f.Name)
		}
		have |= is
		expect = expect || len(f.Name) == len("Expect") && equalFold(f.Name, "expect") && len(f.Value) == len("100-continue")
		out = appendField(out, f.Name, f.Value)
	}
	out = s.appendOwn(out, r, have)
	h.rest = nil
	switch {
	case h.bare:
	case h.body != nil, h.method == "POST", h.method == "PUT", h.method == "PATCH":
		out = append(out, "Content-Length: "...)
		out = append(strconv.AppendInt(out, int64(len(h.body)), 10), "\r\n"...)
	}
	out = append(out, "\r\n"...)
	switch {
	case h.bare:
	case expect:
		h.rest = h.body
	default:
		out = append(out, h.body...)
	}
	s.out = out
	return nil
}

// breaks says whether a value would end its line.
func breaks(value []byte) bool {
	for _, c := range value {
		if c == '\r' || c == '\n' || c == 0 {
			return true
		}
	}
	return false
}

func appendField(out []byte, name string, value []byte) []byte {
	out = append(append(out, name...), ": "...)
	return append(append(out, value...), "\r\n"...)
}

// classify says which of the loader's own fields a field replaces, and whether it is sent.
func (s *session) classify(f *RenderedHeader) (is given, keep bool) {
	h, name := &s.hop, f.Name
	switch len(name) {
	case len("host"):
		if equalFold(name, "host") {
			return givenHost, !h.foreign
		}
	case len("accept"): // and cookie
		switch {
		case equalFold(name, "accept"):
			return givenAccept, true
		case equalFold(name, "cookie"):
			return givenCookie, !h.followed
		}
	case len("user-agent"): // and connection
		switch {
		case equalFold(name, "user-agent"):
			return givenAgent, true
		case equalFold(name, "connection"):
			h.last = h.last || bytes.EqualFold(f.Value, []byte("close"))
		}
	case len("content-type"): // and x-request-id
		switch {
		case equalFold(name, "content-type"):
			return 0, !h.bare
		case equalFold(name, "x-request-id"):
			return givenID, true
		}
	case len("traceparent"):
		if equalFold(name, "traceparent") {
			return givenTrace, true
		}
	case len("authorization"):
		return 0, !h.foreign || !equalFold(name, "authorization")
	case len("content-length"):
		return 0, !equalFold(name, "content-length") // the loader frames the body
	case len("accept-encoding"):
		if equalFold(name, "accept-encoding") {
			return givenEncoding, true
		}
	case len("transfer-encoding"):
		return 0, !equalFold(name, "transfer-encoding")
	}
	return 0, true
}

// equalFold compares a name with one in lower case.
func equalFold(name, lower string) bool {
	for i := range len(lower) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return len(name) == len(lower)
}

// appendOwn appends the fields that the loader adds where the task does not have them.
func (s *session) appendOwn(out []byte, r *Request, have given) []byte {
	if have&givenHost == 0 {
		out = append(append(append(out, "Host: "...), s.hop.origin.host...), "\r\n"...)
	}
	if have&givenAgent == 0 {
		out = append(out, "User-Agent: "+userAgent+"\r\n"...)
	}
	if have&givenEncoding == 0 {
		out = append(out, "Accept-Encoding: gzip, deflate\r\n"...)
	}
	if have&givenAccept == 0 {
		out = append(out, "Accept: */*\r\n"...)
	}
	if have&givenID == 0 {
		out = appendField(out, "X-Request-Id", r.ID)
	}
	if have&givenTrace == 0 && r.Traceparent != nil {
		out = appendField(out, "Traceparent", r.Traceparent)
	}
	if s.jar == nil || have&givenCookie != 0 {
		return out
	}
	before := len(out)
	for _, c := range s.jar.Cookies(s.address()) {
		separator := "; "
		if len(out) == before {
			separator = "Cookie: "
		}
		out = append(append(out, separator...), c.String()...)
	}
	if len(out) > before {
		out = append(out, "\r\n"...)
	}
	return out
}

// address is the URL of the current hop. Only cookies and redirects need it.
func (s *session) address() *url.URL {
	if s.hop.url == nil {
		u, err := url.ParseRequestURI(string(s.hop.target))
		if err != nil {
			u = &url.URL{Path: "/"}
		}
		u.Scheme, u.Host = s.lean.base.Scheme, s.lean.base.Host
		s.hop.url = u
	}
	return s.hop.url
}

// remember keeps the cookies of an answer.
func (s *session) remember() {
	var cookies []*http.Cookie
	for _, line := range s.head.Cookies {
		if c, err := http.ParseSetCookie(string(line)); err == nil { // what is none is left out, as by browsers and Locust
			cookies = append(cookies, c)
		}
	}
	if s.jar == nil {
		s.jar, _ = cookiejar.New(nil) // has no error without options
	}
	s.jar.SetCookies(s.address(), cookies)
}

// redirect follows an answer that leads elsewhere, by the rules of Python's requests
// (Session.resolve_redirects): again means that the next hop is ready to be sent.
func (s *session) redirect(r *Request) (again bool, err error) {
	if len(s.head.Cookies) > 0 {
		s.remember()
	}
	if len(s.head.Location) == 0 {
		return false, nil
	}
	switch s.head.Status {
	case 301, 302, 303, 307, 308:
	default:
		return false, nil
	}
	if s.answer.Redirects == maxRedirects {
		return false, errRedirects
	}
	from := s.address()
	to, err := from.Parse(string(s.head.Location))
	if err != nil {
		return false, errors.New("the server redirects to what is no URL")
	}
	o, err := originOf(to)
	if err != nil {
		return false, fmt.Errorf("the server redirects to what is not followed: %w", err)
	}
	if err := s.leave(); err != nil {
		return false, err
	}
	s.answer.Redirects++
	h := &s.hop
	if o.host == h.origin.host && o.secure == h.origin.secure {
		o = h.origin // a Unix socket, too
	}
	status := s.head.Status
	if h.method != "HEAD" && (status == 303 || status == 302) || h.method == "POST" && status == 301 {
		h.method = "GET"
	}
	h.bare = h.bare || status != 307 && status != 308
	h.foreign = h.foreign || stripped(from, to)
	h.followed, h.last, h.origin, h.url = true, false, o, to
	h.target = appendTarget(h.target[:0], []byte(to.RequestURI()))
	return true, s.render(r)
}

// leave reads the rest of an answer that is not the last.
func (s *session) leave() error {
	s.body.open(s.conn, s.head.Body(s.hop.method))
	if err := s.body.discard(new(int64)); err != nil {
		return err
	}
	s.finish()
	return nil
}

// stripped says whether credentials stay behind on the way from one URL to another
// (requests' should_strip_auth): another host, port or scheme, except from http to https on
// their usual ports.
func stripped(from, to *url.URL) bool {
	port := func(u *url.URL) string {
		if p := u.Port(); p != "" {
			return p
		}
		return defaultPorts[u.Scheme]
	}
	switch {
	case from.Hostname() != to.Hostname():
		return true
	case from.Scheme == "http" && to.Scheme == "https" && port(from) == "80" && port(to) == "443":
		return false
	}
	return from.Scheme != to.Scheme || port(from) != port(to)
}
