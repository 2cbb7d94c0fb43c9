package request

import (
	"cmp"
	"strings"

	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/protocol/http2"
)

// session is what an inbound connection that speaks HTTP/2 carries: a request for each stream.
type session struct {
	requests, responses *http2.Decoder
	received, sent      http2.Joiner
	streams             map[uint32]*live
	newest              uint32
	drafts              []*draft // the oldest first
}

// sole is the request that what serves the connection works for: the open one, of an HTTP/2
// connection only if it is the only one. The order in which contexts are made for several tells
// nothing (hypercorn makes others between them): those are drafts until they answer.
func (c *inbound) sole() *live {
	if c.h2 == nil {
		return c.open
	}
	if len(c.h2.streams) == 1 {
		for _, l := range c.h2.streams {
			return l
		}
	}
	return nil
}

func (t *Tracker) onInboundFrames(e *event.Event) {
	c := t.inbound(e)
	if c.ignore {
		return
	}
	if c.h2 == nil {
		t.abandon(c, e.Time, "the connection went over to another protocol")
		c.h2 = &session{requests: http2.NewDecoder(c.midway), responses: http2.NewDecoder(c.midway), streams: map[uint32]*live{}}
	}
	th := t.thread(e)
	sent := e.Has(event.Sent)
	if !sent {
		c.pid = e.PID
		c.note(e)
		t.read(th, e)
	}
	if e.Has(event.Desync) {
		t.lose("inbound", "HTTP/2 frame boundary lost")
	}
	whole := e.EachFrame(func(f event.Frame) {
		if sent {
			t.inboundFrameSent(c, th, e, f)
		} else {
			t.inboundFrameRead(c, th, e, f)
		}
	})
	if !whole {
		t.lose("inbound", "HTTP/2 frames not understood")
	}
	if !sent && !c.h2.received.Open() {
		c.pieces = c.pieces[:0]
	}
}

func (t *Tracker) inboundFrameRead(c *inbound, th *thread, e *event.Event, f event.Frame) {
	l := c.h2.streams[f.Stream]
	switch f.Type {
	case http2.Headers, http2.Continuation:
		h, fields, done := t.headers(c.h2.requests, &c.h2.received, "inbound", f)
		if !done {
			return
		}
		if l == nil && h.Stream > c.h2.newest { // else trailers
			t.beginStream(c, th, e, h, fields)
		}
	case http2.Data:
		if l == nil {
			return
		}
		if l.BytesIn += int64(len(f.Payload)); !f.More {
			l.BytesIn += int64(f.Length) - int64(len(f.Payload))
		}
		if l.Read != e.Time && e.Arrive > l.Read {
			l.add(receiveQueue, e.Arrive, e.Time, "", nil)
		}
		t.lend(th, l, e.Time)
	case http2.RSTStream:
		if l != nil {
			l.miss("its client cancelled it")
			t.finish(l, e.Time)
		}
	}
}

// beginStream is a request whose head is whole.
func (t *Tracker) beginStream(c *inbound, th *thread, e *event.Event, h http2.Head, fields http2.Fields) {
	s := c.h2
	s.newest = h.Stream
	if len(s.streams) == maxStreams { // the ends of some were lost
		oldest := s.streams[sorted(s.streams)[0]]
		oldest.miss("more than 4,096 streams on its connection")
		t.finish(oldest, e.Time)
	}
	l := t.newLive(c, e, fields.Method, fields.Path, cmp.Or(fields.RequestID, fields.TraceParent))
	l.stream, l.BytesIn = h.Stream, int64(len(h.Block))
	if fields.Method == "" || fields.Path == "" { // the table of header fields was filled before we came, or a block was cut
		l.miss("its method or path was not seen")
		t.lose("inbound", "HTTP/2 method or path not known: connection joined midway, or head cut")
	}
	l.timeArrival(c, len(c.pieces)-1)
	l.front = t.readByFront(th, e, l)
	c.served++
	t.begins(l)
	s.streams[h.Stream] = l
	th.reading = reading{}
	if c.sole() == l {
		t.reads(th, l, e)
	}
	t.lend(th, l, e.Time)
}

func (t *Tracker) inboundFrameSent(c *inbound, th *thread, e *event.Event, f event.Frame) {
	l := c.h2.streams[f.Stream]
	switch f.Type {
	case http2.Headers, http2.Continuation:
		h, fields, done := t.headers(c.h2.responses, &c.h2.sent, "inbound", f)
		if !done {
			return
		}
		if l == nil {
			if f.Stream <= c.h2.newest || c.midway {
				return
			}
			t.lose("inbound", "response without its request: connection joined midway")
			return
		}
		if l.Status == 0 && fields.Status >= 200 {
			l = t.answers(t.context(e), l)
			l.Status, l.First = fields.Status, e.Time
			l.SSE = strings.HasPrefix(fields.ContentType, "text/event-stream")
			t.bindByResponse(l, e)
			t.sentByFront(th, l)
		}
		t.streamSent(l, th, e, f, h.EndStream)
	case http2.Data:
		if l != nil {
			t.streamSent(l, th, e, f, f.Flags&http2.EndStream != 0 && !f.Open)
		}
	case http2.RSTStream:
		if l != nil {
			l.miss("the server cancelled it")
			t.finish(l, e.Time)
		}
	}
}

// streamSent notes response bytes of a stream, perhaps its last.
func (t *Tracker) streamSent(l *live, th *thread, e *event.Event, f event.Frame, last bool) {
	l.handedOn(th, e.Time)
	l.sent(&event.Event{Time: e.Time, Len: uint32(len(f.Payload)), Head: f.Payload})
	if !f.More {
		l.BytesOut += int64(f.Length) - int64(len(f.Payload))
	}
	t.split(th, e.Time)
	if last {
		t.finish(l, e.Time)
	}
}

// handedOn is the time from the end of the step that made response bytes to their send by what
// serves the whole connection: they waited for the event loop.
func (l *live) handedOn(th *thread, at int64) {
	if l.lastTID == th && th.isLoop && th.slept < l.lastEnd && l.lastEnd < at && len(l.awaiting) == 0 && (th.current == nil || th.current.owner() != l) {
		l.add(loopWait, l.lastEnd, at, "", nil)
	}
}

func (s *session) abandon(t *Tracker, at int64, why string) {
	for _, id := range sorted(s.streams) {
		l := s.streams[id]
		l.miss(why)
		t.finish(l, at)
	}
}
