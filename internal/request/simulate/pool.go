package simulate

import "github.com/ragscope/ragscope/internal/kernel/event"

// A pool hands its connections out in the order in which they were asked for.
type pool struct {
	size, made int
	port       uint16
	http       bool
	model      bool // a language model
	barging    bool // a waiter that is woken looks again, and may find it taken
	idle       []*conn
	waiters    []*task
}

type conn struct {
	sock uint64
	ctx  uint64 // of its transport
}

var loopback = [32]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1, 26: 0xff, 27: 0xff, 28: 127, 31: 1}

// call goes on with a call as far as it can, and reports whether it is over.
func (t *task) call(o *pool) bool {
	const wants, made, sent = 0, 2, 3
	switch t.phase {
	case wants:
		t.waited, t.since = 0, 0
		t.phase = 1
		fallthrough
	case 1:
		switch {
		case t.conn != nil: // handed over
		case len(o.idle) > 0:
			t.conn = o.idle[len(o.idle)-1]
			o.idle = o.idle[:len(o.idle)-1]
		case o.made < o.size:
			o.made++
			t.dial(o)
			t.phase, t.since = made, 0
			return false
		default:
			if t.since == 0 {
				t.since = t.p.now
			}
			o.waiters = append(o.waiters, t)
			return false
		}
		if t.since != 0 {
			t.waited, t.since = t.p.now-t.since, 0
		}
		fallthrough
	case made:
		t.cpu(t.p.rng.Int64N(30 * us))
		if o.model {
			t.ask()
		} else {
			t.send(o)
		}
		t.phase = sent
		return false
	}
	if o.model && !t.passOn() {
		return false
	}
	t.give(o)
	return true
}

// give returns the connection, whose answer was read.
func (t *task) give(o *pool) {
	c := t.conn
	t.conn = nil
	if len(o.waiters) == 0 {
		o.idle = append(o.idle, c)
		return
	}
	w := o.waiters[0]
	o.waiters = o.waiters[1:]
	if o.barging {
		o.idle = append(o.idle, c)
	} else {
		w.conn = c
	}
	w.wake()
}

func (t *task) dial(o *pool) {
	p := t.p
	t.conn = &conn{sock: p.socket()}
	p.emit(event.Event{Type: event.Conn, Sock: t.conn.sock, RPort: o.port, Head: loopback[:]})
	p.timer(100*us+p.rng.Int64N(300*us), t.wake) // the context is the writer callback's
}

// send asks the peer, which answers after a while.
func (t *task) send(o *pool) {
	p, c := t.p, t.conn
	text, reply := "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "$1\r\n1\r\n"
	if o.http {
		text, reply = "GET /points HTTP/1.1\r\nHost: api\r\n\r\n", answer
	}
	if c.ctx == 0 {
		c.ctx = p.copied()
	}
	p.tick()
	p.now++ // two sends on a connection never share an instant
	p.emit(transfer(event.Send, 0, c.sock, text))
	t.calls(c.sock, &Call{Wait: t.waited, Lock: t.lock})
	t.lock = 0
	p.read(p.now+50*us+p.rng.Int64N(6*ms), c.ctx, transfer(event.Recv, 0, c.sock, reply), t.wake)
}

// calls notes the truth of a call that was sent now.
func (t *task) calls(sock uint64, k *Call) {
	k.Request, k.After = t.req.ID, t.req.Last != 0
	t.p.run.Calls[Sent{sock, t.p.now}] = k
	if !k.After {
		t.req.Calls++
	}
}
