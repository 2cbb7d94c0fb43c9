package http1

import (
	"bytes"

	"github.com/ragscope/ragscope/internal/protocol/chunked"
)

// head consumes lines until the blank one; it returns what lies behind it.
func (s *Stream) head(b []byte) []byte {
	for s.state == head {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			s.keep(b)
			return nil
		}
		line := b[:i]
		b = b[i+1:]
		if s.skip {
			s.skip = false
			continue
		}
		if len(s.line) > 0 {
			if s.keep(line); s.skip {
				s.skip = false
				continue
			}
			line = s.line
		}
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		s.take(line, b)
		s.forget()
	}
	return b
}

// keep holds the beginning of a line until its end arrives, unless it is of no interest: the
// value of a header that Message does not name is never held.
func (s *Stream) keep(b []byte) {
	if s.skip {
		return
	}
	room := max(0, MaxLine-len(s.line))
	s.line = append(s.line, b[:min(room, len(b))]...)
	if colon := bytes.IndexByte(s.line, ':'); s.started && colon > 0 && fieldOf(s.line[:colon]) == other {
		s.forget()
		s.skip = true
	}
}

func (s *Stream) forget() {
	clear(s.line)
	s.line = s.line[:0]
}

// take takes in a complete line; rest is what follows it in the same run of bytes.
func (s *Stream) take(line, rest []byte) {
	switch {
	case !s.started:
		ok := false
		if s.response {
			ok = s.message.statusLine(line)
		} else {
			ok = s.message.requestLine(line, &s.last)
		}
		if !ok {
			s.lose()
			return
		}
		s.started = true
		s.message.KeepAlive = s.message.Proto != "HTTP/1.0"
	case len(line) == 0:
		s.headDone(rest)
	case len(line) < MaxLine && line[0] != ' ' && line[0] != '\t': // not the continuation of a line (obsolete)
		s.message.header(line, &s.last)
	}
}

// headDone stands behind the blank line.
func (s *Stream) headDone(rest []byte) {
	offset := -1
	if !s.inTail {
		offset = len(s.piece.Head) - len(rest)
	}
	interim := s.response && s.message.Status < 200 && s.message.Status != 101
	if interim {
		s.started, s.pieces, s.state = false, 0, start
		return
	}
	s.announce(offset)
	s.route()
}

// announce tells that the message has begun.
func (s *Stream) announce(offset int) {
	m := s.spare
	if s.spare = nil; m == nil {
		m = new(Message)
	}
	*m = s.message
	s.open, s.last = m, *m
	s.events = append(s.events, Event{Begin: true, Message: m, BodyOffset: offset, Earlier: s.pieces})
	s.started, s.pieces = false, 0
}

// route decides how the body of the open message ends (RFC 9112 §6.3).
func (s *Stream) route() {
	m := s.open
	empty := false
	if s.response {
		empty = s.noBody || m.Status == 204 || m.Status == 304
		s.noBody = false
	}
	switch {
	case s.response && m.Status == 101:
		m.Upgrade = true
		s.finish(false, false)
		s.state = opaque
	case empty:
		s.end()
	case m.Chunked:
		s.body, s.state = chunked.Follower{}, chunks
	case m.ContentLength > 0:
		s.left, s.state = m.ContentLength, length
	case m.ContentLength == 0:
		s.end()
	case m.HeaderTruncated:
		s.routeUnknown()
	case s.response:
		s.state = toClose
	default:
		s.end()
	}
}

// routeUnknown is for a head of which a part is unseen, and no length in the rest. A method that
// has no body by custom ends with its head; anything else is open until the next start line.
func (s *Stream) routeUnknown() {
	switch s.open.Method {
	case "GET", "HEAD", "DELETE", "OPTIONS":
		s.end()
	default:
		s.lose()
	}
}

// cutHead tells that n bytes of the head, and perhaps more than the head, were not captured.
func (s *Stream) cutHead(n int) {
	if !s.started {
		s.lose()
		return
	}
	s.forget()
	s.message.HeaderTruncated = true
	tail := s.piece.Tail
	if i := bytes.Index(tail, []byte("\r\n\r\n")); i >= 0 && s.headerLines(tail[:i]) {
		s.skip = true // the tail begins inside a line
		return
	}
	// The head's end is unseen too. A request and its body are one write as a rule; if all of the
	// announced body fits behind what was seen, the message ends with this transfer.
	s.announce(-1)
	m := s.open
	fits := m.ContentLength >= 0 && m.ContentLength <= int64(n+len(tail)) || m.ContentLength < 0 && !m.Chunked && !s.response
	s.noBody = false
	if s.lose(); fits {
		s.finish(true, false)
	}
}

// headerLines reports whether b, after its first line, holds nothing but header lines: a blank
// line inside a body must not pass for the head's end.
func (s *Stream) headerLines(b []byte) bool {
	_, b, _ = bytes.Cut(b, []byte("\r\n"))
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte("\r\n"))
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 {
			return false
		}
		for _, c := range line[:colon] {
			if c <= ' ' || c == '"' || c == '{' || c == '}' || c >= 0x7f {
				return false
			}
		}
	}
	return true
}
