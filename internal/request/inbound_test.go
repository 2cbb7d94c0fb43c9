package request

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// seen writes what a request became: "GET /a 200 1..7 first 5" with times in ms.
func seen(r *Request) string {
	out := fmt.Sprintf("%s %d %g..%g", r.Endpoint, r.Status, float64(r.Start)/1e6, float64(r.Last)/1e6)
	if r.First != 0 {
		out += fmt.Sprintf(" first %g", float64(r.First)/1e6)
	}
	if r.FirstToken != 0 {
		out += fmt.Sprintf(" token %g", float64(r.FirstToken)/1e6)
	}
	if r.Upgrade {
		out += " upgrade"
	}
	if len(r.Missing) > 0 {
		out += " (" + strings.Join(r.Missing, "; ") + ")"
	}
	return out
}

func TestInbound(t *testing.T) {
	const closed = " (the connection was closed before the response ended)"
	tests := map[string]struct {
		tape *tape
		want []string
		lost string // a word of the only loss
	}{
		"one request": {
			newTape().at(0).syn(1).at(0.5).accept(1).at(2).in(1, 1, get("/a?q=1")).at(5).reply(1, ok).at(6).hangUp(1),
			[]string{"GET /a 200 1..5 first 5"}, ""},
		"bytes were there before accept": {
			newTape().at(0.5).syn(1).at(3).accept(1).at(4).in(1, 1, get("/a")).at(5).reply(1, ok),
			[]string{"GET /a 200 0.5..5 first 5"}, ""},
		"keep-alive: the second has its own beginning": {
			newTape().at(0.5).syn(1).at(3).accept(1).at(4).in(1, 1, get("/a")).at(5).reply(1, ok).
				at(12).in(1, 11, get("/b")).at(15).reply(1, ok),
			[]string{"GET /a 200 0.5..5 first 5", "GET /b 200 11..15 first 15"}, ""},
		"two requests in one read, two answers": {
			newTape().at(0).syn(1).at(1).accept(1).at(2).in(1, 2, get("/a")+get("/b")).at(5).reply(1, ok).at(9).reply(1, ok),
			[]string{"GET /a 200 2..5 first 5", "GET /b 200 2..9 first 9"}, ""},
		"two requests, both answers in one write": {
			newTape().at(0).syn(1).at(1).accept(1).at(2).in(1, 2, get("/a")+get("/b")).at(5).reply(1, ok+ok),
			[]string{"GET /a 200 2..5 first 5", "GET /b 200 2..5 first 5"}, ""},
		"pipelined HEAD behind a GET": {
			newTape().at(0).syn(1).at(1).accept(1).at(2).in(1, 2, get("/a")+"HEAD /b HTTP/1.1\r\n\r\n").
				at(5).reply(1, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").at(6).reply(1, "ok").
				at(9).reply(1, "HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n").at(12).in(1, 12, get("/c")).at(13).reply(1, ok),
			[]string{"GET /a 200 2..6 first 5", "HEAD /b 200 2..9 first 9", "GET /c 200 12..13 first 13"}, ""},
		"a response in pieces": {
			newTape().midway(1).at(2).in(1, 1, get("/a")).at(3).reply(1, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").
				at(4).reply(1, "12345").at(7).reply(1, "67890"),
			[]string{"GET /a 200 1..7 first 3"}, ""},
		"chunked": {
			newTape().midway(1).at(2).in(1, 1, get("/a")).at(3).reply(1, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").
				at(4).reply(1, "3\r\nabc\r\n").at(6).reply(1, "0\r\n\r\n").at(8).in(1, 8, get("/b")).at(9).reply(1, ok),
			[]string{"GET /a 200 1..6 first 3", "GET /b 200 8..9 first 9"}, ""},
		"event stream: the first token, not the first event": {
			newTape().midway(1).at(2).in(1, 1, get("/s")).
				at(3).reply(1, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").
				at(4).reply(1, "1b\r\ndata: {\"type\":\"metadata\"}\n\n\r\n").
				at(6).reply(1, "2f\r\ndata: {\"type\":\"token\",\"data\":{\"content\":\"x\"}}\n\n\r\n").
				at(9).reply(1, "0\r\n\r\n"),
			[]string{"GET /s 200 1..9 first 3 token 6"}, ""},
		"100-continue is not the response": {
			newTape().midway(1).at(2).in(1, 1, "POST /p HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n").
				at(3).reply(1, "HTTP/1.1 100 Continue\r\n\r\n").at(5).in(1, 4, "abc").
				at(7).reply(1, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
			[]string{"POST /p 201 1..7 first 7"}, ""},
		"HEAD has no body": {
			newTape().midway(1).at(2).in(1, 1, "HEAD /a HTTP/1.1\r\n\r\n").at(3).reply(1, "HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n").
				at(5).in(1, 4, get("/b")).at(6).reply(1, ok),
			[]string{"HEAD /a 200 1..3 first 3", "GET /b 200 4..6 first 6"}, ""},
		"the client leaves before the answer": {
			newTape().midway(1).at(2).in(1, 1, get("/a")).at(5).hangUp(1), []string{"GET /a 0 1..5" + closed}, ""},
		"the client leaves in the middle of the answer": {
			newTape().midway(1).at(2).in(1, 1, get("/a")).at(3).reply(1, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12").at(5).hangUp(1),
			[]string{"GET /a 200 1..3 first 3" + closed}, ""},
		"HTTP/1.0: closing ends the body": {
			newTape().midway(1).at(2).in(1, 1, "GET /a HTTP/1.0\r\n\r\n").at(3).reply(1, "HTTP/1.0 200 OK\r\n\r\nhello").at(4).reply(1, "more").at(5).hangUp(1),
			[]string{"GET /a 200 1..4 first 3"}, ""},
		"our own question does not count": {
			newTape().midway(1).at(2).in(1, 1, "GET /openapi.json HTTP/1.1\r\nUser-Agent: ragscope-agent\r\n\r\n").at(3).reply(1, ok).at(4).hangUp(1), nil, ""},
		"an upgrade counts, then it is left alone": {
			newTape().midway(1).at(2).in(1, 1, "GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").
				at(3).reply(1, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n").
				at(4).in(1, 4, "\x81\x85abcdhello").at(5).reply(1, "\x81\x02hi").at(6).hangUp(1),
			[]string{"GET /ws 101 1..3 first 3 upgrade"}, ""},
		"HTTP/2 is not followed, and said so": {
			newTape().midway(1).at(2).in(1, 1, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").at(3).reply(1, "\x00\x00\x00\x04\x00\x00\x00\x00\x00").at(4).hangUp(1), nil, "HTTP/2"},
		"joined in the middle of an answer": {
			newTape().midway(1).at(2).reply(1, "end of something\r\n").at(5).in(1, 4, get("/b")).at(6).reply(1, ok),
			[]string{"GET /b 200 4..6 first 6"}, "midway"},
		"no beginning of the connection was seen": {
			newTape().at(5).in(1, 4, get("/b")).at(6).reply(1, ok), []string{"GET /b 200 4..6 first 6"}, ""},
		"arrival not told": {
			newTape().syn(1).at(1).accept(1).at(5).in(1, 0, get("/b")).at(6).reply(1, ok),
			[]string{"GET /b 200 5..6 first 6 (arrival not seen: it was read together with what came before)"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, tr := play(t, tt.tape)
			var got []string
			for _, r := range f.requests {
				got = append(got, seen(r))
			}
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("requests\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(tt.want, "\n  "))
			}
			switch losses := tr.Losses(); {
			case tt.lost == "" && len(losses) > 0:
				t.Errorf("losses %v", losses)
			case tt.lost != "" && !slices.ContainsFunc(losses, func(l Loss) bool { return strings.Contains(l.Reason, tt.lost) }):
				t.Errorf("losses %v, want one of %q", losses, tt.lost)
			}
			for e, n := range tr.Active() {
				if n != 0 {
					t.Errorf("%d requests of %s still count as under way", n, e)
				}
			}
		})
	}
}

func TestInboundFacts(t *testing.T) {
	body := strings.Repeat("x", 3000)
	f, _ := play(t, newTape().syn(1).at(1).accept(1).at(3).
		in(1, 2, "POST /p?secret=1 HTTP/1.1\r\nX-Request-Id: abc\r\ntraceparent: 00-1-2-01\r\nContent-Length: 3000\r\n\r\n").
		at(6).in(1, 5, body).at(8).reply(1, "HTTP/1.1 404 Not Found\r\nContent-Length: 3000\r\n\r\n"+body))
	if len(f.requests) != 1 {
		t.Fatalf("%d requests", len(f.requests))
	}
	r := f.requests[0]
	if r.ID != "abc" || r.Method != "POST" || r.Path != "/p" || r.Status != 404 || r.PID != apiPID {
		t.Errorf("got %+v", r)
	}
	if r.BytesIn < 3000 || r.BytesOut < 3000 || r.Read != ms(3) || r.Arrive != ms(2) {
		t.Errorf("in %d out %d, arrive %d read %d", r.BytesIn, r.BytesOut, r.Arrive, r.Read)
	}
	if got := r.sum(ReceiveQueue); got != 2 {
		t.Errorf("receive_queue %g ms, want 2: one for the head, one for the body", got)
	}
	f, _ = play(t, newTape().midway(1).at(3).in(1, 2, "GET / HTTP/1.1\r\ntraceparent: 00-1-2-01\r\n\r\n").at(4).reply(1, ok))
	if f.requests[0].ID != "00-1-2-01" {
		t.Errorf("id %q: traceparent stands in where there is no x-request-id", f.requests[0].ID)
	}
}

func TestInboundStages(t *testing.T) {
	tests := map[string]struct {
		tape *tape
		want string
	}{
		"accept queue, then receive queue, then the loop's own work": {
			newTape().loop().at(1).syn(1).at(3).slept(0.5).enter(1).accept(1).copied(2).at(3.5).loop().
				at(4).enter(2).in(1, 1.5, get("/a")).copied(3).at(4.5).enter(3).at(6).reply(1, ok).at(7).loop(),
			"accept_queue 2, receive_queue 1, on_cpu 2"},
		"off the CPU": {
			newTape().loop().midway(1).at(1).enter(2).in(1, 1, get("/a")).copied(3).at(2).enter(3).
				at(5).off(3, 0, event.Preempted).at(9).off(6, 8, event.GIL).at(13).off(10, 12, 0).at(14).reply(1, ok),
			"on_cpu 2, run_queue 2, on_cpu 1, gil_wait 2, run_queue 1, on_cpu 1, blocked 2, run_queue 1, on_cpu 1"},
		"another request has the loop while this one could go on": {
			newTape().loop().midway(1).midway(9).known(5, 6379).at(0).enter(2).in(1, 0, get("/a")).copied(3).at(0.5).enter(3).
				at(1).ask(5, command("GET", "k")).at(2).loop().at(3).slept(2).
				at(4).enter(8).in(9, 3, get("/b")).copied(30).enter(30).at(9).reply(9, ok).loop().
				at(10).enter(4).answer(5, 5, hit).at(11).enter(3).at(12).reply(1, ok),
			"on_cpu 2, upstream redis 3, loop_wait 5, on_cpu 2"},
		"it yields to the loop": {
			newTape().loop().midway(1).at(0).enter(2).in(1, 0, get("/a")).copied(3).at(1).enter(3).at(2).loop().at(2).enter(7).at(6).enter(3).at(7).reply(1, ok),
			"on_cpu 2, loop_wait 4, on_cpu 1"},
		"it sleeps": {
			newTape().loop().midway(1).at(0).enter(2).in(1, 0, get("/a")).copied(3).at(1).enter(3).copied(4).at(2).loop().
				at(22).slept(2).enter(4).at(22).loop().enter(3).at(23).reply(1, ok),
			"on_cpu 2, unexplained 20, on_cpu 1"},
		"answered while a call is still out": {
			newTape().loop().midway(1).known(5, 6379).at(0).enter(2).in(1, 0, get("/a")).copied(3).at(0).enter(3).at(1).ask(5, command("GET", "k")).at(2).loop().
				at(9).slept(2).enter(4).enter(3).at(10).reply(1, ok),
			"on_cpu 2, upstream redis 7, on_cpu 1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, _ := play(t, tt.tape)
			if len(f.requests) == 0 {
				t.Fatal("no request")
			}
			r := f.requests[len(f.requests)-1]
			if got := stages(r); got != tt.want {
				t.Errorf("stages %s\nwant   %s", got, tt.want)
			}
			if got := int64(r.sum(OnCPU) * 1e6); r.CPU != got {
				t.Errorf("CPU %d ns, on_cpu %d", r.CPU, got)
			}
			if off := int64((r.sum(RunQueue) + r.sum(GILWait) + r.sum(Blocked)) * 1e6); r.OffCPU != off {
				t.Errorf("OffCPU %d ns, its stages %d", r.OffCPU, off)
			}
		})
	}
}

// What a server does for the first of two pipelined requests belongs to the first.
func TestPipelinedContexts(t *testing.T) {
	f, _ := play(t, newTape().loop().midway(1).known(5, 6379).
		at(1).enter(2).in(1, 1, get("/a")+get("/b")).copied(3).
		at(2).enter(3).ask(5, command("GET", "k")).at(3).loop().at(5).enter(4).answer(5, 5, hit).
		at(6).enter(3).reply(1, ok).copied(6). // the first one's context starts the second
		at(7).enter(6).ask(5, command("INCR", "k")).at(8).loop().at(9).enter(4).answer(5, 9, ":1\r\n").at(10).enter(6).reply(1, ok))
	if len(f.requests) != 2 {
		t.Fatalf("%d requests", len(f.requests))
	}
	for i, want := range []string{"GET", "INCR"} {
		r := f.requests[i]
		if len(r.Calls) != 1 || r.Calls[0].Operation != want {
			t.Errorf("%s has calls %v, want %s", r.Endpoint, operations(r), want)
		}
	}
}

func operations(r *Request) (out []string) {
	for _, k := range r.Calls {
		out = append(out, k.Operation)
	}
	return out
}

// An address without a known birth says nothing about the request that it served before.
func TestUnbornContextIsNotTrusted(t *testing.T) {
	p := newTape().midway(1).midway(2).known(5, 6379)
	p.ctx = 77
	p.at(1).in(1, 1, get("/a")).at(2).reply(1, ok).
		at(3).in(2, 3, get("/b")).at(4).ask(5, command("GET", "k")).at(5).answer(5, 5, hit).at(6).reply(2, ok)
	f, _ := play(t, p)
	if len(f.requests) != 2 {
		t.Fatalf("%d requests", len(f.requests))
	}
	if len(f.requests[0].Calls) > 0 {
		t.Errorf("the first request has the second one's call")
	}
	for _, k := range f.calls {
		if k.Endpoint == "GET /a" {
			t.Errorf("a call of GET /b is credited to GET /a, by %q", k.Basis)
		}
	}
}

func TestGone(t *testing.T) {
	p := newTape().loop().midway(1).midway(2).known(5, 6379).at(1).enter(9).in(1, 1, get("/a")).copied(3).enter(3).ask(5, command("GET", "k")).loop()
	f, tr := play(t, p)
	tr.Gone(apiPID, ms(7))
	if len(f.requests) != 1 || len(f.requests[0].Missing) == 0 || f.requests[0].Last != ms(7) {
		t.Fatalf("requests %+v: the open one ends with its process, marked", f.requests)
	}
	whole(t, f.requests[0])
	if len(f.calls) != 1 || f.calls[0].Error == "" {
		t.Errorf("calls %+v: the one under way ends with an error", f.calls)
	}
	if n := len(tr.in) + len(tr.out) + len(tr.threads) + len(tr.pools) + len(tr.grpc); n != 0 {
		t.Errorf("%d things are remembered of a process that is gone", n)
	}
	last := f.connections[len(f.connections)-1]
	if last.Change != Closed {
		t.Errorf("the last change is %d, want the connection closed", last.Change)
	}
}

// A server that answers all requests of a connection in one context (one task reads and
// answers, as aiohttp's) lends that context to one request after the other.
func TestContextOfTheConnection(t *testing.T) {
	p := newTape().at(0.5).loop().enter(2).copied(3).midway(1).known(5, 6379)
	for i := range 4 {
		at := float64(10 * i)
		p.at(at+1).loop().enter(2).in(1, at+1, get(fmt.Sprint("/", i))).at(at+2).enter(3).ask(5, command("GET", "k")).
			at(at+3).loop().enter(4).answer(5, at+3, hit).at(at+4).enter(3).reply(1, ok)
	}
	f, _ := play(t, p)
	if len(f.requests) != 4 {
		t.Fatalf("%d requests", len(f.requests))
	}
	for i, r := range f.requests[2:] { // it is learned from the answers of the first two
		if len(r.Calls) != 1 || r.Calls[0].Endpoint != r.Endpoint {
			t.Errorf("request %d, %s, has calls %v", i+2, r.Endpoint, r.Calls)
		}
	}
	for _, k := range f.calls {
		if k.Endpoint != "" {
			t.Errorf("a call is credited to %s, which was answered long before", k.Endpoint)
		}
	}
}

func TestPipelineIsBounded(t *testing.T) {
	p := newTape().midway(1).at(1).in(1, 1, strings.Repeat("GET / HTTP/1.1\r\n\r\n", 50)).at(2).in(1, 2, strings.Repeat("GET / HTTP/1.1\r\n\r\n", 50))
	for range 100 {
		p.reply(1, ok)
	}
	f, tr := play(t, p.hangUp(1))
	if len(f.requests) != maxPipelined+1 || tr.Active()["GET /"] != 0 {
		t.Errorf("%d requests, %d under way", len(f.requests), tr.Active()["GET /"])
	}
	for _, r := range f.requests {
		if len(r.Missing) == 0 {
			t.Fatal("a request of an abandoned connection counts as whole")
		}
	}
	if l := tr.Losses(); len(l) != 1 {
		t.Errorf("losses %v", l)
	}
}
