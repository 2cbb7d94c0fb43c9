package request

import (
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// queued is a write to a socket that is sent later.
func (p *tape) queued(sock uint64) *tape { return p.add(event.Event{Type: event.Queued, Sock: sock}) }

// nameless is one to a socket that has no cookie yet: it is told by its ports, of which the tape has none.
func (p *tape) nameless() *tape { return p.add(event.Event{Type: event.Queued}) }

// A uvloop that queues its writes sends in a context of nobody's, after the writer's task may have ended and its
// address gone to another.
func TestQueuedWrites(t *testing.T) {
	const base, mine, child, others = 0x900, 0x100, 0x110, 0x200
	p := newTape().at(0).midway(1).midway(2).known(7, 6379).known(8, 6379).
		at(1).as(base).in(1, 1, get("/a")).as(base).copied(mine).
		at(2).as(base).in(2, 2, get("/b")).as(base).copied(others).
		at(3).enter(mine).copied(child).at(4).enter(child).nameless().
		at(5).enter(others).queued(8).copied(child). // the first child has ended: its address is reborn
		at(6).as(base).ask(7, "*1\r\n$4\r\nPING\r\n").ask(8, "*1\r\n$4\r\nPING\r\n").loop().
		at(8).slept(6).as(base).answer(7, 7, "+PONG\r\n").answer(8, 7, "+PONG\r\n").
		at(9).enter(mine).queued(1).at(10).enter(others).queued(2).
		at(11).as(base).reply(1, ok).reply(2, ok)
	f, _ := play(t, p)
	if len(f.requests) != 2 || len(f.calls) != 0 {
		t.Fatalf("%d requests, %d calls of none", len(f.requests), len(f.calls))
	}
	for _, r := range f.requests {
		want := map[string]uint64{"GET /a": 7, "GET /b": 8}[r.Endpoint]
		if len(r.Calls) != 1 || r.Calls[0].Connection != want {
			t.Errorf("%s has %d calls, want one on connection %d", r.Endpoint, len(r.Calls), want)
		}
	}
}
