package simulate

import (
	"fmt"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

const answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

func transfer(what event.Type, flags event.Flags, sock uint64, text string) event.Event {
	return event.Event{Type: what, Flags: flags, Sock: sock, Len: uint32(len(text)), Head: []byte(text)}
}

func (p *process) socket() uint64 {
	p.socks++
	return p.socks
}

// client is one keep-alive connection with a few requests.
func (p *process) client() {
	sock, n := p.socket(), 1+p.rng.IntN(5)
	p.open += n
	at := p.now + p.rng.Int64N(20*ms)
	if p.with&Hasty != 0 && p.rng.IntN(3) == 0 { // it was there before the agent
		ctx := p.alloc()
		p.emit(event.Event{Type: event.Conn, Sock: sock, Flags: event.Inbound | event.Midway, Head: make([]byte, 32)})
		p.request(sock, ctx, at, n)
		return
	}
	p.later(at, func() {
		p.emit(event.Event{Type: event.Conn, Sock: sock, Flags: event.Inbound, Time: at, Head: make([]byte, 32)})
		p.soon(callback{ctx: p.base, fn: func() {
			if p.with&Hasty != 0 && p.rng.IntN(3) == 0 {
				p.spend(p.rng.Int64N(2 * ms)) // it waits in the accept queue
			}
			p.tick()
			p.emit(event.Event{Type: event.Accept, Sock: sock})
			p.request(sock, p.copied(), at+p.rng.Int64N(200*us), n)
		}})
	})
}

// request is the next of n that the client sends, to arrive at a time.
func (p *process) request(sock, ctx uint64, arrive int64, n int) {
	if n == 0 {
		return
	}
	r := &Request{ID: fmt.Sprintf("%d-%d", sock, n)}
	p.run.Requests[r.ID] = r
	text := "GET /x HTTP/1.1\r\nX-Request-Id: " + r.ID + "\r\n\r\n"
	if p.with&Hasty == 0 {
		arrive = max(arrive, p.now)
	}
	p.read(arrive, ctx, transfer(event.Recv, event.Inbound, sock, text), func() {
		r.Arrive, r.Read = arrive, p.moved
		t := p.task(r, p.copied(), p.handler())
		t.client = sock
		t.done = func() {
			p.tick()
			end := answer
			if r.Streams {
				end = lastChunk
			}
			p.emit(transfer(event.Send, event.Inbound, sock, end))
			r.Last = p.now
			if p.with&Background != 0 && p.rng.IntN(4) == 0 {
				t.steps = append(t.steps, step{kind: call, pool: p.anyPool()}) // a background task of the framework
			}
			p.open--
			p.request(sock, ctx, p.now+p.rng.Int64N(5*ms), n-1)
		}
		t.wake()
	})
}
