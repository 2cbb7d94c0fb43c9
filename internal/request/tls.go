package request

import (
	"bytes"

	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/protocol/http1"
)

// secured is the TLS of one connection. Two views of it become one: what the TLS library was given to
// write (Send and Frames with the flag TLS, in the writer's context) and what the socket moved
// (Cipher). The rest of the heart sees ordinary events:
//
//	written ──► held ──► a Cipher sent as many bytes ──► Send, at the time of that Cipher
//	read    ──► Recv, at once: its arrival is the ciphertext's already
//	Cipher  ──► the handshake's times; a client that takes bytes slowly; else nothing
type secured struct {
	seen     int64 // last sign of life
	pid      uint32
	held     []event.Event
	sent     int  // bytes of ciphertext that no released event accounts for
	followed bool // its plaintext was seen
	client   bool // the client spoke last
	turns    int  // how often the client began to speak: its hello, the end of the handshake, its first request (maybe with that), …
	unread   int  // exchanges counted that nothing was seen of
}

// whose are the connections of one process that it accepted, or that it made.
type whose struct {
	pid  uint32
	side string
}

// maxHeld bounds what waits for its ciphertext on one connection. uvicorn and asyncio hand over
// after each write, so that more means that the ciphertext is not seen.
const maxHeld = 64

// alert is the longest ciphertext of an alert, such as the farewell before a close; record headers that are
// read apart are shorter.
const alert = 31

const unread = "exchange inside TLS that could not be read"

func (t *Tracker) securedOf(e *event.Event) *secured {
	s := t.secured[e.Sock]
	if s == nil {
		if len(t.secured) >= maxConnections {
			for _, id := range quietest(t.secured, func(s *secured) int64 { return s.seen }) {
				t.release(t.secured[id], len(t.secured[id].held), 0)
				delete(t.secured, id)
			}
		}
		s = &secured{pid: e.PID}
		t.secured[e.Sock] = s
	}
	s.seen = e.Time
	return s
}

// onPlain takes what a TLS library read or was given to write.
func (t *Tracker) onPlain(e *event.Event) {
	s := t.securedOf(e)
	if !s.followed {
		s.followed = true
		t.readable[whose{s.pid, side(e)}] = true
		t.begun(e)
	}
	if e.Type == event.Send || e.Type == event.Frames && e.Has(event.Sent) {
		if len(s.held) == maxHeld {
			t.release(s, 1, 0)
			t.lose(side(e), "TLS write whose transfer was not seen")
		}
		own := *e
		own.Head, own.Tail = bytes.Clone(e.Head), bytes.Clone(e.Tail)
		s.held = append(s.held, own)
		return
	}
	if e.Type == event.Recv && !e.Has(event.Inbound) {
		t.release(s, len(s.held), 0) // an answer: what was asked has been sent
	}
	t.feed(e)
}

// begun drops what a connection's ciphertext was taken for before it was known as such.
func (t *Tracker) begun(e *event.Event) {
	if c := t.out[e.Sock]; c != nil {
		c.dialect = nil
	}
	if c := t.in[e.Sock]; c != nil {
		c.requests, c.responses = http1.NewRequests(), http1.NewResponses()
	}
}

func (t *Tracker) onCipher(e *event.Event) {
	if t.secured[e.Sock] == nil && t.in[e.Sock] == nil && t.out[e.Sock] == nil {
		return // the farewell after the connection was closed
	}
	s := t.securedOf(e)
	s.speak(t, e)
	if c := t.out[e.Sock]; c != nil && !s.followed {
		c.made.secures(e)
	}
	if !e.Has(event.Sent) {
		return
	}
	s.sent += int(e.Len)
	n := 0
	for n < len(s.held) && s.sent >= int(s.held[n].Len) {
		s.sent -= int(s.held[n].Len)
		n++
	}
	if len(s.held) == n {
		s.sent = 0 // the rest is the records' own
	}
	if e.Has(event.Inbound | event.Short) {
		if n == 0 {
			full := *e
			full.Type, full.Len, full.Flags = event.Send, 0, event.Inbound|event.Short
			t.feed(&full)
			return
		}
		s.held[n-1].Flags |= event.Short
	}
	t.release(s, n, e.Time)
}

// release hands on the first n of what was written, as sent at a time; 0: at their own.
func (t *Tracker) release(s *secured, n int, at int64) {
	for i := range n {
		e := &s.held[i]
		e.Time = max(e.Time, at)
		t.feed(e)
		*e = event.Event{}
	}
	s.held = s.held[n:]
}

// speak counts the client's turns, and the exchanges that nothing was seen of: by one too many for a
// connection whose handshake ended in a turn of its own.
func (s *secured) speak(t *Tracker, e *event.Event) {
	if e.Len <= alert {
		return
	}
	client := e.Has(event.Sent) != e.Has(event.Inbound)
	if client && !s.client {
		s.turns++
		if over := s.turns - t.opaqueTurns(e) - 2; over > s.unread && !s.followed { // one later: the library may be about to tell
			s.unread++
			t.lose(side(e), unread)
		}
	}
	s.client = client
}

// opaqueTurns is how many turns of the client carry no request: its hello.
func (t *Tracker) opaqueTurns(e *event.Event) int {
	if c := t.in[e.Sock]; c != nil && c.midway {
		return 0
	}
	if c := t.out[e.Sock]; c != nil && c.midway {
		return 0
	}
	return 1
}

// endTLS comes before a connection's Close.
func (t *Tracker) endTLS(e *event.Event) {
	s := t.secured[e.Sock]
	if s == nil {
		return
	}
	over := s.turns - t.opaqueTurns(e) - s.unread
	if t.readable[whose{s.pid, side(e)}] { // a connection may close in any process's time
		over-- // others are read: the end of the handshake had no request with it, or it would have been seen
	}
	if over > 0 && !s.followed {
		t.loseN(side(e), unread, uint64(over))
	}
	t.release(s, len(s.held), 0)
	delete(t.secured, e.Sock)
}

// releaseAll is for events that were lost: the ciphertext of what is held may be among them.
func (t *Tracker) releaseAll() {
	for _, id := range sorted(t.secured) {
		s := t.secured[id]
		t.release(s, len(s.held), 0)
	}
}

// late reports whether e was read before the thread entered the connection's context.
func (t *Tracker) late(e *event.Event) bool {
	if e.Has(event.TLS) {
		return false // uvloop decrypts in the connection's context
	}
	th := t.thread(e)
	if t.step.enters() && th.isLoop && th.base != 0 {
		th.outside = th.outside || e.Context == th.base
		th.inside = th.inside || e.Context != th.base
	}
	return t.readsFirst(th)
}

// readsFirst reports whether the event loop reads before it enters a context. What it was seen to do tells: a process
// may have uvloop and run asyncio's. Clients that block the loop read inside of contexts under both.
func (t *Tracker) readsFirst(th *thread) bool {
	return th.outside || !th.inside && t.opts.Late(th.pid)
}

func side(e *event.Event) string {
	if e.Has(event.Inbound) {
		return "inbound"
	}
	return "outbound"
}

// Opaque returns the processes that have TLS connections past their handshake of which nothing was read.
func (t *Tracker) Opaque() []uint32 {
	pids := map[uint32]bool{}
	for _, s := range t.secured {
		if !s.followed && s.turns > 2 {
			pids[s.pid] = true
		}
	}
	return sorted(pids)
}
