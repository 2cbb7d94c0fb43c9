package request

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/protocol"
	"github.com/ragscope/ragscope/internal/protocol/http1"
	"github.com/ragscope/ragscope/internal/protocol/llm"
)

// inbound is a connection that the target accepted.
type inbound struct {
	pid         uint32
	syn, accept int64
	midway      bool
	requests    *http1.Stream
	responses   *http1.Stream
	seen        int64 // last sign of life
	open        *live // the request being read or answered
	queue       []*live
	served      int
	losses      int        // of both streams, counted so far
	lostBefore  int        // … of the responses, when open was the next to be answered
	pieces      []headRead // of the head that is being read
	told        int64      // the newest arrival that the kernel told; 0: it never did
	read        int64      // the newest read
	h2          *session   // the requests of an HTTP/2 connection
	stalled     int64      // since when response bytes wait for the client; 0: they do not
	front       *front     // that serves the agent's own request
	ignore      bool       // the agent's own, an upgrade, or a protocol that is not HTTP/1
}

func (t *Tracker) inbound(e *event.Event) *inbound {
	c := t.in[e.Sock]
	if c == nil {
		t.makeRoom()
		c = &inbound{pid: e.PID, requests: http1.NewRequests(), responses: http1.NewResponses()}
		t.in[e.Sock] = c
	}
	t.resume(c, e.Time)
	return c
}

// resume notes a sign of life. Bytes that were moved since the last one may be among lost events:
// then both streams look for a message's beginning.
func (t *Tracker) resume(c *inbound, at int64) {
	if c.seen != 0 && t.gaps.within(c.seen, at) {
		c.requests.Miss()
		c.responses.Miss()
	}
	c.seen = at
	t.boundaries("inbound", boundaryLost, c.requests.Lost()+c.responses.Lost(), &c.losses)
}

const boundaryLost = "HTTP message boundary lost"

// boundaries counts what the parsers of a connection lost since the last time.
func (t *Tracker) boundaries(source, reason string, now int, told *int) {
	if now > *told {
		t.loseN(source, reason, uint64(now-*told))
		*told = now
	}
}

func (t *Tracker) onInboundConn(e *event.Event) {
	c := t.inbound(e)
	c.midway = e.Has(event.Midway)
	if !c.midway {
		c.syn = e.Time
	}
}

func (t *Tracker) onAccept(e *event.Event) {
	if c := t.in[e.Sock]; c != nil && c.accept == 0 {
		c.accept, c.pid = e.Time, e.PID
		if t.step.enters() { // else nothing tells that the thread has gone on to something else
			t.thread(e).accepts = c
		}
	}
}

func (t *Tracker) onInboundRecv(e *event.Event) {
	c := t.inbound(e)
	c.pid = e.PID
	if c.ignore || e.Len == 0 {
		return
	}
	th := t.thread(e)
	th.accepts = nil
	t.read(th, e)
	c.note(e)
	for _, m := range c.requests.Feed(protocol.Piece{N: int(e.Len), Head: e.Head, Tail: e.Tail}) {
		if m.Begin && !c.ignore {
			t.begin(c, th, e, m)
		}
	}
	inHead := c.requests.InHead()
	if !inHead {
		c.pieces = c.pieces[:0]
	}
	if l := newest(c); l != nil && !inHead {
		l.BytesIn += int64(e.Len)
		if l.Read != e.Time { // more of a body: it waited in the socket as well
			if e.Arrive > l.Read {
				l.add(receiveQueue, e.Arrive, e.Time, "", nil)
			}
		}
		l.fedIn = th.turn
		t.lend(th, c.open, e.Time)
	}
}

func newest(c *inbound) *live {
	if n := len(c.queue); n > 0 {
		return c.queue[n-1]
	}
	return c.open
}

func (t *Tracker) begin(c *inbound, th *thread, e *event.Event, m http1.Event) {
	msg := m.Message
	if msg.UserAgent == protocol.AgentName || msg.Proto == "HTTP/2.0" {
		t.abandon(c, e.Time, "the connection went over to another protocol")
		c.ignore = true
		if msg.Proto == "HTTP/2.0" { // else the kernel side tells frames
			t.lose("inbound", "HTTP/2 not recognised at its begin")
		} else {
			c.front = t.readByFront(th, e, nil)
		}
		return
	}
	if c.open != nil && t.gaps.within(c.open.Read, e.Time) { // its answer may be among what was lost
		t.abandon(c, c.open.lastSeen(), eventsLost)
		c.responses.Forget() // else its end would be taken for that of the next one
	}
	if msg.HeaderTruncated && msg.RequestID == "" && msg.TraceParent == "" {
		t.lose("inbound", "request head longer than what is captured: its id may be in the rest")
	}
	if c.open != nil && c.open.First == 0 && c.responses.Lost() > c.lostBefore { // it was answered, and nobody knew it
		t.abandon(c, c.open.lastSeen(), "its answer was not recognised")
	}
	l := t.newLive(c, e, msg.Method, msg.Target, cmp.Or(msg.RequestID, msg.TraceParent))
	l.Upgrade = msg.Upgrade
	l.timeArrival(c, m.Earlier)
	if len(c.queue) == maxPipelined {
		t.lose("inbound", "more than 64 pipelined requests")
		t.abandon(c, e.Time, "more than 64 pipelined requests")
		c.ignore = true
		return
	}
	l.front = t.readByFront(th, e, l)
	c.served++
	t.begins(l)
	if c.open != nil { // its turn comes with the answer before it
		c.queue = append(c.queue, l)
		return
	}
	c.serve(l)
	t.reads(th, l, e)
	if e.Context == 0 {
		th.serving = l
	}
}

// newLive is a request whose head has been read, with its query cut off.
func (t *Tracker) newLive(c *inbound, e *event.Event, method, target, id string) *live {
	path, _, _ := strings.Cut(target, "?")
	l := &live{conn: c}
	l.Request = Request{
		PID: e.PID, Method: method, Path: path, ID: id, Endpoint: t.opts.Endpoint(e.PID, method, path), Read: e.Time, Followed: t.step == Followed,
	}
	l.reader = &node{live: l}
	return l
}

// reads notes that contexts which the thread makes now are made for l.
func (t *Tracker) reads(th *thread, l *live, e *event.Event) {
	th.reading = reading{live: l, address: e.Context}
	if t.late(e) {
		th.reading.address = 0 // uvloop reads first and enters the connection's context then
	}
}

// serve makes l the request that the next response answers.
func (c *inbound) serve(l *live) {
	c.open, c.stalled, c.lostBefore = l, 0, c.responses.Lost()
	if l.Method == "HEAD" {
		c.responses.NextHasNoBody()
	}
}

const maxPipelined = 64

// lend runs the thread on behalf of a request whose bytes it has just moved, until it enters
// another context.
func (t *Tracker) lend(th *thread, l *live, at int64) {
	if !t.step.enters() || th.current != nil && th.current.owner() == l {
		return
	}
	t.pause(th, at)
	if l.answered {
		return
	}
	th.current, th.address, th.since = l.reader, 0, at
	l.runsOn(th)
}

func (t *Tracker) onInboundSend(e *event.Event) {
	c := t.inbound(e)
	if c.ignore {
		return
	}
	th := t.thread(e)
	c.waits(th, e)
	if e.Len == 0 {
		return // the socket was full
	}
	events := c.responses.Feed(protocol.Piece{N: int(e.Len), Head: e.Head, Tail: e.Tail})
	l := c.open
	if l == nil {
		t.lose("inbound", "response without its request: connection joined midway")
		return
	}
	l.workedFor(th)
	t.bindByResponse(l, e)
	t.sentByFront(th, l)
	ended := false // what follows in this piece belongs to nobody yet
	for _, m := range events {
		if l = c.open; l == nil {
			break
		}
		if m.Begin && m.Message != nil {
			l.answer(m, e)
			ended = false
		}
		if m.End && l.First != 0 { // else of a response whose request was not seen
			t.split(th, e.Time)
			if !m.Before {
				l.sent(e)
			}
			t.finish(l, e.Time)
			t.servesNext(th, l, e.Time)
			ended = true
		}
	}
	if l = c.open; l != nil && !ended {
		l.sent(e)
		t.split(th, e.Time)
	}
}

func (l *live) answer(m http1.Event, e *event.Event) {
	l.Status = m.Message.Status
	if l.First == 0 {
		l.First = e.Time
	}
	l.SSE = strings.HasPrefix(m.Message.ContentType, "text/event-stream")
	if l.Status == 101 {
		l.Upgrade = true
	}
}

// sent notes response bytes. An interim response (100 Continue) has no beginning and is not the
// first byte.
func (l *live) sent(e *event.Event) {
	l.Last = e.Time
	l.passing.sent(e.Time)
	l.BytesOut += int64(e.Len)
	if l.FirstToken == 0 && l.SSE && (llm.FirstClientToken(e.Head) || llm.FirstClientToken(e.Tail)) {
		l.FirstToken = e.Time
	}
}

// next ends the request that is open; the one read after it is served now.
func (c *inbound) next(at int64) {
	c.open = nil
	if len(c.queue) == 0 {
		return
	}
	l := c.queue[0]
	c.queue = c.queue[1:]
	c.serve(l)
	l.add(loopWait, l.Read, at, "", nil) // it was read, and the server was at the one before
}

// finish hands the request out.
func (t *Tracker) finish(l *live, at int64) {
	c := l.conn
	if l.Last == 0 {
		l.Last = at
	}
	l.Last = max(l.Last, l.Start)                // events out of order
	if t.gaps.within(l.Start, max(l.Last, at)) { // its end may be among them
		l.miss(eventsLost)
	}
	for _, th := range slices.Clone(l.on) {
		if th.current != nil && th.current.owner() == l {
			t.split(th, at) // a worker thread, or the step that sends
		}
	}
	for _, x := range l.awaiting {
		l.add(upstream, x.from, l.Last, x.call.Peer.System, x.call)
	}
	t.gaveUp(l)
	l.spansUntil(l.Last, &t.sweeper)
	if !exact(l.Spans, l.Start, l.Last) {
		t.lose("heart", "request whose stages do not sum to its total")
		l.miss("its stages do not sum to its total")
	}
	l.Reasons = l.reasons()
	l.answered = true
	if l.lent != nil && l.lent.live == l {
		l.lent.live = nil
	}
	switch {
	case c.open == l:
		c.next(at)
	case c.h2 != nil:
		if delete(c.h2.streams, l.stream); len(c.h2.streams) == 0 {
			t.noDrafts(c.h2)
		}
	}
	if l.Upgrade && l.Status == 101 {
		c.ignore = true
	}
	t.ends(l)
	l.Calls = slices.DeleteFunc(l.Calls, func(k *Call) bool { return !k.Finished }) // handed out when they end
	l.Forwards = l.forwards()
	fact := l.Request
	l.parts, l.awaiting, l.on, l.Spans, l.Calls, l.passing, l.Forwards = nil, nil, nil, nil, nil, passing{}, nil
	l.pauses, l.made, l.Reasons, l.TimedOut = nil, nil, nil, nil // contexts may remember it for long
	if l.front != nil {
		t.doneByFront(l.front)
	}
	t.sink.Request(&fact)
}

func (l *live) spansUntil(last int64, by *active) {
	l.Spans, l.Overlap = by.sweep(l.Start, last, l.parts)
	for _, s := range l.Spans {
		switch s.Stage {
		case OnCPU:
			l.CPU += s.End - s.Start
		case RunQueue, GILWait, Blocked:
			l.OffCPU += s.End - s.Start
		}
	}
}

// lastSeen is when the request showed a sign of life.
func (l *live) lastSeen() int64 { return max(l.Read, l.Last, l.lastEnd) }
