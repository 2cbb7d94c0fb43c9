package simulate

import (
	"fmt"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// What goes on for longer than one question and one answer: a language model's stream, which is passed
// on to the client as it comes, calls that share one connection without waiting for each other's answers,
// and a subscription, whose messages nobody asked for.

const (
	modelPort     = 11434
	sharedPort    = 6400
	subscribePort = 6401

	question   = "POST /api/chat HTTP/1.1\r\nHost: llm\r\nContent-Length: 27\r\n\r\n{\"model\":\"m\",\"stream\":true}"
	modelHead  = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
	streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	lastChunk  = "0\r\n\r\n"
)

func chunk(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }

// A chat is one answer of a model, under way.
type chat struct {
	call   *Call
	unsent []int64 // arrivals of tokens that are read, and not passed on
	ended  bool
	queued bool // its task is about to run
}

// ask sends a question to the model, which answers token by token.
func (t *task) ask() {
	p, c := t.p, t.conn
	if c.ctx == 0 {
		c.ctx = p.copied()
	}
	p.tick()
	p.now++
	p.emit(transfer(event.Send, 0, c.sock, question))
	k := &Call{Wait: t.waited}
	t.calls(c.sock, k)
	t.chat = &chat{call: k}
	at, n, head := p.now+50*us, 1+p.rng.IntN(5), modelHead
	for i := range n + 1 {
		at += p.rng.Int64N(3 * ms)
		text := `{"model":"m","message":{"role":"assistant","content":"x"},"done":false}` + "\n"
		if i == n {
			text = fmt.Sprintf(`{"model":"m","done":true,"prompt_eval_count":7,"eval_count":%d}`+"\n", n)
		} else {
			k.Tokens = append(k.Tokens, at)
		}
		t.token(c, at, i == n, head+chunk(text))
		head = ""
	}
}

// token is one piece of the answer, to arrive at a time.
func (t *task) token(c *conn, at int64, last bool, text string) {
	p, a := t.p, t.chat
	if last {
		text += lastChunk
	}
	p.read(at, c.ctx, transfer(event.Recv, 0, c.sock, text), func() {
		if a.ended = last; !last {
			a.unsent = append(a.unsent, at)
		}
		if !a.queued {
			a.queued = true
			t.wake()
		}
	})
}

// passOn sends the tokens that came to the client and reports whether the stream is over.
func (t *task) passOn() bool {
	p, a := t.p, t.chat
	a.queued = false
	if len(a.unsent) > 0 {
		p.tick()
		head := ""
		if !t.req.Streams {
			t.req.Streams, head = true, streamHead
		}
		p.emit(transfer(event.Send, event.Inbound, t.client, head+chunk("data: x\n\n")))
		for _, at := range a.unsent {
			t.req.Forwards = append(t.req.Forwards, p.now-at)
		}
		a.unsent = nil
	}
	return a.ended
}

// share calls over the connection that all share: its answers come in the order of the questions.
func (t *task) share() bool {
	p := t.p
	if t.phase == 1 {
		return true
	}
	t.phase = 1
	p.tick()
	p.now++
	p.emit(transfer(event.Send, 0, p.shared.sock, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"))
	t.calls(p.shared.sock, &Call{})
	p.sharedLast = max(p.sharedLast+1, p.now+50*us+p.rng.Int64N(3*ms))
	p.read(p.sharedLast, p.shared.ctx, transfer(event.Recv, 0, p.shared.sock, "$1\r\n1\r\n"), t.wake)
	return false
}

// lasting opens the connections that are there before the first request.
func (p *process) lasting() {
	if p.with&Shared != 0 {
		p.shared = p.early(sharedPort)
	}
	if p.with&Messages == 0 {
		return
	}
	c := p.early(subscribePort)
	p.ctx = c.ctx
	p.now++
	p.emit(transfer(event.Send, 0, c.sock, "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n"))
	p.run.Calls[Sent{c.sock, p.now}] = &Call{}
	p.ctx = 0
	at := p.now + 100*us
	p.read(at, c.ctx, transfer(event.Recv, 0, c.sock, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"), func() {})
	for range 5 + p.rng.IntN(10) {
		at += p.rng.Int64N(5 * ms)
		p.read(at, c.ctx, transfer(event.Recv, 0, c.sock, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n"), func() {})
	}
}

func (p *process) early(port uint16) *conn {
	c := &conn{sock: p.socket(), ctx: p.copied()}
	p.emit(event.Event{Type: event.Conn, Sock: c.sock, RPort: port, Head: loopback[:]})
	return c
}
