package request

import "github.com/ragscope/ragscope/internal/kernel/event"

// headRead is one read of request bytes: since when they could be read, and when they were.
type headRead struct {
	at, read int64
	n        int64 // bytes
}

// narrow is how far apart the bounds of an arrival may be for the later one to be taken for it.
const narrow = 1_000_000 // ns

// maxPieces bounds the reads of one head that are kept: a client that sends a byte at a time.
const maxPieces = 64

// note remembers the read for the request whose head it holds a part of. The kernel tells an
// arrival at the first read after it. Where it tells none, the bytes came while the read before was
// under way, or that left them in the socket: between the arrival told then and that read.
func (c *inbound) note(e *event.Event) {
	a := headRead{e.Arrive, e.Time, int64(e.Len)}
	n := len(c.pieces)
	switch {
	case a.at > 0 && a.at <= e.Time:
		c.told = a.at
	case c.told != 0 && (n > 0 || c.h2 != nil || c.read-c.told < narrow):
		a.at = c.read
	default:
		a.at = 0
	}
	c.read = e.Time
	if len(c.pieces) == maxPieces {
		c.pieces = c.pieces[:maxPieces-1]
	}
	c.pieces = append(c.pieces, a)
}

// timeArrival sets where the request's time begins, and its first stages: each part of its head
// waited in the socket. earlier is how many reads before the newest one held a part of it.
func (l *live) timeArrival(c *inbound, earlier int) {
	n := len(c.pieces)
	parts := c.pieces[max(0, n-1-earlier):]
	l.Arrive = parts[0].at
	if l.Arrive == 0 {
		l.Arrive = parts[0].read
		if !c.midway || c.served > 0 {
			l.miss("arrival not seen: it was read together with what came before")
		}
	}
	l.Start = l.Arrive
	if c.served == 0 && c.syn != 0 {
		l.Syn, l.Accept = c.syn, c.accept
		if c.accept > l.Arrive {
			l.Start = c.syn
			l.add(acceptQueue, c.syn, c.accept, "", nil)
			l.add(receiveQueue, c.accept, parts[0].read, "", nil)
		}
	}
	for i, p := range parts {
		if i < len(parts)-1 {
			l.BytesIn += p.n
		}
		if p.at != 0 {
			l.add(receiveQueue, p.at, p.read, "", nil)
		}
	}
	if len(parts) > 1 {
		c.pieces = append(c.pieces[:0], parts[len(parts)-1]) // the next head may begin in it
	}
}
