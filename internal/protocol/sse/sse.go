// Package sse finds the events of an event stream (HTML standard §9.2) in partly captured
// transfers.
//
// In: the transfers that carry the body, with or without chunked framing around it. Out: the
// events that end in a transfer, their data bounded. Events in bytes that were not captured are
// missed; the gaps that may have hidden some are counted.
package sse

import (
	"bytes"

	"github.com/ragscope/ragscope/internal/protocol"
	"github.com/ragscope/ragscope/internal/protocol/lines"
)

// MaxData bounds, in bytes, the data of one event.
const MaxData = 1024

// Event is one event. Data is valid until the next Feed.
type Event struct {
	Data []byte // its data lines, joined by line feeds
	Name string // of the event field, "" where there is none
	Done bool   // the data is [DONE]
	Cut  bool   // a part of it was not captured, or Data is at its bound
}

// Stream is one event stream.
type Stream struct {
	lines  lines.Reader
	data   []byte // of the event under way; earlier events of this Feed lie before it
	from   int    // where its data begins in data
	name   string
	some   bool // the event under way has a line
	many   bool // … and a data line
	cut    bool
	events []Event
}

// NewStream makes a stream that stands at a body's beginning, or anywhere in it.
func NewStream() *Stream { return &Stream{} }

// Lost counts the gaps that may have hidden events.
func (s *Stream) Lost() int { return s.lines.Lost() }

// Feed takes the next transfer and returns the events that end in it.
func (s *Stream) Feed(p protocol.Piece) []Event {
	s.events = s.events[:0]
	s.data = s.data[:copy(s.data, s.data[s.from:])]
	s.from = 0
	s.lines.Feed(p, s.line)
	return s.events
}

func (s *Stream) line(l lines.Line) {
	if len(l.Text) == 0 && l.ToEnd && l.FromStart {
		s.dispatch()
		return
	}
	if !l.FromStart {
		// The end of a line whose beginning is unknown: an event that was under way is not whole,
		// and what follows may belong to another.
		s.cut = s.some
		s.dispatch()
		return
	}
	name, value, _ := bytes.Cut(l.Text, []byte(":"))
	if len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	switch string(name) {
	case "data":
		room := MaxData - (len(s.data) - s.from)
		if s.many && room > 0 {
			s.data = append(s.data, '\n')
			room--
		}
		s.cut = s.cut || len(value) > room || !l.ToEnd
		s.data = append(s.data, value[:min(room, len(value))]...)
		s.some, s.many = true, true
	case "event":
		s.name, s.some = intern(value), true
	}
}

func (s *Stream) dispatch() {
	if s.some {
		data := s.data[s.from:len(s.data):len(s.data)]
		s.events = append(s.events, Event{Data: data, Name: s.name, Done: string(data) == "[DONE]", Cut: s.cut})
	}
	s.from = len(s.data)
	s.name, s.some, s.many, s.cut = "", false, false, false
}

// intern is string(b), bounded, without an allocation for frequent names.
func intern(b []byte) string {
	for _, s := range [...]string{"message", "token", "error", "metadata", "done", "delta", "content_block_delta", "message_delta"} {
		if string(b) == s {
			return s
		}
	}
	return string(b[:min(len(b), 64)])
}
