package request

import (
	"slices"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// cipher is a transfer of n bytes of a TLS connection.
func (p *tape) cipher(sock uint64, flags event.Flags, n int) *tape {
	return p.add(event.Event{Type: event.Cipher, Flags: flags, Sock: sock, Len: uint32(n)})
}

// plain makes the newest event one of a TLS library.
func (p *tape) plain() *tape {
	p.events[len(p.events)-1].Flags |= event.TLS
	return p
}

const toServer, toClient = event.Inbound, event.Inbound | event.Sent // of a connection that the target accepted

// greeted is an inbound connection whose handshake is over.
func greeted() *tape {
	return newTape().at(0).syn(1).accept(1).at(1).cipher(1, toServer, 1500).cipher(1, toClient, 1300).at(2).cipher(1, toServer, 80).cipher(1, toClient, 500)
}

func TestTLSServer(t *testing.T) {
	long := "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + strings.Repeat("x", 40000)
	for _, c := range []struct {
		name, want string
		tape       *tape
	}{
		{"the handshake is no request, the answer leaves with its ciphertext",
			"receive_queue 1, on_cpu 4",
			greeted().at(11).in(1, 10, get("/")).plain().at(14).reply(1, ok).plain().at(15).cipher(1, toClient, len(ok)+22)},
		{"two writes in one transfer",
			"receive_queue 1, on_cpu 6",
			greeted().at(11).in(1, 10, get("/")).plain().at(14).reply(1, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").plain().at(16).reply(1, "{  }").plain().at(17).cipher(1, toClient, 38+4+44)},
		{"an answer of several records has left with the last one",
			"receive_queue 1, on_cpu 9",
			greeted().at(11).in(1, 10, get("/")).plain().at(14).reply(1, long).plain().at(15).cipher(1, toClient, 16406).at(17).cipher(1, toClient, 16406).at(20).cipher(1, toClient, 7338)},
		{"a slow client",
			"receive_queue 1, on_cpu 4, send 5",
			greeted().at(11).in(1, 10, get("/")).plain().at(14).reply(1, long).plain().at(15).cipher(1, toClient|event.Short, 30000).loop().slept(15).at(20).cipher(1, toClient, 10150)},
		{"the farewell after the end",
			"receive_queue 1, on_cpu 4",
			greeted().at(11).in(1, 10, get("/")).plain().at(15).reply(1, ok).plain().cipher(1, toClient, len(ok)+22).at(16).hangUp(1).cipher(1, toClient, 24)},
		{"the transfer is not seen before the end",
			"receive_queue 1, on_cpu 4",
			greeted().at(11).in(1, 10, get("/")).plain().at(15).reply(1, ok).plain().at(20).hangUp(1)},
		{"ciphertext of a connection joined midway was taken for a request",
			"receive_queue 1, on_cpu 4",
			newTape().at(0).midway(1).at(1).in(1, 1, "\x9d\x01 no header of a record").at(11).in(1, 10, get("/")).plain().at(15).reply(1, ok).plain().cipher(1, toClient, len(ok)+22)},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, tr := play(t, c.tape)
			if len(f.requests) != 1 {
				t.Fatalf("%d requests, losses %v", len(f.requests), tr.Losses())
			}
			if r := f.requests[0]; r.Status != 200 || stages(r) != c.want {
				t.Errorf("status %d, stages %s, want %s", r.Status, stages(r), c.want)
			}
			if n := tr.Losses(); len(n) > 0 {
				t.Errorf("losses %v", n)
			}
		})
	}
}

func TestTLSClient(t *testing.T) {
	const asked, answered = "GET /v1/models HTTP/1.1\r\nHost: api.openai.com\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
	p := newTape().at(0).midway(1).loop().at(1).in(1, 1, get("/")).copied(0xa).enter(0xa)
	p.at(2).dial(9, 443).loop().slept(2).at(4).as(0xa).cipher(9, event.Sent, 517).loop().slept(4).at(7).as(0xa).cipher(9, 0, 2900)
	p.at(8).cipher(9, event.Sent, 80).ask(9, asked).plain().loop().at(9).as(0xa).cipher(9, event.Sent, len(asked)+22)
	p.loop().slept(9).at(20).as(0xa).answer(9, 18, answered).plain().at(21).reply(1, ok)
	f, tr := play(t, p)
	if len(f.requests) != 1 || len(f.requests[0].Calls) != 1 {
		t.Fatalf("%d requests, losses %v", len(f.requests), tr.Losses())
	}
	r := f.requests[0]
	k := r.Calls[0]
	if k.Sent != ms(9) || k.FirstArrived != ms(18) || k.Connect != ms(7) || k.Error != "" {
		t.Errorf("call sent at %d, answered at %d, connected in %d ns, error %q", k.Sent, k.FirstArrived, k.Connect, k.Error)
	}
	if r.sum(Upstream) != 9 {
		t.Errorf("stages %s, want 9 ms upstream", stages(r))
	}
	i := slices.IndexFunc(f.connections, func(k Connection) bool { return k.Change == Opened })
	if i < 0 || f.connections[i].Made.TLS != ms(3) {
		t.Errorf("connections %+v, want one made with 3 ms of TLS", f.connections)
	}
}

// TestTLSUnread holds that what could not be read is counted, and what could is not.
func TestTLSUnread(t *testing.T) {
	exchanges := func(p *tape, n int) *tape {
		for i := range n {
			p.at(float64(10+i)).cipher(1, toServer, 300).cipher(1, toClient, 400)
		}
		return p
	}
	for _, c := range []struct {
		name string
		want uint64
		tape *tape
	}{
		{"handshake and farewell", 1, greeted().at(9).hangUp(1)}, // the end of the handshake might have had a request with it
		{"three exchanges, still open", 2, exchanges(greeted(), 3)},
		{"three exchanges", 4, exchanges(greeted(), 3).at(20).hangUp(1)},
		{"three exchanges, joined midway", 3, exchanges(newTape().at(0).midway(1), 3).at(20).hangUp(1)},
		{"a connection that was never used, beside one that is read", 0,
			greeted().in(1, 9, get("/")).plain().at(10).syn(2).cipher(2, toServer, 1500).cipher(2, toClient, 1300).cipher(2, toServer, 80).cipher(2, toClient, 500).at(11).cipher(2, toServer, 24).hangUp(2)},
		{"read after all", 0, exchanges(greeted(), 1).in(1, 9, get("/")).plain()},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, tr := play(t, c.tape)
			var got uint64
			for _, l := range tr.Losses() {
				if l.Reason == unread {
					got += l.Count
				}
			}
			if got != c.want {
				t.Errorf("%d exchanges counted as unread, want %d: %v", got, c.want, tr.Losses())
			}
		})
	}
}

// TestTLSHeldIsBounded holds that writes whose transfer never comes neither pile up nor are kept from the heart.
func TestTLSHeldIsBounded(t *testing.T) {
	p := greeted().at(11).in(1, 10, get("/")).plain()
	p.at(12).reply(1, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").plain()
	for i := range 1000 {
		p.at(13+float64(i)).reply(1, "x").plain()
	}
	f, tr := play(t, p)
	if n := len(tr.secured[1].held); n > maxHeld {
		t.Errorf("%d writes are held", n)
	}
	tr.Lost(ms(2000), ms(2001))
	if len(f.requests) != 1 || len(tr.secured[1].held) > 0 {
		t.Errorf("%d requests, %d writes held after a loss", len(f.requests), len(tr.secured[1].held))
	}
}
