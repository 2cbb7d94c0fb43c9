package request

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/protocol/http2"
)

// field is a header field as a literal that is not put into the table.
func field(name, value string) string {
	return "\x00" + string(rune(len(name))) + name + string(rune(len(value))) + value
}

func asks(stream uint32, flags byte, path string) string {
	return h2(http2.Headers, http2.EndHeaders|flags, stream, "\x82\x86"+field(":path", path)+field("x-request-id", fmt.Sprint("r", stream)))
}

func replies(stream uint32, flags byte, status string) string {
	return h2(http2.Headers, http2.EndHeaders|flags, stream, field(":status", status))
}

// clientFrames are read from a client, serverFrames written to it.
func (p *tape) clientFrames(sock uint64, arrived float64, frames ...string) *tape {
	return p.frames(sock, event.Inbound, arrived, frames...)
}

func (p *tape) serverFrames(sock uint64, frames ...string) *tape {
	return p.frames(sock, event.Inbound|event.Sent, 0, frames...)
}

// marked marks the record of a frame, the last of those given, as one piece of it.
func marked(bits byte, record string) string {
	b := []byte(record)
	b[9] = bits
	return string(b)
}

func TestInboundHTTP2(t *testing.T) {
	const last = http2.EndStream
	body := func(stream uint32, flags byte, n int) string {
		return h2(http2.Data, flags, stream, strings.Repeat("x", n))
	}
	opened := func() *tape { return newTape().at(0).syn(1).at(0.5).accept(1) }
	for name, c := range map[string]struct {
		tape *tape
		want []string
	}{
		"two streams, answered in the other order": {
			opened().at(2).clientFrames(1, 1, asks(1, last, "/a"), asks(3, last, "/b?q=1")).at(4).serverFrames(1, replies(3, 0, "404")).
				at(5).serverFrames(1, body(3, last, 5), replies(1, last, "200")),
			[]string{"GET /b 404 1..5 first 4", "GET /a 200 1..5 first 5"}},
		"a body, an interim answer, trailers": {
			opened().at(2).clientFrames(1, 1, asks(1, 0, "/a")).at(3).serverFrames(1, replies(1, 0, "100")).at(4).clientFrames(1, 3.5, body(1, last, 9)).
				at(6).serverFrames(1, replies(1, 0, "200"), body(1, 0, 9)).at(7).serverFrames(1, h2(http2.Headers, http2.EndHeaders|last, 1, field("x", "y"))),
			[]string{"GET /a 200 1..7 first 6"}},
		"a frame over two writes ends with the second": {
			opened().at(2).clientFrames(1, 1, asks(1, last, "/a")).at(3).serverFrames(1, replies(1, 0, "200"), marked(4, body(1, last, 40))).
				at(5).serverFrames(1, marked(1, h2(http2.Data, last, 1, ""))),
			[]string{"GET /a 200 1..5 first 3"}},
		"cancelled by its client": {
			opened().at(2).clientFrames(1, 1, asks(1, last, "/a")).at(3).clientFrames(1, 3, h2(http2.RSTStream, 0, 1, "\x00\x00\x00\x08")),
			[]string{"GET /a 0 1..3 (its client cancelled it)"}},
		"closed before the answers": {
			opened().at(2).clientFrames(1, 1, asks(1, last, "/a"), asks(3, last, "/b")).at(3).hangUp(1),
			[]string{"GET /a 0 1..3 (the connection was closed before the response ended)", "GET /b 0 1..3 (the connection was closed before the response ended)"}},
		"joined midway: what was there before is not known": {
			newTape().at(0).midway(1).at(2).clientFrames(1, 1, h2(http2.Headers, http2.EndHeaders|last, 7, "\x82\xbe")).at(3).serverFrames(1, replies(5, last, "200"), replies(7, last, "200")),
			[]string{"GET  200 1..3 first 3 (its method or path was not seen)"}},
	} {
		f, _ := play(t, c.tape)
		var got []string
		for _, r := range f.requests {
			got = append(got, seen(r))
		}
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s:\n%q\nwant\n%q", name, got, c.want)
		}
	}
}

// A head over two reads begins with the first; its block is joined.
func TestInboundHTTP2HeadOverReads(t *testing.T) {
	whole := asks(1, http2.EndStream, "/a")
	record, payload := whole[:12], whole[12:]
	split := func(bits byte, from, to int) string {
		b := []byte(record)
		b[9], b[10] = bits, byte(to-from)
		return string(b) + payload[from:to]
	}
	f, tr := play(t, newTape().at(0).syn(1).at(0.5).accept(1).at(2).clientFrames(1, 1, split(4, 0, 7)).at(4).clientFrames(1, 3, split(1, 7, len(payload))).
		at(6).serverFrames(1, replies(1, http2.EndStream, "200")))
	if len(f.requests) != 1 || seen(f.requests[0]) != "GET /a 200 1..6 first 6" || f.requests[0].ID != "r1" {
		t.Fatalf("%+v", f.requests)
	}
	if got := f.requests[0].sum(ReceiveQueue); got != 2 {
		t.Errorf("%g ms in the receive queue, want 2: %s", got, stages(f.requests[0]))
	}
	if l := tr.Losses(); len(l) != 0 {
		t.Errorf("losses %v", l)
	}
}

// A context that the connection's own makes is the request's that is alone; of several, each is a draft until it
// answers, and no answer of its own makes it none.
func TestInboundHTTP2Contexts(t *testing.T) {
	const accepted, server, first, second = 10, 12, 20, 21 // and 13 and 14, which serve the connection
	open := func() *tape {
		return newTape().at(0).loop().syn(1).at(1).accept(1).copied(accepted).at(1.1).loop().at(1.2).enter(accepted).copied(server).loop().dial(5, 6379).dial(6, 6379)
	}
	a, b := asks(1, http2.EndStream, "/a"), asks(3, http2.EndStream, "/b")
	for name, c := range map[string]struct {
		made *tape
		want string
	}{
		"in a read each": {open().at(2).enter(server).clientFrames(1, 2, a).copied(first).copied(13).at(2.1).loop().
			at(2.15).enter(server).clientFrames(1, 2.15, b).copied(second).copied(14), "/b MGET, /a GET"},
		"in one read": {open().at(2).enter(server).clientFrames(1, 2, a, b).copied(first).copied(13).at(2.1).loop().
			at(2.15).enter(server).copied(14).copied(second), "/b MGET, /a GET"},
	} {
		p := c.made.at(2.2).loop().at(2.3).enter(first).ask(5, command("GET", "a")).at(2.4).enter(second).ask(6, command("MGET", "b")).at(2.5).loop().
			at(4).answer(6, 4, "*1\r\n"+hit).at(4.1).enter(second).serverFrames(1, replies(3, 0, "200")).at(4.2).loop().at(4.3).enter(server).serverFrames(1, h2(http2.Data, http2.EndStream, 3, "x")).
			at(5).answer(5, 5, hit).at(5.1).enter(first).serverFrames(1, replies(1, 0, "200")).at(5.2).loop().at(5.3).enter(server).serverFrames(1, h2(http2.Data, http2.EndStream, 1, "x"))
		f, tr := play(t, p)
		var got []string
		for _, r := range f.requests {
			for _, k := range r.Calls {
				got = append(got, r.Path+" "+k.Operation)
			}
			if r.sum(LoopWait) < 0.09 { // from the end of its step to the send by the connection's own
				t.Errorf("%s: %s: %s", name, r.Endpoint, stages(r))
			}
		}
		for _, c := range tr.in {
			if len(c.h2.drafts) != 0 {
				t.Errorf("%s: %d drafts are left", name, len(c.h2.drafts))
			}
		}
		if strings.Join(got, ", ") != c.want || len(tr.Losses()) != 0 {
			t.Errorf("%s: calls %q, want %q; losses %v", name, got, c.want, tr.Losses())
		}
	}
}

// What a context waited for is told when it answers, of the request's endpoint; one that never answers was no request's.
func TestDrafts(t *testing.T) {
	const accepted, server, first, second, other = 10, 12, 20, 21, 22
	f, tr := play(t, newTape().at(0).loop().syn(1).at(1).accept(1).copied(accepted).at(1.1).loop().at(1.2).enter(accepted).copied(server).loop().dial(5, 6379).
		at(2).enter(server).clientFrames(1, 2, asks(1, http2.EndStream, "/a"), asks(3, http2.EndStream, "/b")).copied(first).copied(second).copied(other).at(2.1).loop().
		at(2.2).enter(first).ask(5, command("GET", "a")).at(2.3).enter(second).at(2.4).loop().
		at(9).slept(2.5).answer(5, 9, hit).at(9.1).enter(first).at(9.2).enter(second).ask(5, command("GET", "b")).at(9.3).loop().
		at(10).slept(9.4).answer(5, 10, hit).at(10.1).enter(other).ask(5, command("GET", "c")).at(10.2).loop().
		at(11).slept(10.3).answer(5, 11, hit).at(11.1).enter(second).serverFrames(1, replies(3, http2.EndStream, "200")).at(11.2).enter(first).serverFrames(1, replies(1, http2.EndStream, "200")))
	var got []string
	for _, k := range f.connections {
		if k.Change == Waited {
			got = append(got, fmt.Sprintf("%s waited %.1f", k.Endpoint, float64(k.End-k.Time)/1e6))
		}
	}
	for _, r := range f.requests {
		got = append(got, fmt.Sprintf("%s unexplained %.1f", r.Endpoint, r.sum(Unexplained)))
		for _, k := range r.Calls {
			got = append(got, k.Endpoint+" "+k.Operation)
		}
	}
	if want := "GET /b waited 6.8, GET /b unexplained 0.0, GET /b GET, GET /a unexplained 2.0, GET /a GET"; strings.Join(got, ", ") != want {
		t.Errorf("%q, want %q", got, want)
	}
	if len(f.calls) != 1 || f.calls[0].Endpoint != "" || tr.Orphans() != 1 {
		t.Errorf("calls of no request %+v, %d orphans", f.calls, tr.Orphans())
	}
}

// A request that waits for its answer on HTTP/1 is given up when frames come, and does not keep its connection from ending.
func TestFramesAfterHTTP1(t *testing.T) {
	f, tr := play(t, newTape().at(0.1).loop().midway(1).at(1).enter(10).in(1, 1, get("/a")).at(2).clientFrames(1, 2, asks(1, http2.EndStream, "/b")).
		at(3).serverFrames(1, replies(1, http2.EndStream, "200")).at(4).in(1, 4, get("/c")).at(5).hangUp(1))
	var got []string
	for _, r := range f.requests {
		got = append(got, fmt.Sprint(r.Path, " ", r.Status, " ", len(r.Missing)))
	}
	if s := strings.Join(got, ", "); s != "/a 0 1, /b 200 0, /c 0 1" {
		t.Errorf("requests %s", s)
	}
	for e, n := range tr.Active() {
		if n != 0 {
			t.Errorf("%d requests of %s are under way", n, e)
		}
	}
}
