package request

import "github.com/ragscope/ragscope/internal/kernel/event"

// creation is what is seen of a connection being made. Times are CLOCK_MONOTONIC in ns, 0 where
// a moment was not seen.
//
//	asked ─ name look-up ─► dialed ─ TCP ─► established ─► hello ─ TLS ─► secured ─► first call
//
// The look-up runs in a thread, in CPython's own or in one of uvloop that knows no Python, and asks
// a file or a server by UDP. So it is told by what it leaves: the context that dials stood still
// just before, and was woken by no context of the event loop. Blocking look-ups of worker threads
// are not told apart from what else such a thread may sleep in.
type creation struct {
	asked, dialed, established, hello, secured int64
}

// begin is when the connection began to be made.
func (k creation) begin() int64 {
	if k.asked != 0 {
		return k.asked
	}
	return k.dialed
}

// Made is how long the parts of making a connection took, in ns; 0: not told, or there was none.
type Made struct {
	Lookup, TCP, TLS int64
	Total            int64 // from the look-up, or the dialing, to the first call
}

// until sums up a creation that was over at a time.
func (k creation) until(at int64) (m Made) {
	if k.dialed == 0 {
		return m
	}
	m.Total = at - k.begin()
	if k.asked != 0 {
		m.Lookup = k.dialed - k.asked
	}
	if k.established != 0 {
		m.TCP = k.established - k.dialed
	}
	if k.hello != 0 {
		end := k.secured
		if end == 0 {
			end = at // the call's own bytes are what follows the handshake
		}
		m.TLS = end - k.hello
	}
	return m
}

// lookup returns since when the request waited for an address, if it did so just before it dials:
// in the turn under way or the one before.
func (l *live) lookup(th *thread) int64 {
	if n := len(l.pauses); n > 0 && th.isLoop {
		if p := l.pauses[n-1]; p.why == outside && th.turn-p.turn <= 1 {
			return p.from
		}
	}
	return 0
}

func (t *Tracker) onOutboundOpened(e *event.Event) {
	if c := t.out[e.Sock]; c != nil && c.made.dialed != 0 && c.made.established == 0 {
		c.made.established = e.Time
	}
}

// secures takes a transfer of ciphertext before anything was written or read through it: the first one
// sent is the client hello, the newest one read the end of the handshake.
func (k *creation) secures(e *event.Event) {
	switch {
	case e.Has(event.Sent) && k.hello == 0:
		k.hello = e.Time
	case !e.Has(event.Sent) && k.hello != 0:
		k.secured = e.Time
	}
}
