package request

import (
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// part writes bytes to a client, of more that the call offered.
func (p *tape) part(sock uint64, text string) *tape {
	p.reply(sock, text)
	p.events[len(p.events)-1].Flags |= event.Short
	return p
}

// refused is a send that the full socket took nothing of.
func (p *tape) refused(sock uint64) *tape {
	return p.add(event.Event{Type: event.Send, Flags: event.Inbound | event.Short, Sock: sock})
}

const hundred = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"

// served is a request whose handler begins at 1 ms, in context 0xa.
func served() *tape {
	return newTape().at(0).midway(1).loop().at(1).in(1, 1, get("/big")).copied(0xa).enter(0xa)
}

func TestSend(t *testing.T) {
	body := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name, want string
		tape       *tape
	}{
		{"taken at once", "on_cpu 1", served().at(2).reply(1, hundred+body(100))},
		{"the rest is taken later",
			"on_cpu 1, send 8", served().at(2).part(1, hundred+body(40)).loop().at(10).slept(2.1).reply(1, body(60))},
		{"in three parts, then nothing fits, then the rest",
			"on_cpu 1, send 8", served().at(2).part(1, hundred+body(40)).loop().at(5).slept(2.1).part(1, body(10)).at(7).refused(1).loop().at(10).reply(1, body(50))},
		{"the loop is told, and has no CPU",
			"on_cpu 1, send 3, loop_wait 5", served().at(2).part(1, hundred+body(40)).loop().at(9).off(2.1, 5, event.Epoll).at(10).reply(1, body(60))},
		{"the loop is told, and runs other callbacks first",
			"on_cpu 1, send 4, loop_wait 4", served().at(2).part(1, hundred+body(40)).loop().at(6).loop().at(10).reply(1, body(60))},
		{"the loop goes on with something else, and the client has made no room",
			"on_cpu 1, send 8", served().at(2).part(1, hundred+body(40)).loop().at(6).loop().at(7).refused(1).at(8).refused(1).loop().at(10).slept(8.1).reply(1, body(60))},
		{"the handler goes on computing meanwhile",
			"on_cpu 3, send 6", served().at(2).part(1, hundred+body(40)).at(4).loop().at(10).slept(4).reply(1, body(60))},
		{"a drained handler is run in the loop's next turn",
			"on_cpu 1, send 3, loop_wait 2, on_cpu 1",
			served().at(2).part(1, hundred+body(20)).loop().at(5).slept(2).reply(1, body(30)).at(6).loop().at(7).enter(0xa).at(8).reply(1, body(50))},
		{"a handler that sleeps has not waited for the loop",
			"on_cpu 1, send 3, unexplained 5, on_cpu 1",
			served().at(2).part(1, hundred+body(20)).loop().at(5).slept(2).reply(1, body(30)).loop().at(9).slept(5).loop().at(10).slept(9).enter(0xa).at(11).reply(1, body(50))},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, tr := play(t, c.tape)
			if len(f.requests) != 1 {
				t.Fatalf("%d requests", len(f.requests))
			}
			if got := stages(f.requests[0]); got != c.want {
				t.Errorf("stages %s, want %s", got, c.want)
			}
			if n := tr.Losses(); len(n) > 0 {
				t.Errorf("losses %v", n)
			}
		})
	}
}

// A worker thread sleeps in the call that sends.
func TestSendBlocks(t *testing.T) {
	p := newTape().at(0).midway(1).at(1).in(1, 1, get("/big")).
		at(10).off(2, 9, event.Sending).reply(1, hundred+strings.Repeat("x", 100))
	f, _ := play(t, p)
	if got := stages(f.requests[0]); got != "on_cpu 1, send 7, run_queue 1" {
		t.Errorf("stages %s", got)
	}
	p = newTape().at(0).midway(1).known(2, 6379).at(1).in(1, 1, get("/big")).
		at(10).off(2, 9, event.Sending).ask(2, command("GET", "a")).at(12).answer(2, 12, hit).at(13).reply(1, ok)
	f, _ = play(t, p)
	if got := f.requests[0].sum(Send); got != 0 {
		t.Errorf("%g ms of send: a peer was slow, not the client; stages %s", got, stages(f.requests[0]))
	}
}

// The next request of the connection does not inherit the wait.
func TestSendEndsWithItsRequest(t *testing.T) {
	p := served().at(2).part(1, hundred+strings.Repeat("x", 100)).loop().slept(2).
		at(5).in(1, 5, get("/next")).copied(0xb).enter(0xb).at(6).reply(1, ok)
	f, _ := play(t, p)
	if len(f.requests) != 2 || f.requests[1].sum(Send) != 0 {
		t.Errorf("stages %s", stages(f.requests[len(f.requests)-1]))
	}
}

func TestExact(t *testing.T) {
	span := func(from, to int64) Span { return Span{Stage: OnCPU, Start: from, End: to} }
	for _, c := range []struct {
		name        string
		spans       []Span
		start, last int64
		want        bool
	}{
		{"none, no time", nil, 5, 5, true},
		{"one", []Span{span(5, 9)}, 5, 9, true},
		{"two", []Span{span(5, 7), span(7, 9)}, 5, 9, true},
		{"none", nil, 5, 9, false},
		{"a gap", []Span{span(5, 6), span(7, 9)}, 5, 9, false},
		{"an overlap", []Span{span(5, 8), span(7, 9)}, 5, 9, false},
		{"too short", []Span{span(5, 8)}, 5, 9, false},
		{"too long", []Span{span(5, 10)}, 5, 9, false},
		{"before", []Span{span(4, 9)}, 5, 9, false},
		{"without time", []Span{span(5, 5), span(5, 9)}, 5, 9, false},
		{"backwards", []Span{span(5, 4), span(4, 9)}, 5, 9, false},
	} {
		if got := exact(c.spans, c.start, c.last); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
