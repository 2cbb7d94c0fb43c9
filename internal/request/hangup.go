package request

import "github.com/ragscope/ragscope/internal/kernel/event"

// closing is a connection that is closed, but whose last send may still be told: on loopback the
// client's reset arrives within the send that it answers.
type closing struct {
	sock uint64
	at   int64
}

const lastSend = 1_000_000 // ns

func (t *Tracker) onInboundClose(e *event.Event) {
	if t.in[e.Sock] != nil {
		t.closing = append(t.closing, closing{e.Sock, e.Time})
	}
}

// Pass tells that what comes from now on is later than a time (CLOCK_MONOTONIC, ns).
func (t *Tracker) Pass(until int64) {
	for len(t.closing) > 0 && t.closing[0].at+lastSend < until {
		k := t.closing[0]
		t.closing = t.closing[1:]
		t.endInbound(k.sock, k.at)
	}
}

func (t *Tracker) endInbound(sock uint64, at int64) {
	c := t.in[sock]
	if c == nil {
		return
	}
	delete(t.in, sock)
	delete(t.writers, sock)
	if c.front != nil {
		t.doneByFront(c.front)
	}
	if c.ignore {
		t.abandon(c, at, "the connection went over to another protocol")
		return
	}
	for _, m := range c.responses.Close() {
		if m.End && !m.Guessed && c.open != nil { // a body that ends with the connection
			t.finish(c.open, at)
		}
	}
	t.abandon(c, at, "the connection was closed before the response ended")
	t.boundaries("inbound", boundaryLost, c.requests.Lost()+c.responses.Lost(), &c.losses)
}

// abandon hands out what is open on a connection as incomplete.
func (t *Tracker) abandon(c *inbound, at int64, why string) {
	for c.open != nil {
		l := c.open
		l.miss(why)
		t.finish(l, at)
	}
	if c.h2 != nil {
		c.h2.abandon(t, at, why)
	}
}
