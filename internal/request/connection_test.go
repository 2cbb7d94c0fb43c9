package request

import (
	"strings"
	"testing"
)

// A head that is read in pieces begins with its first byte; each piece waited in the socket, and what
// the client kept back is nobody's.
func TestHeadInPieces(t *testing.T) {
	head := get("/a")
	p := newTape().at(0.5).syn(1).at(1).accept(1).at(3).in(1, 2, head[:5]).at(6).in(1, 0, head[5:9]).at(9).in(1, 8, head[9:]).at(10).reply(1, ok).
		at(20).in(1, 19, get("/b")).at(21).reply(1, ok)
	f, _ := play(t, p)
	if len(f.requests) != 2 {
		t.Fatalf("%d requests, want 2", len(f.requests))
	}
	a, b := f.requests[0], f.requests[1]
	if got := seen(a); got != "GET /a 200 2..10 first 10" {
		t.Error(got)
	}
	// 3..6: the rest was there when the first piece was read, the kernel told no new arrival.
	if got := a.sum(ReceiveQueue); got != 1+3+1 {
		t.Errorf("%g ms in the receive queue, want 5", got)
	}
	if a.BytesIn != int64(len(head)) {
		t.Errorf("%d bytes read, want %d", a.BytesIn, len(head))
	}
	if got := seen(b); got != "GET /b 200 19..21 first 21" {
		t.Error(got)
	}
}

// On loopback the client's reset arrives within the send that it answers, and is told before it.
func TestCloseBeforeTheSendThatMadeIt(t *testing.T) {
	f, tr := play(t, newTape().at(0).syn(1).at(1).accept(1).at(2).in(1, 2, get("/a")).at(5).hangUp(1).at(5.01).reply(1, ok).
		at(6).syn(2).at(7).accept(2).at(8).in(2, 8, get("/b")).at(9).hangUp(2).at(20).syn(3))
	var got []string
	for _, r := range f.requests {
		got = append(got, seen(r))
	}
	want := "GET /a 200 2..5.01 first 5.01; GET /b 0 8..9 (the connection was closed before the response ended)"
	if strings.Join(got, "; ") != want {
		t.Errorf("%q, want %q", got, want)
	}
	if l := tr.Losses(); len(l) != 0 {
		t.Errorf("losses %v", l)
	}
}

// A server that serves a connection in one context of the connection's (aiohttp.web), or makes a
// context for each request long after the read (hypercorn): all descend from the one that was made
// when accept returned.
func TestContextsOfAConnection(t *testing.T) {
	const accepted, reader, server, first, second = 10, 11, 12, 20, 21
	open := func() *tape {
		return newTape().at(0).loop().syn(1).at(1).accept(1).copied(accepted).at(1.1).loop().
			at(1.2).enter(accepted).copied(reader).copied(server).loop()
	}
	ask := func(p *tape, at float64, path string) *tape { // read in one turn, served in the next
		return p.at(at).enter(reader).in(1, at, get(path)).at(at + 0.1).loop().at(at + 0.2).enter(server)
	}
	for name, p := range map[string]*tape{
		"one context for all its requests": func() *tape {
			p := ask(open(), 2, "/a").at(2.3).dial(5, 6379).at(2.4).ask(5, command("GET", "a")).at(2.5).loop().
				at(4).answer(5, 3, hit).at(4.1).enter(server).at(4.2).reply(1, ok).at(4.3).loop()
			return ask(p, 6, "/b").at(6.4).ask(5, command("GET", "b")).at(6.5).loop().at(8).answer(5, 7, hit).at(8.1).enter(server).at(8.2).reply(1, ok)
		}(),
		"a context for each request": func() *tape {
			p := ask(open(), 2, "/a").copied(first).at(2.3).loop().at(2.35).enter(first).dial(5, 6379).at(2.4).ask(5, command("GET", "a")).at(2.5).loop().
				at(4).answer(5, 3, hit).at(4.1).enter(first).at(4.2).reply(1, ok).at(4.3).loop()
			return ask(p, 6, "/b").copied(second).at(6.3).loop().at(6.35).enter(second).at(6.4).ask(5, command("GET", "b")).at(6.5).loop().
				at(8).answer(5, 7, hit).at(8.1).enter(second).at(8.2).reply(1, ok)
		}(),
	} {
		f, _ := play(t, p)
		if len(f.requests) != 2 {
			t.Fatalf("%s: %d requests, want 2", name, len(f.requests))
		}
		for _, r := range f.requests {
			if len(r.Calls) != 1 || r.Calls[0].Operation != "GET" {
				t.Errorf("%s: %s has calls %v, want its GET", name, r.Endpoint, r.Calls)
			}
			if r.sum(Unexplained) > 0.11 { // between two entries of a context nothing is known to run
				t.Errorf("%s: %s: %s", name, r.Endpoint, stages(r))
			}
		}
	}
}

// Not every server makes a context when it accepts: the next one is another request's then.
func TestAcceptWithoutContext(t *testing.T) {
	f, _ := play(t, newTape().at(0).loop().midway(1).at(1).enter(10).in(1, 1, get("/a")).copied(20).at(1.1).loop().
		syn(2).at(2).accept(2).at(2.1).enter(20).copied(21).at(2.2).loop().at(2.3).enter(21).dial(5, 6379).ask(5, command("GET", "a")).at(2.4).loop().
		at(3).enter(11).in(2, 3, get("/b")).copied(30).at(3.1).loop().
		at(4).answer(5, 4, hit).at(4.1).enter(21).at(4.2).loop().at(4.3).enter(20).reply(1, ok).at(4.4).enter(30).reply(2, ok))
	if len(f.requests) != 2 || len(f.requests[0].Calls) != 1 || len(f.requests[1].Calls) != 0 {
		t.Errorf("%d requests; want the first to have the call", len(f.requests))
	}
}

// Of a connection that was open before, the context that answers is learned, but not one of the
// event loop's own that answers on several.
func TestContextLearnedFromAnswers(t *testing.T) {
	turn := func(p *tape, sock uint64, at float64, by uint64) *tape {
		return p.at(at).enter(99).in(sock, at, get("/a")).at(at+0.1).loop().at(at+0.2).enter(by).at(at+0.4).ask(5, command("GET", "a")).loop().
			at(at+1).answer(5, at+0.9, hit).at(at+1.1).enter(by).at(at+1.2).reply(sock, ok).at(at + 1.3).loop()
	}
	calls := func(p *tape) (n []int) {
		f, _ := play(t, p)
		for _, r := range f.requests {
			n = append(n, len(r.Calls))
		}
		return n
	}
	own := newTape().at(0).loop().midway(1).known(5, 6379)
	for i := range 4 {
		own = turn(own, 1, float64(2+2*i), 30)
	}
	if got := calls(own); len(got) != 4 || got[2] != 1 || got[3] != 1 {
		t.Errorf("calls by request %v, want one from the third on", got)
	}
	shared := newTape().at(0).loop().midway(1).midway(2).known(5, 6379)
	for i := range 6 {
		shared = turn(shared, uint64(1+i%2), float64(2+2*i), 30)
	}
	for i, n := range calls(shared) {
		if n != 0 {
			t.Errorf("request %d has a call of a context that answers on two connections", i)
		}
	}
}
