package request

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/protocol/http2"
	"github.com/ragscope/ragscope/internal/protocol/qdrant"
)

// gRPC puts all calls of a channel on one connection, and whichever thread owns the transport
// writes them. So a call is known in three moments, which are joined here:
//
//	wish   AioChannel.call: the caller's context and the method
//	start  unary_unary: the hand-over to C-core, in a context made for the call; the message's head
//	stream HEADERS on the wire; its DATA begins with the message's head again
//
// A stream belongs to (1) the newest started call of the context that wrote it, else (2) the
// started call with the same first bytes, length and method, if no other request has one like it.
// Each link keeps that basis. Order alone tells nothing: calls end before they get a stream, and
// C-core's threads overtake each other; among calls alike one in ten links by order was wrong.

// stub is what a process has called and not yet sent.
type stub struct {
	wishes  []wish
	started []*started
	open    int // streams under way, of all channels
	seen    seenLimit
	checked int64 // up to when no events were lost that it has not heard of
	unseen  int64 // when calls may have started that were not seen and wait for a stream; 0: none
}

// unseenFor is how long a call whose start was not seen may wait for its stream, in ns; by then its caller
// has given up.
const unseenFor = 10_000_000_000

// doubts reports whether a stream that was opened at a time may be that of a call whose start was not seen.
func (s *stub) doubts(at int64) bool { return s.unseen != 0 && at-s.unseen < unseenFor }

type wish struct {
	at     int64
	node   *node
	method string
}

// started is a call handed to C-core that has no stream yet.
type started struct {
	at     int64
	wished int64
	node   *node
	worker uint32 // the thread that makes the call, where it is none of an event loop; 0: not seen
	method string
	print  string // first bytes of the message
	size   uint32 // of the message

	passedBy bool // it or another that began alike has a stream
}

const (
	maxStarted  = 4096
	fingerprint = 48
	grpcPrefix  = 5 // compressed flag and length before the message
)

// channel is the HTTP/2 side of an outbound connection.
type channel struct {
	request, response *http2.Decoder
	sent, received    http2.Joiner
	streams           map[uint32]*stream
	limit             int   // MAX_CONCURRENT_STREAMS as the server said; 0: not seen, or not said
	settled           bool  // the server's settings were seen
	full              int64 // when all of them were last in use
	lastEnd           int64
}

// use notes whether all streams are in use at a time.
func (ch *channel) use(at int64) {
	if ch.limit > 0 && len(ch.streams) >= ch.limit {
		ch.full = at
	}
}

// stream is one call on it.
type stream struct {
	id      uint32
	x       *exchange
	waiting bool // its HEADERS had no context: the DATA tells whose it is
	sent    int64
	path    string
	ref     int64 // where the header table keeps the path
}

func (t *Tracker) stub(pid uint32) *stub {
	s := t.grpc[pid]
	if s == nil {
		s = &stub{}
		t.grpc[pid] = s
	}
	return s
}

func (t *Tracker) onGRPCCall(e *event.Event) {
	s := t.stubAt(e.PID, e.Time)
	if len(s.wishes) == maxStarted {
		s.wishes = slices.Delete(s.wishes, 0, maxStarted/2)
		t.lose("grpc", "calls that never started")
	}
	s.wishes = append(s.wishes, wish{e.Time, t.actor(e), cString(e.Head)})
}

func cString(b []byte) string {
	if i := slices.Index(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

func (t *Tracker) onGRPCStart(e *event.Event) {
	s := t.stubAt(e.PID, e.Time)
	n := t.actor(e)
	k := &started{at: e.Time, wished: e.Time, node: n, print: string(e.Head[:min(len(e.Head), fingerprint)]), size: e.Len}
	if !t.thread(e).isLoop {
		k.worker = e.TID
	}
	if i := s.wishOf(n); i >= 0 {
		k.method, k.wished = s.wishes[i].method, s.wishes[i].at
		s.wishes = slices.Delete(s.wishes, i, i+1)
	}
	// A new call in the same context: the older one is gone, it ended before it got a stream.
	s.over(n, e.Time)
	if len(s.started) == maxStarted {
		for range maxStarted / 2 {
			s.take(0)
		}
		t.lose("grpc", "calls that never got a stream")
	}
	s.started = append(s.started, k)
	if n != nil {
		n.call = k
	}
}

// over drops the call of a context that has no stream yet, or none that is surely its: its task runs again or
// makes another, so it ended, by its deadline or cancelled, before it got one, or was answered unseen.
func (s *stub) over(n *node, at int64) {
	if n == nil || n.call == nil {
		return
	}
	n.didIO(at) // until now it waited for that
	s.take(slices.Index(s.started, n.call))
}

// take removes the i-th started call; a negative i is none.
func (s *stub) take(i int) *started {
	if i < 0 {
		return nil
	}
	k := s.started[i]
	s.started = slices.Delete(s.started, i, i+1)
	if k.node != nil && k.node.call == k {
		k.node.call = nil
	}
	return k
}

// wishOf finds the oldest wish of the context or of one that it was made by.
func (s *stub) wishOf(n *node) int {
	for depth := 0; n != nil && depth < 6; depth++ {
		if i := slices.IndexFunc(s.wishes, func(w wish) bool { return w.node == n }); i >= 0 {
			return i
		}
		n = n.parent
	}
	return -1
}

func (t *Tracker) onFrames(e *event.Event) {
	c := t.outbound(e)
	if c.channel == nil {
		c.channel = &channel{
			request: http2.NewDecoder(c.midway), response: http2.NewDecoder(c.midway),
			streams: map[uint32]*stream{},
		}
		if c.midway {
			t.stub(c.pid).unseen = e.Time
		}
	}
	if e.Has(event.Desync) { // frames before these were not walked
		t.lose("grpc", "frame boundary lost")
		t.missFrames(c, e.Time, "its frames were not all seen")
	}
	whole := e.EachFrame(func(f event.Frame) {
		if e.Has(event.Sent) {
			t.frameSent(c, e, f)
		} else {
			t.frameReceived(c, e, f)
		}
	})
	if !whole {
		t.lose("grpc", "frames not understood")
		t.missFrames(c, e.Time, "its frames were not all seen")
	}
}

// frame and piece are f as room protocol sees it.
func frame(f event.Frame) http2.Frame {
	return http2.Frame{Length: int(f.Length), Type: f.Type, Flags: f.Flags, Stream: f.Stream, Payload: f.Payload}
}

func piece(f event.Frame) http2.Piece {
	return http2.Piece{Frame: frame(f), More: f.More, Cut: f.Cut, Open: f.Open}
}

// headers takes a piece of a header block; done tells that it is whole.
func (t *Tracker) headers(d *http2.Decoder, j *http2.Joiner, source string, f event.Frame) (h http2.Head, fields http2.Fields, done bool) {
	if h, done = j.Add(piece(f)); !done {
		return h, fields, false
	}
	if fields = d.Decode(h.Block, h.Truncated); fields.Truncated {
		t.lose(source, "header block longer than what is captured")
	}
	return h, fields, true
}

func (t *Tracker) frameSent(c *outbound, e *event.Event, f event.Frame) {
	ch := c.channel
	switch f.Type {
	case http2.Headers, http2.Continuation:
		_, fields, done := t.headers(ch.request, &ch.sent, "grpc", f)
		if !done || ch.streams[f.Stream] != nil {
			return // or trailers
		}
		if len(ch.streams) == maxStreams {
			t.dropOldest(c, e.Time)
		}
		s := &stream{id: f.Stream, sent: e.Time, path: fields.Path, ref: fields.Ref}
		ch.streams[f.Stream] = s
		ch.use(e.Time)
		stub := t.stubAt(c.pid, e.Time)
		if k := stub.byContext(t.thread(e).actor(t.context(e))); k != nil {
			stub.unseen = 0 // it had not to wait, so no older one does
			t.open(c, s, k, "context", e)
			return
		}
		s.waiting = true
	case http2.Data:
		s := ch.streams[f.Stream]
		if s == nil {
			return
		}
		if s.waiting {
			s.waiting = false
			t.link(c, s, f.Payload, e)
		}
		if s.x != nil && s.x.call.FirstArrived == 0 {
			s.x.call.Sent, s.x.from = e.Time, e.Time
		}
	case http2.RSTStream:
		t.endStream(c, f.Stream, e, "cancelled")
	}
}

const maxStreams = 4096

// byContext takes the newest started call of a context.
func (s *stub) byContext(n *node) *started {
	if n == nil || n.call == nil {
		return nil
	}
	return s.take(slices.Index(s.started, n.call))
}

// byMessage takes the started call whose message is like data, the first of a stream with a path ("":
// not known). Of calls alike it takes the oldest if all are the same request's; else it tells how many
// there are, and takes none: whichever of them has the stream goes when its task runs again.
func (s *stub) byMessage(data []byte, path string) (k *started, alike int) {
	if len(data) < grpcPrefix {
		return nil, 0
	}
	first := -1
	for i, o := range s.started {
		if !o.like(data, path) {
			continue
		}
		if alike++; first < 0 {
			first = i
		} else if a := o.node.owner(); a == nil || a != s.started[first].node.owner() {
			k = o
		}
	}
	if k != nil || first < 0 {
		return nil, alike
	}
	return s.take(first), alike
}

// like reports whether the call's message may be what a stream begins with.
func (k *started) like(data []byte, path string) bool {
	const compressed = 1
	if path != "" && k.method != "" && path != k.method {
		return false
	}
	if data[0]&compressed != 0 || k.size > 0 && k.print == "" { // what it says was not read
		return true
	}
	print := data[grpcPrefix:min(len(data), grpcPrefix+fingerprint)]
	return binary.BigEndian.Uint32(data[1:]) == k.size && strings.HasPrefix(k.print, string(print))
}

// forgetPassed drops calls that were left for want of a stream that is surely theirs, long ago: where contexts
// are not entered before our eyes, nothing else tells that they are over.
func (s *stub) forgetPassed(at int64) {
	for i := 0; i < len(s.started); {
		if k := s.started[i]; k.passedBy && at-k.at >= unseenFor {
			s.take(i)
			continue
		}
		i++
	}
}

// link finds the call of a stream by the head of its message.
func (t *Tracker) link(c *outbound, s *stream, data []byte, e *event.Event) {
	stub := t.stubAt(c.pid, e.Time)
	if stub.doubts(e.Time) {
		t.lose("grpc", "call not linked: one that began alike may have been waiting for a stream unseen")
		stub.passBy(data, s.path)
		t.open(c, s, &started{at: s.sent, wished: s.sent}, "", e)
		return
	}
	stub.forgetPassed(e.Time)
	k, alike := stub.byMessage(data, s.path)
	if k != nil {
		t.open(c, s, k, "fingerprint", e)
		return
	}
	if alike > 1 {
		t.lose("grpc", "call not linked: several that began alike were waiting for a stream")
		stub.passBy(data, s.path)
	}
	t.open(c, s, &started{at: s.sent, wished: s.sent}, "", e)
}

// passBy marks the calls of which one has a stream.
func (s *stub) passBy(data []byte, path string) {
	for _, o := range s.started {
		o.passedBy = o.passedBy || o.like(data, path)
	}
}

// open makes the stream a call.
func (t *Tracker) open(c *outbound, s *stream, k *started, basis string, e *event.Event) {
	method := k.method
	if method == "" {
		method = s.path
	} else if s.path == "" {
		c.channel.request.Learn(s.ref, method)
	}
	if method == "" {
		method = "unknown (joined midway)"
		t.lose("grpc", "method not known: it is in a header table of which a part was not seen")
	}
	system := "grpc"
	op := method
	if name, ok := qdrant.Operation(method); ok {
		system, op = "qdrant", name
	}
	if c.peer.System == "" {
		c.peer = Peer{System: system, Address: c.remote.String()}
		t.connection(c, e.Time, Opened, nil)
		if c.channel.limit > 0 {
			t.streamLimit(c, e.Time)
		}
	}
	s.x = &exchange{node: k.node, live: k.node.owner(), answers: 1, from: e.Time}
	s.x.call = &Call{
		Peer: c.peer, Operation: op, Connection: c.id, Stream: s.id, LocalPort: e.LPort, PID: c.pid, Basis: basis,
		Intent: k.wished, Sent: e.Time,
	}
	if l := s.x.live; l == nil {
		s.x.call.Basis = ""
	}
	t.attach(s.x)
	t.streamWait(c, s, k, e.TID)
	stub := t.stub(c.pid)
	stub.open++
	stub.seen.use(stub.open, s.sent)
	t.use(c, s.sent, Busy, s.x.live, op)
	k.node.didIO(e.Time)
}

// seenLimit infers the limit of streams from practice, for channels whose SETTINGS were sent
// before we came: so many were open at most, and calls that started while or before as many were open
// waited, nearly all of them, until one of those had ended.
type seenLimit struct {
	most             int   // streams ever open together
	full             int64 // when so many were last open
	starts, deferred int   // calls that had to wait if it is the limit, and those that did
}

const (
	leastDeferred  = 5   // waits seen before a limit is believed in
	deferredShare  = 0.8 // of the starts
	clearlyWaiting = 1_000_000
)

// use notes how many are open at a time.
func (l *seenLimit) use(open int, at int64) {
	if open > l.most {
		*l = seenLimit{most: open}
	}
	if open == l.most {
		l.full = at
	}
}

// judge takes a call that started at a time and had its stream after a wait, and says whether it waited for one that was free.
func (l *seenLimit) judge(from, wait int64, ended bool) bool {
	if l.most == 0 || l.full < from {
		return false
	}
	if wait >= minStreamWait && wait < clearlyWaiting {
		return false // it says nothing for either
	}
	l.starts++
	if wait < clearlyWaiting || !ended {
		return false
	}
	l.deferred++
	return l.deferred > leastDeferred && float64(l.deferred) >= deferredShare*float64(l.starts)
}

// streamWait claims the time between start and HEADERS as a wait for a free stream where the
// limit was reached: the server's own, or where that was not seen, the one of practice.
func (t *Tracker) streamWait(c *outbound, s *stream, k *started, tid uint32) {
	if tid != 0 && tid == k.worker {
		return // it had waited for a lock or the GIL: a call that waits for a stream is sent by who frees one
	}
	wait := s.sent - k.at
	ch := c.channel
	full := ch.limit > 0 && ch.full >= k.at
	if ch.limit == 0 && !ch.settled {
		full = t.stub(c.pid).seen.judge(k.at, wait, ch.lastEnd > k.at)
	}
	if !full || wait < minStreamWait || ch.lastEnd < k.at || t.gaps.within(k.at, s.sent) || s.x.live != nil && t.gaps.within(s.x.live.Read, s.sent) {
		return
	}
	s.x.call.PoolWaitStart, s.x.call.PoolWait = k.at, wait
	if l := s.x.live; l != nil {
		l.add(poolWait, k.at, s.sent, c.peer.System, nil)
		t.waitFor(c, Waited, l, k.at, s.sent, 0)
	}
}

const minStreamWait = 300_000 // ns: the hand-over to C-core itself takes 0.1–0.2 ms

func (t *Tracker) frameReceived(c *outbound, e *event.Event, f event.Frame) {
	ch := c.channel
	switch f.Type {
	case http2.Settings:
		ch.settled = true
		if n, ok := frame(f).MaxStreams(); ok {
			ch.limit = int(min(n, 1<<20))
			if c.peer.System != "" {
				t.streamLimit(c, e.Time)
			}
		}
		return
	case http2.GoAway:
		return
	}
	failed, ends := "", f.Flags&http2.EndStream != 0 && !f.Open
	switch f.Type {
	case http2.Headers, http2.Continuation:
		h, fields, done := t.headers(ch.response, &ch.received, "grpc", f) // of an unknown stream too: it keeps the table right
		if !done {
			return
		}
		ends = h.EndStream
		if status := fields.GRPCStatus; status > 0 {
			failed = "grpc-status " + strconv.Itoa(status)
		}
	case http2.RSTStream:
		failed = "reset by the server"
	case http2.Data:
	default:
		return
	}
	s := ch.streams[f.Stream]
	if s == nil {
		return
	}
	if s.x != nil {
		s.x.arrive(e)
		if failed != "" {
			s.x.call.Error = failed
		}
	}
	if f.Type == http2.RSTStream || ends {
		t.endStream(c, f.Stream, e, "")
	}
}

func (t *Tracker) streamLimit(c *outbound, at int64) {
	k := c.changed(Limit, nil, at)
	k.N = c.channel.limit
	t.sink.Connection(k)
}

func (t *Tracker) endStream(c *outbound, id uint32, e *event.Event, failed string) {
	s := c.channel.streams[id]
	if s == nil {
		return
	}
	c.channel.use(e.Time)
	delete(c.channel.streams, id)
	c.channel.lastEnd = e.Time
	if s.x == nil {
		return
	}
	if failed != "" {
		s.x.call.Error = failed
	}
	s.x.node.didIO(e.Time)
	if stub := t.grpc[c.pid]; stub != nil {
		stub.seen.use(stub.open, e.Time)
		stub.open = max(0, stub.open-1)
	}
	t.complete(s.x)
	t.use(c, e.Time, Free, s.x.live, s.x.call.Operation)
}

func (t *Tracker) closeChannel(c *outbound, at int64, why string) {
	for _, id := range sorted(c.channel.streams) {
		if s := c.channel.streams[id]; s.x != nil {
			s.x.call.Error = why
		}
		t.endStream(c, id, &event.Event{Time: at}, "")
	}
}
