package http1

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/ragscope/ragscope/internal/protocol"
)

// Message is what the head of a request or response says.
type Message struct {
	Method, Target string // requests; Target is the path with its query, as sent, at most MaxLine bytes
	Status         int    // responses
	Proto          string // "HTTP/1.0", "HTTP/1.1"; "HTTP/2.0" where the connection turns out to speak that

	ContentType   string // as sent, with its parameters
	ContentLength int64  // bytes; -1 unknown
	Chunked       bool
	KeepAlive     bool
	Upgrade       bool // asks for, or switches to, another protocol
	Expect100     bool

	RequestID, TraceParent string // x-request-id, traceparent
	Host, UserAgent        string

	HeaderTruncated bool // a part of the head was not captured: what is empty above may have been sent
}

// MaxLine bounds, in bytes, the start line and each header that is kept.
const MaxLine = 4096

// names are the words that need no allocation when they are met again.
var names = func() map[string]string {
	m := map[string]string{}
	for _, s := range []string{"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE",
		"HTTP/1.1", "HTTP/1.0", "application/json", "text/event-stream", "text/event-stream; charset=utf-8",
		"application/x-ndjson", "text/plain; charset=utf-8", "text/html; charset=utf-8", "application/octet-stream"} {
		m[s] = s
	}
	return m
}()

// intern is string(b), without an allocation where b is a frequent word or equals last.
func intern(b []byte, last string) string {
	if string(b) == last {
		return last
	}
	if s, ok := names[string(b)]; ok {
		return s
	}
	return string(b)
}

// methodLike reports whether b begins with a request method and a space.
func methodLike(b []byte) bool {
	i := bytes.IndexByte(b[:min(len(b), 9)], ' ')
	if i < 3 {
		return false
	}
	_, ok := names[string(b[:i])]
	return ok
}

// methodBegins reports whether b may be the beginning of a method, or of HTTP/2's preface.
func methodBegins(b []byte) bool {
	if bytes.HasPrefix([]byte(preface), b) {
		return true
	}
	for name := range names {
		if strings.HasPrefix(name, string(b)) {
			return true
		}
	}
	return false
}

// requestLine parses "GET /path HTTP/1.1". A line cut at MaxLine has no version.
func (m *Message) requestLine(line []byte, last *Message) bool {
	a := bytes.IndexByte(line, ' ')
	if a <= 0 || !methodLike(line) {
		return false
	}
	target, proto := line[a+1:], "HTTP/1.1"
	if b := bytes.LastIndexByte(target, ' '); b >= 0 {
		if v := target[b+1:]; len(v) != 8 || string(v[:7]) != "HTTP/1." {
			return false
		}
		target, proto = target[:b], intern(target[b+1:], "")
	} else if len(line) < MaxLine {
		return false
	}
	target = target[:min(len(target), MaxLine)]
	m.Method, m.Target, m.Proto = intern(line[:a], ""), intern(target, last.Target), proto
	return true
}

// statusLine parses "HTTP/1.1 200 OK".
func (m *Message) statusLine(line []byte) bool {
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return false
	}
	n, err := strconv.Atoi(string(line[9:12]))
	if err != nil || n < 100 {
		return false
	}
	m.Status, m.Proto = n, intern(line[:8], "")
	return true
}

// header takes in one header line, without its line end.
func (m *Message) header(line []byte, last *Message) {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return
	}
	field := fieldOf(line[:colon])
	if field == other {
		return
	}
	v := bytes.Trim(line[colon+1:], " \t")
	switch field {
	case host:
		m.Host = intern(v, last.Host)
	case userAgent:
		m.UserAgent = intern(v, last.UserAgent)
	case contentType:
		m.ContentType = intern(v, last.ContentType)
	case contentLength:
		if n, ok := protocol.Decimal(v, 18); ok {
			m.ContentLength = n
		}
	case transferEncoding:
		m.Chunked = m.Chunked || token(v, "chunked")
	case connection:
		m.KeepAlive = (m.KeepAlive || token(v, "keep-alive")) && !token(v, "close")
		m.Upgrade = m.Upgrade || token(v, "upgrade")
	case expect:
		m.Expect100 = token(v, "100-continue")
	case requestID:
		m.RequestID = string(v)
	case traceParent:
		m.TraceParent = string(v)
	}
}

type field uint8

const (
	other field = iota
	host
	userAgent
	contentType
	contentLength
	transferEncoding
	connection
	expect
	requestID
	traceParent
)

// fieldOf names the header, in any letter case, if it is one of those that are kept.
func fieldOf(name []byte) field {
	var low [17]byte
	switch len(name) {
	case 4, 6, 10, 11, 12, 14, 17: // only these lengths are worth a look
	default:
		return other
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		low[i] = c
	}
	switch string(low[:len(name)]) {
	case "host":
		return host
	case "user-agent":
		return userAgent
	case "content-type":
		return contentType
	case "content-length":
		return contentLength
	case "transfer-encoding":
		return transferEncoding
	case "connection":
		return connection
	case "expect":
		return expect
	case "x-request-id":
		return requestID
	case "traceparent":
		return traceParent
	}
	return other
}

// token reports whether the comma-separated list v holds want (lower case), in any letter case.
func token(v []byte, want string) bool {
	for len(v) > 0 {
		part := v
		if i := bytes.IndexByte(v, ','); i >= 0 {
			part, v = v[:i], v[i+1:]
		} else {
			v = nil
		}
		if part = bytes.Trim(part, " \t"); len(part) == len(want) && bytes.EqualFold(part, []byte(want)) {
			return true
		}
	}
	return false
}
