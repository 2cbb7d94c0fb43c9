package http1

import (
	"bytes"

	"github.com/ragscope/ragscope/internal/protocol"
	"github.com/ragscope/ragscope/internal/protocol/chunked"
)

// Event tells that a message began, ended, or both. Begin is told when the head is complete, or
// when it is sure that the rest of it will not be seen.
type Event struct {
	Begin, End bool
	Message    *Message
	BodyOffset int  // of a Begin: the body starts at Head[BodyOffset:]; -1: not in this piece's Head
	Earlier    int  // of a Begin: how many pieces before this one held a part of the head
	Guessed    bool // of an End: concluded, its last byte was not recognised
	Before     bool // of an End: it lay in an earlier piece and shows only now
}

type state uint8

const (
	start   state = iota // between messages
	head                 // in a start line or header
	length               // left body bytes to go
	chunks               // in a chunked body
	toClose              // in a body that ends with the connection
	opaque               // bytes of another protocol: not followed
	lost                 // no boundary known; message is the open one, if any
)

// Stream is one direction of one connection.
type Stream struct {
	response bool
	noBody   bool
	state    state
	losses   int

	message Message  // under construction
	open    *Message // begun and not ended
	ended   *Message // the newest that has ended
	spare   *Message // ended in a transfer before this one
	last    Message  // its strings are used again when equal
	line    []byte   // the beginning of a line that is not complete yet
	started bool     // the message's start line is parsed
	skip    bool     // the rest of the line is of no interest
	pieces  int      // that the head has spanned so far, before this one

	left   int64
	body   chunked.Follower
	events []Event
	piece  protocol.Piece
	inTail bool
}

// NewRequests makes the stream of the direction that carries requests.
func NewRequests() *Stream { return &Stream{} }

// NewResponses makes the stream of the direction that carries responses.
func NewResponses() *Stream { return &Stream{response: true} }

// NextHasNoBody tells that the next response to begin answers a HEAD.
func (s *Stream) NextHasNoBody() { s.noBody = true }

// InHead reports whether the last transfer ended inside a message's head.
func (s *Stream) InHead() bool { return s.state == head }

// Lost counts how often the stream had to wait for a recognisable beginning, joining in the
// middle of a message included.
func (s *Stream) Lost() int { return s.losses }

// Feed takes the next transfer and returns what began and ended in it, in order. The events are valid
// until the next call; so is a message that has ended.
func (s *Stream) Feed(p protocol.Piece) []Event {
	if s.ended != nil {
		s.spare, s.ended = s.ended, nil
	}
	s.events = s.events[:0]
	s.piece, s.inTail = p, false
	if s.state == lost {
		s.resynchronise(p.Head)
	}
	s.visible(p.Head)
	if gap := p.Gap(); gap > 0 {
		s.hidden(gap)
	}
	if len(p.Tail) > 0 {
		s.inTail = true
		s.visible(p.Tail)
	}
	s.settle(p)
	s.piece = protocol.Piece{}
	return s.events
}

// Miss tells that transfers may be missing before the next one. Between messages that does no
// harm; a body whose end is the connection's goes on.
func (s *Stream) Miss() {
	switch s.state {
	case head, length, chunks:
		s.lose()
	}
}

// Forget tells that the message that is open has no end any more: where it ended is not known, and
// what comes is to begin with the next one.
func (s *Stream) Forget() {
	if s.open == nil {
		return
	}
	if s.state != lost {
		s.lose()
	}
	s.open = nil
}

// Close tells that the direction is closed; a body without length ends so.
func (s *Stream) Close() []Event {
	s.events = s.events[:0]
	if s.open != nil {
		s.finish(s.state != toClose, true)
	}
	s.state = start
	return s.events
}

// settle closes the piece: a head goes on in the next, a lost body may be seen to end.
func (s *Stream) settle(p protocol.Piece) {
	switch s.state {
	case head:
		s.pieces++
	case lost:
		if s.open != nil && (s.open.Chunked || s.open.HeaderTruncated) && p.EndsWith("\r\n0\r\n\r\n") {
			s.finish(true, false)
			s.state = start
		}
	}
}

func (s *Stream) visible(b []byte) {
	for len(b) > 0 {
		switch s.state {
		case start:
			b = s.begin(b)
		case head:
			b = s.head(b)
		case length:
			n := min(s.left, int64(len(b)))
			s.pass(n)
			b = b[n:]
		case chunks:
			_, n := s.body.Next(b)
			s.chunked()
			b = b[n:]
		default:
			return
		}
	}
}

func (s *Stream) hidden(n int) {
	switch s.state {
	case start:
		s.lose()
	case head:
		s.cutHead(n)
	case length:
		if int64(n) > s.left {
			s.end()
			s.lose() // what follows in the gap is the next message's, its beginning unseen
			return
		}
		s.pass(int64(n))
	case chunks:
		s.body.Hide(n)
		s.chunked()
	}
}

// pass moves n ≤ left bytes of the body.
func (s *Stream) pass(n int64) {
	if s.left -= n; s.left == 0 {
		s.end()
	}
}

func (s *Stream) chunked() {
	switch {
	case s.body.Done():
		s.end()
	case s.body.Lost():
		s.lose()
	}
}

// end is the regular end of the open message.
func (s *Stream) end() {
	s.finish(false, false)
	s.state = start
}

func (s *Stream) finish(guessed, before bool) {
	m := s.open
	s.open, s.ended = nil, m
	if n := len(s.events); !before && n > 0 && s.events[n-1].Message == m {
		s.events[n-1].End, s.events[n-1].Guessed = true, guessed
		return
	}
	s.events = append(s.events, Event{End: true, Message: m, BodyOffset: -1, Guessed: guessed, Before: before})
}

func (s *Stream) lose() {
	s.state = lost
	s.losses++
	s.line, s.started, s.skip, s.pieces = s.line[:0], false, false, 0
}

// resynchronise looks at the first bytes of a transfer after a loss.
func (s *Stream) resynchronise(b []byte) {
	switch {
	case s.startLine(b) || s.other(b) != "":
		if s.open != nil {
			s.finish(true, true)
		}
		s.state = start
	case s.open != nil && s.open.Chunked && chunked.Plausible(b):
		s.body, s.state = chunked.Follower{}, chunks
	}
}

// startLine reports whether b begins like a message.
func (s *Stream) startLine(b []byte) bool {
	if s.response {
		return bytes.HasPrefix(b, []byte("HTTP/1."))
	}
	return methodLike(b)
}

// startsLine reports whether a message may begin with b, of which startLine cannot tell yet. Two bytes that are left
// of a body would make the message after them one that is not recognised, and its answer that of the one before.
func (s *Stream) startsLine(b []byte) bool {
	if s.response {
		const version = "HTTP/1."
		n := min(len(b), len(version))
		return string(b[:n]) == version[:n]
	}
	return methodBegins(b)
}

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// other names the protocol that b opens, where that is not HTTP/1: HTTP/2 begins with the
// client's preface or with the server's SETTINGS frame on stream 0.
func (s *Stream) other(b []byte) string {
	if !s.response {
		if len(b) >= 14 && string(b[:14]) == preface[:14] {
			return "HTTP/2.0"
		}
		return ""
	}
	if len(b) >= 9 && b[0] == 0 && b[3] == 4 && b[4] == 0 && b[5]|b[6]|b[7]|b[8] == 0 && (int(b[1])<<8|int(b[2]))%6 == 0 {
		return "HTTP/2.0"
	}
	return ""
}

// begin stands between two messages.
func (s *Stream) begin(b []byte) []byte {
	for len(b) > 0 && (b[0] == '\r' || b[0] == '\n') { // RFC 9112 §2.2 lets a server ignore these
		b = b[1:]
	}
	if len(b) == 0 {
		return nil
	}
	if proto := s.other(b); proto != "" {
		s.state = opaque
		s.events = append(s.events, Event{Begin: true, BodyOffset: -1, Message: &Message{Proto: proto, Upgrade: true, ContentLength: -1}})
		return nil
	}
	if !s.startLine(b) && (len(b) >= 9 || !s.startsLine(b)) {
		if s.last.Upgrade {
			s.state = opaque // the protocol that the last message asked for
			return nil
		}
		s.lose()
		return nil
	}
	s.state = head
	s.message = Message{ContentLength: -1}
	return b
}
