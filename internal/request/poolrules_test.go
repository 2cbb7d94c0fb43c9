package request

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// Contexts of the tapes below: 2 and 20 are of the clients' connections 1 and 9, 3 and 30 of the
// requests that come on them, 4 of the peer's.

// turn is a look for events of the loop in which it did not sleep.
func (p *tape) turn(at float64) *tape { return p.at(at).loop() }

// asks is a request on a client's connection that begins a call at a time.
func (p *tape) asks(at float64, client uint64, path string, sock uint64) *tape {
	return p.comes(at, client, path).ask(sock, command("GET", "k")).turn(at + .2)
}

// comes is a request whose handler begins to run.
func (p *tape) comes(at float64, client uint64, path string) *tape {
	ctx := 2 + client*20
	return p.turn(at).enter(ctx).in(client, at, get(path)).copied(ctx + 1).turn(at + .1).enter(ctx + 1)
}

// ends reads the answer to its call and answers it.
func (p *tape) ends(at float64, client, sock uint64) *tape {
	return p.turn(at).enter(4).answer(sock, at, hit).turn(at+.1).enter(3+client*20).reply(client, ok).turn(at + .2)
}

const failed = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

// used is a pool of the given connections to which requests of /a have made a call each.
func used(socks ...uint64) *tape {
	p := newTape().turn(.1)
	for _, sock := range socks {
		p.known(sock, 6379)
	}
	for client := range uint64(8) {
		p.midway(client)
	}
	for i := range 4 * len(socks) {
		at := 1 + 2*float64(i)
		p.asks(at, 1, "/a", socks[i%len(socks)]).ends(at+1, 1, socks[i%len(socks)])
	}
	return p
}

func count(f *facts, change Change) (n int) {
	for _, c := range f.connections {
		if c.Change == change {
			n++
		}
	}
	return n
}

func TestTimeouts(t *testing.T) {
	const start = 100.0
	// Request /b holds the one connection from 100 to 300; /a asks for it at 110 and has a timer.
	held := func(p *tape, socks ...uint64) *tape {
		for i, sock := range socks {
			p.asks(start+float64(i), 2+uint64(i), "/b", sock)
		}
		return p
	}
	waits := func(p *tape, path string) *tape {
		return p.comes(start+10, 1, path).copied(60).turn(start + 11).turn(start + 50)
	}
	fires := func(p *tape) *tape { return p.turn(start + 90).enter(60).turn(start + 90.1).enter(23) }
	released := func(p *tape) *tape { return p.ends(start+200, 2, 5).turn(start + 201) }
	tests := map[string]struct {
		tape *tape
		want int
	}{
		"it gives up":                {released(fires(waits(held(used(5), 5), "/a")).reply(1, failed)), 1},
		"it gives up, and says 200":  {released(fires(waits(held(used(5), 5), "/a")).reply(1, ok)), 1},
		"it sleeps, and then calls":  {fires(waits(held(used(5), 5), "/a")).ask(5, command("GET", "k")).turn(start+91).ends(start+200, 2, 5).ends(start+201, 1, 5), 0},
		"its endpoint calls nobody":  {released(fires(waits(held(used(5), 5), "/nap")).reply(1, ok)), 0},
		"another lies idle":          {released(fires(waits(held(used(5, 6), 5), "/a")).reply(1, failed)), 0},
		"another was idle meanwhile": {released(fires(waits(held(used(5, 6), 5, 6), "/a").ends(start+40, 3, 6).at(start+55).slept(start+42).asks(start+60, 4, "/b", 6)).reply(1, failed)), 0},
		"both are taken":             {released(fires(waits(held(used(5, 6), 5, 6), "/a")).reply(1, failed)), 1},
		"who came later is served": {fires(waits(held(used(5), 5), "/a").comes(start+20, 4, "/b").turn(start+21).turn(start+60).enter(4).answer(5, start+60, hit).
			turn(start+60.1).enter(43).turn(start+60.2).enter(83).ask(5, command("GET", "k")).turn(start+61)).reply(1, failed), 0},
		"two pauses, and one call that is missing": {released(fires(waits(held(used(5), 5), "/a")).copied(61).turn(start+92).turn(start+93).turn(start+130).enter(61).turn(start+130.1).enter(23).reply(1, failed)), 1},
		"nobody ever called":                       {released(fires(waits(held(newTape().turn(.1).known(5, 6379).midway(1).midway(2), 5), "/a")).reply(1, failed)), 0},
		"the endpoint sleeps before its calls":     {released(fires(waits(held(sleepers(used(5)), 5), "/a")).reply(1, failed)), 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, _ := play(t, tt.tape)
			var told []string
			for _, r := range f.requests {
				told = append(told, r.TimedOut...)
			}
			if got := count(f, TimedOut); got != tt.want || len(told) != tt.want {
				t.Errorf("%d time-outs, in requests %q, want %d", got, told, tt.want)
			}
			for _, c := range f.connections {
				if c.Change != TimedOut {
					continue
				}
				if c.Endpoint != "GET /a" || c.Peer.System != "redis" || c.Time < ms(start+11) || c.End < ms(start+90) {
					t.Errorf("change %+v", c)
				}
			}
			if r := f.requests[len(f.requests)-1]; tt.want > 0 && !strings.Contains(stages(f.of("GET /a")), "pool_wait redis") {
				t.Errorf("stages %s: the wait is not told", stages(r))
			}
		})
	}
}

// of is the newest request of an endpoint.
func (f *facts) of(endpoint string) *Request {
	for i := len(f.requests) - 1; i >= 0; i-- {
		if f.requests[i].Endpoint == endpoint {
			return f.requests[i]
		}
	}
	return nil
}

// sleepers are requests of /a that sleep before they call.
func sleepers(p *tape) *tape {
	for i := range 3 {
		at := 40 + 15*float64(i)
		p.comes(at, 1, "/a").copied(70).turn(at+1).turn(at+2).turn(at+8).enter(70).turn(at+8.1).enter(23).ask(5, command("GET", "k")).turn(at+9).ends(at+10, 1, 5)
	}
	return p
}

// What ended a pause, where nothing else explains it.
func TestReasons(t *testing.T) {
	// /a stands still from 110.1 on; other requests come and go.
	still := func() *tape { return used(5).comes(110, 1, "/a") }
	on := func(p *tape) *tape { return p.enter(23).at(131).reply(1, ok).turn(132) }
	tests := map[string]struct {
		tape *tape
		want string
	}{
		"a lock that another request gives back": {on(still().turn(111).at(120).slept(111).asks(121, 2, "/b", 5).turn(128).enter(4).answer(5, 128, hit).turn(129).enter(43).turn(130)),
			"lock or semaphore 19"},
		"a timer":                      {on(still().copied(60).turn(111).turn(112).at(129).slept(112).enter(60).turn(130)), "timer 18"},
		"a child":                      {on(still().copied(61).turn(111).enter(61).turn(112).at(129).slept(112).enter(61).turn(130)), ""},
		"nothing that we saw":          {on(still().turn(111).at(130).slept(111)), ""},
		"a worker thread":              {on(still().turn(111).asks(112, 2, "/b", 5).at(128).on(300).as(0).copied(80).on(loopTID).at(129).slept(113).enter(80).enter(43).turn(130)), ""},
		"another request, long before": {on(still().turn(111).asks(112, 2, "/b", 5).turn(113).at(130).slept(113)), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, _ := play(t, tt.tape)
			r := f.of("GET /a")
			got := ""
			for _, why := range r.Reasons {
				got += fmt.Sprintf("%s %g", why.Why, float64(why.NS)/1e6)
			}
			if got != tt.want {
				t.Errorf("reasons %q, want %q; stages %s", got, tt.want, stages(r))
			}
		})
	}
}

// The parts of making a connection.
func TestCreation(t *testing.T) {
	opened := func(p *tape, at float64, sock uint64) *tape {
		return p.at(at).add(event.Event{Type: event.Opened, Sock: sock})
	}
	looked := asked().turn(2.5).at(4.9).on(300).as(0).copied(80).on(loopTID).at(5).slept(2.5).enter(80).turn(5.1).enter(3)
	tests := map[string]struct {
		tape *tape
		want Made
	}{
		"dialed":       {opened(asked().at(3).dial(5, 6379), 4, 5).at(6).ask(5, command("GET", "k")), Made{TCP: ms(1), Total: ms(3)}},
		"looked up":    {opened(looked.dial(5, 6379), 6, 5).at(7).ask(5, command("GET", "k")), Made{Lookup: ms(2.6), TCP: ms(.9), Total: ms(4.5)}},
		"known before": {asked().at(3).known(5, 6379).ask(5, command("GET", "k")), Made{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, _ := play(t, tt.tape)
			if len(f.connections) == 0 || f.connections[0].Change != Opened || f.connections[0].Made != tt.want {
				t.Errorf("changes %+v, want it made in %+v", f.connections, tt.want)
			}
		})
	}
	k := creation{dialed: 10, established: 20}
	for _, e := range []event.Event{{Time: 25, Flags: event.Sent}, {Time: 30}, {Time: 38, Flags: event.Sent}, {Time: 40}} {
		k.secures(&e)
	}
	if got := k.until(60); got != (Made{TCP: 10, TLS: 15, Total: 50}) {
		t.Errorf("with TLS it is made in %+v", got)
	}
}

// leaky is a pool of two: requests of the endpoints in together have both at once, or one after the
// other; then /leak takes connection 6 and ends, and n requests of /a wait for connection 5.
func leaky(together bool, n int) *tape {
	p := used(5, 6)
	if together {
		p.asks(40, 1, "/a", 5).asks(41, 2, "/a", 6).ends(43, 1, 5).ends(44, 2, 6)
	}
	p.asks(50, 3, "/leak", 6).ends(51, 3, 6)
	at := 60.0
	holder, waiter := uint64(1), uint64(2)
	p.asks(at, holder, "/a", 5)
	for range n {
		p.comes(at+1, waiter, "/a").turn(at+1.5).turn(at+8).enter(4).answer(5, at+8, hit).turn(at+8.1).enter(3+holder*20).reply(holder, ok).
			turn(at+8.2).enter(3+waiter*20).ask(5, command("GET", "k")).turn(at + 8.5)
		at += 8.5
		holder, waiter = waiter, holder
	}
	return p.ends(at+1, holder, 5)
}

func TestLeaks(t *testing.T) {
	again := func(p *tape) *tape { return p.asks(900, 4, "/a", 6).ends(901, 4, 6) }
	tests := map[string]struct {
		tape               *tape
		leaks, back, waits int
	}{
		"never given back":              {leaky(true, 14), 1, 0, 4},
		"too few waits to tell":         {leaky(true, 9), 0, 0, 0},
		"never had both: a semaphore":   {leaky(false, 14), 0, 0, 0},
		"used again: it was not leaked": {again(leaky(true, 14)), 1, 1, 4},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, _ := play(t, tt.tape)
			if l, b, w := count(f, Leaked), count(f, Returned), count(f, Waited); l != tt.leaks || b != tt.back || w != tt.waits {
				t.Errorf("%d leaked, %d returned, %d waits; want %d, %d, %d", l, b, w, tt.leaks, tt.back, tt.waits)
			}
			for _, c := range f.connections {
				if c.Change == Leaked && (c.ID != 6 || c.Endpoint != "GET /leak" || c.Operation != "GET" || c.Unread) {
					t.Errorf("change %+v", c)
				}
			}
		})
	}
}

// On uvloop a thread that reads an answer enters the connection's context next, if it is the event
// loop's: a worker enters the context of whom it serves next, who is none of the request before.
func TestWorkerServesOneAfterTheOther(t *testing.T) {
	p := newTape().turn(.1).midway(1).known(5, 6379)
	serve := func(at float64, context uint64) {
		p.turn(at).in(1, at, get("/a")).enter(2).copied(3).turn(at+.1).enter(3).copied(context).turn(at+.2).
			on(200).at(at+.3).enter(context).ask(5, command("GET", "k")).at(at+.5).answer(5, at+.5, hit).
			on(loopTID).turn(at+.6).enter(3).reply(1, ok)
	}
	for i := range 3 {
		serve(1+float64(i), 70+uint64(i))
	}
	f := &facts{}
	tr := newTracker(f, true)
	slicesByTime(p.events)
	for i := range p.events {
		tr.Feed(&p.events[i])
	}
	if len(f.requests) != 3 || tr.Orphans() != 0 {
		t.Fatalf("%d requests, %d calls that belong to none", len(f.requests), tr.Orphans())
	}
	for i, r := range f.requests {
		if len(r.Calls) != 1 {
			t.Errorf("request %d has %d calls", i, len(r.Calls))
		}
	}
}

// Connection 6 lies idle all the while that a request waits and takes 5 then. Who was woken in vain waited for the
// pool all the same, though that is unsure; who was not, waited for something else; nor is the pool's one leaked.
func TestHerd(t *testing.T) {
	for _, tt := range []struct {
		vain int
		wait float64
	}{{0, 0}, {3, 32}} {
		p := used(5, 6).asks(100, 1, "/a", 5).comes(101, 2, "/w").turn(101.3)
		at := 110.0
		for range tt.vain { // the answer comes, both are woken, the other one is faster
			p.ends(at, 1, 5).asks(at+1, 1, "/a", 5).turn(at + 2).enter(43).turn(at + 2.1)
			at += 5
		}
		p.ends(at, 1, 5).turn(at+8).enter(43).ask(5, command("GET", "k")).turn(at+9).ends(at+10, 2, 5)
		f, _ := play(t, p)
		k := f.calling(t, "GET /w").Calls[0]
		if wait := float64(k.PoolWait) / 1e6; wait < tt.wait-.5 || wait > tt.wait+.5 || k.PoolWaitUnsure != k.PoolWait || count(f, Leaked) > 0 {
			t.Errorf("woken in vain %d times: waited %g ms, %g of it unsure, want %g", tt.vain, wait, float64(k.PoolWaitUnsure)/1e6, tt.wait)
		}
	}
}

// Connection 6 is out all the while that a request waits and takes 5. Who opens a semaphore gives the connection back in
// the same step: the wait is sure where the endpoint has had more connections at once, or where another's came back.
func TestOwnLimit(t *testing.T) {
	for _, tt := range []struct {
		name   string
		waiter string
		before func(p *tape) *tape
		sure   bool
	}{
		{"never had more", "/s", func(p *tape) *tape { return p }, false},
		{"had both at once", "/s", func(p *tape) *tape { return p.asks(90, 1, "/s", 5).asks(91, 2, "/s", 6).ends(92, 1, 5).ends(93, 2, 6) }, true},
		{"another's connection", "/w", func(p *tape) *tape { return p }, true},
	} {
		p := tt.before(used(5, 6)).asks(100, 3, "/o", 6).asks(101, 1, "/s", 5).comes(102, 2, tt.waiter).turn(102.3)
		p.ends(110, 1, 5).enter(43).ask(5, command("GET", "k")).turn(112).ends(120, 2, 5).ends(121, 3, 6)
		f, _ := play(t, p)
		k := f.calling(t, "GET "+tt.waiter).Calls[0]
		if k.PoolWait < ms(7) || tt.sure != (k.PoolWaitUnsure == 0) || !tt.sure && k.PoolWaitUnsure != k.PoolWait {
			t.Errorf("%s: waited %g ms, %g of it unsure", tt.name, float64(k.PoolWait)/1e6, float64(k.PoolWaitUnsure)/1e6)
		}
	}
}

// The answer was read before a request waited, and its reader goes on only then: a loop that has not slept had no time for
// it. One that has slept had, and who waited did so for something else.
func TestGivenLate(t *testing.T) {
	for slept, wait := range map[bool]float64{false: 6, true: 0} {
		p := used(5).asks(100, 1, "/a", 5).turn(104).enter(4).answer(5, 104, hit).turn(104.2).comes(105, 2, "/w").turn(105.5)
		if slept {
			p.at(108).slept(106)
		}
		p.turn(111).enter(23).reply(1, ok).turn(111.5).enter(43).ask(5, command("GET", "k")).turn(112).ends(120, 2, 5)
		f, _ := play(t, p)
		k := f.calling(t, "GET /w").Calls[0]
		if got := float64(k.PoolWait) / 1e6; got < wait-.5 || got > wait+.5 || k.PoolWaitUnsure != k.PoolWait {
			t.Errorf("slept: %t: waited %g ms, %g of it unsure, want %g", slept, got, float64(k.PoolWaitUnsure)/1e6, wait)
		}
	}
}
