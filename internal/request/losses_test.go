package request

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/protocol/http2"
)

// playLosing feeds a tape of which the events between two times, in ms, did not arrive.
func playLosing(t *testing.T, p *tape, from, to float64) (*facts, *Tracker) {
	t.Helper()
	f := &facts{}
	tr := newTracker(f, false)
	told := from == to
	for i := range p.events {
		e := &p.events[i]
		if !told && e.Time >= ms(to) {
			tr.Lost(ms(from), ms(to))
			told = true
		}
		if from == to || e.Time < ms(from) || e.Time >= ms(to) {
			tr.Feed(e)
		}
	}
	tr.Gone(apiPID, p.now)
	for _, r := range f.requests {
		whole(t, r)
	}
	return f, tr
}

// inserted writes HEADERS whose path enters the header table; again points to entry i of it, the newest
// is 0.
func inserted(stream uint32, path string) string {
	return h2(http2.Headers, http2.EndHeaders, stream, "\x83\x86\x44"+string(rune(len(path)))+path)
}

func again(stream uint32, i byte) string {
	return h2(http2.Headers, http2.EndHeaders, stream, "\x83\x86"+string([]byte{0xbe + i}))
}

// manyPaths fills the header table beyond its 4,096 bytes, each path an entry of 92, and then points to one.
func manyPaths(i byte) *tape {
	p := newTape().at(0.1).loop().midway(1).dial(5, 6334).at(1).enter(10).in(1, 1, get("/a")).copied(30).enter(30)
	for k := range uint32(100) {
		p.at(2+float64(k)/100).start("x").put(5, inserted(2*k+1, fmt.Sprintf("/svc.Long/%045d", k)), data(2*k+1, "x")).got(5, 0, trailers(2*k+1, "0"))
	}
	return p.at(4).start("y").put(5, again(301, i), data(301, "y")).got(5, 4, trailers(301, "0")).at(5).enter(30).reply(1, ok)
}

// Each thing that can be lost or misread, what it counts as, and what is marked.
func TestLosses(t *testing.T) {
	one := func() *tape {
		return newTape().at(0.1).loop().midway(1).known(2, 6379).at(1).enter(10).in(1, 1, get("/a")).copied(30).enter(30)
	}
	grpc := func() *tape {
		return newTape().at(0.1).loop().midway(1).dial(5, 6334).at(1).enter(10).in(1, 1, get("/a")).copied(30).enter(30)
	}
	tests := map[string]struct {
		tape     *tape
		from, to float64 // of the gap, in ms
		lost     []string
		check    func(f *facts, tr *Tracker) string // "" where all is marked as it should be
	}{
		"the rest of a body, and its answer": {
			newTape().at(0.1).loop().midway(1).at(2).in(1, 2, "POST /up HTTP/1.1\r\nContent-Length: 1000\r\n\r\n0123").
				at(3).in(1, 3, strings.Repeat("x", 996)).reply(1, ok).at(5).in(1, 5, get("/b")).at(6).reply(1, ok),
			3, 4, []string{boundaryLost}, requestsAre("POST /up marked", "GET /b"),
		},
		"the rest of an answer": {
			newTape().at(0.1).loop().midway(1).at(2).in(1, 2, get("/a")).at(2.5).reply(1, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").
				at(3).reply(1, "123456789").at(5).in(1, 5, get("/b")).at(6).reply(1, ok),
			3, 4, []string{boundaryLost}, requestsAre("GET /a marked", "GET /b"),
		},
		"an answer of a peer": {
			one().at(2).ask(2, command("GET", "k")).at(3).answer(2, 3, hit).at(5).enter(30).ask(2, command("GET", "k")).at(6).answer(2, 6, hit).enter(30).reply(1, ok),
			3, 4, []string{"answer in a gap of lost events"},
			func(f *facts, _ *Tracker) string {
				k := f.requests[0].Calls
				if len(k) != 2 || k[0].Error != "answer not seen" || k[1].Error != "" || len(f.requests[0].Missing) == 0 {
					return fmt.Sprint(f.requests[0].Missing, k)
				}
				return ""
			},
		},
		"no gap: an entry of the header table": {
			grpc().at(2).start("x").put(5, inserted(1, "/a.B/C"), data(1, "x")).at(3).got(5, 3, trailers(1, "0")).at(5).start("y").put(5, again(3, 0), data(3, "y")).at(6).got(5, 6, trailers(3, "0")).at(7).enter(30).reply(1, ok),
			0, 0, nil, callsAre("/a.B/C", "/a.B/C"),
		},
		"an entry of the header table": {
			grpc().at(2).start("x").put(5, inserted(1, "/a.B/C"), data(1, "x")).at(2.5).got(5, 2.5, trailers(1, "0")).at(3).start("x").put(5, inserted(3, "/a.B/D"), data(3, "x")).
				at(5).start("y").put(5, again(5, 1), data(5, "y")).at(6).got(5, 6, trailers(5, "0")).at(7).enter(30).reply(1, ok),
			3, 4, []string{"method not known: it is in a header table of which a part was not seen"}, callsAre("/a.B/C", "unknown (joined midway)"),
		},
		"the end of a stream": {
			grpc().at(2).start("x").put(5, inserted(1, "/a.B/C"), data(1, "x")).at(3).got(5, 3, trailers(1, "0")).at(5).got(5, 5, "").at(6).enter(30).reply(1, ok),
			3, 4, []string{"answer in a gap of lost events"},
			func(f *facts, _ *Tracker) string { return unanswered(f, 5) },
		},
		"frames of a transfer too large to be walked": {
			grpc().at(2).start("x").put(5, inserted(1, "/a.B/C"), data(1, "x")).at(5).frames(5, event.Desync, 5, "").at(6).enter(30).reply(1, ok),
			0, 0, []string{"frame boundary lost", "its frames were not all seen"},
			func(f *facts, _ *Tracker) string { return unanswered(f, 5) },
		},
		"a call that waits for its stream": {
			grpc().at(2).enter(30).wish("/a.B/C").copied(31).enter(31).start("lost").at(3).put(5, inserted(1, "/a.B/C"), data(1, "lost")).
				at(5).on(300).as(0).put(5, inserted(3, "/a.B/D"), data(3, "other")).at(6).got(5, 6, trailers(3, "0")).on(loopTID).enter(30).reply(1, ok),
			3, 4, []string{"call whose stream may be in a gap of lost events"},
			func(_ *facts, tr *Tracker) string {
				if tr.Orphans() != 1 {
					return fmt.Sprintf("%d orphans: the stream was taken for the lost call's", tr.Orphans())
				}
				return ""
			},
		},
		"no loss: the newest entry of a header table that dropped others": {manyPaths(0), 0, 0, nil, lastCallIs(fmt.Sprintf("/svc.Long/%045d", 99))},
		"no loss: the oldest entry that is still there":                   {manyPaths(43), 0, 0, nil, lastCallIs(fmt.Sprintf("/svc.Long/%045d", 56))},
		"an entry that the header table has dropped": {
			manyPaths(60), 0, 0, []string{"method not known: it is in a header table of which a part was not seen"}, lastCallIs("unknown (joined midway)"),
		},
		"a header block longer than what is captured": {
			grpc().at(2).start("x").put(5, h2(http2.Headers, http2.EndHeaders, 1, "\x83\x86\x04\x01/\x00\x01x\x7f\xff\x03"+strings.Repeat("x", 600)), data(1, "x")).at(3).got(5, 3, trailers(1, "0")).at(5).enter(30).reply(1, ok),
			0, 0, []string{"header block longer than what is captured"}, callsAre("/"),
		},
		"a context's address, used again": {
			one().at(2).add(event.Event{Type: event.Send, Flags: event.Stale, Sock: 2, RPort: 6379, Len: 20, Head: []byte(command("GET", "k"))}).at(3).answer(2, 3, hit).enter(30).reply(1, ok),
			0, 0, []string{"address used again: whose call it is is not known"}, orphans(1),
		},
		"the birth of a context at an answered request's address": {
			one().at(2).reply(1, ok).at(3).copied(77).at(5).as(30).ask(2, command("GET", "k")).at(6).answer(2, 6, hit),
			3, 4, []string{"address that may have been used again in a gap of lost events"}, orphans(1),
		},
		"a call without a request": {one().loop().at(2).ask(2, command("GET", "k")).at(3).answer(2, 3, hit).enter(30).reply(1, ok), 0, 0, nil, orphans(1)},
		"a head longer than what is captured": {
			newTape().at(0.1).loop().midway(1).at(2).in(1, 2, "GET /a HTTP/1.1\r\nCookie: "+strings.Repeat("x", 3000)+"\r\n\r\n").at(3).reply(1, ok),
			0, 0, []string{"request head longer than what is captured: its id may be in the rest"}, requestsAre("GET /a"),
		},
		"bytes that no protocol begins with": {one().at(2).ask(9, "\x00\x01nonsense").at(3).reply(1, ok), 0, 0, []string{"protocol not recognised"}, callsAre()},
		"an answer to what was asked before": {newTape().at(1).midway(1).at(2).reply(1, ok), 0, 0, []string{"response without its request: connection joined midway"}, requestsAre()},
		"more answers awaited than remembered": {
			func() *tape {
				p := one()
				for range maxPending + 1 {
					p.ask(2, command("GET", "k"))
				}
				return p.at(3).reply(1, ok)
			}(), 0, 0, []string{"more than 1,024 answers awaited on a connection"}, requestsAre("GET /a"),
		},
		"too many pipelined requests": {
			newTape().at(1).midway(1).in(1, 1, strings.Repeat(get("/a"), 10)).in(1, 1, strings.Repeat(get("/a"), 20)).in(1, 1, strings.Repeat(get("/a"), 20)).in(1, 1, strings.Repeat(get("/a"), 20)).at(2).hangUp(1),
			0, 0, []string{"more than 64 pipelined requests"},
			func(f *facts, _ *Tracker) string {
				for _, r := range f.requests {
					if len(r.Missing) == 0 {
						return "a request is not marked"
					}
				}
				return ""
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, tr := playLosing(t, tt.tape, tt.from, tt.to)
			for _, reason := range tt.lost {
				if loss(tr, reason) == 0 {
					t.Errorf("nobody counted %q; losses %v", reason, tr.Losses())
				}
			}
			if tt.lost == nil && len(tr.Losses()) > 0 {
				t.Errorf("losses %v", tr.Losses())
			}
			if why := tt.check(f, tr); why != "" {
				t.Error(why)
			}
		})
	}
}

// requestsAre wants requests in this order, "GET /a marked" where it must say that something is missing.
func requestsAre(want ...string) func(*facts, *Tracker) string {
	return func(f *facts, _ *Tracker) string {
		var got []string
		for _, r := range f.requests {
			s := r.Endpoint
			if len(r.Missing) > 0 {
				s += " marked"
			}
			got = append(got, s)
		}
		if !slices.Equal(got, want) {
			return fmt.Sprintf("requests %q, want %q", got, want)
		}
		return ""
	}
}

func callsAre(want ...string) func(*facts, *Tracker) string {
	return func(f *facts, _ *Tracker) string {
		var got []string
		for _, r := range f.requests {
			got = append(got, operations(r)...)
		}
		if !slices.Equal(got, want) {
			return fmt.Sprintf("calls %q, want %q", got, want)
		}
		return ""
	}
}

func lastCallIs(want string) func(*facts, *Tracker) string {
	return func(f *facts, _ *Tracker) string {
		got := operations(f.requests[0])
		if len(got) == 0 {
			return "no calls"
		}
		if len(got) != 101 || got[100] != want {
			return fmt.Sprintf("%d calls, the last is %q, want %q", len(got), got[len(got)-1], want)
		}
		return ""
	}
}

func orphans(n uint64) func(*facts, *Tracker) string {
	return func(f *facts, tr *Tracker) string {
		if tr.Orphans() != n || len(f.requests[0].Calls) > 0 {
			return fmt.Sprintf("%d orphans, want %d; calls of the request: %v", tr.Orphans(), n, operations(f.requests[0]))
		}
		return ""
	}
}

// unanswered wants the only call to end without an answer, its request marked and its place given back.
func unanswered(f *facts, at float64) string {
	r := f.requests[0]
	if len(r.Calls) != 1 || r.Calls[0].Error != "answer not seen" || len(r.Missing) == 0 {
		return fmt.Sprintf("missing %v, calls %v", r.Missing, r.Calls)
	}
	if !slices.ContainsFunc(f.connections, func(c Connection) bool { return c.Change == Free && c.Time == ms(at) }) {
		return fmt.Sprintf("its place was not given back: %v", f.connections)
	}
	return ""
}

// A request with very many contexts is judged in bounded work, or not at all.
func TestWaitsAreJudgedInBoundedWork(t *testing.T) {
	p := newTape().at(0.1).loop().midway(1).midway(2).known(5, 6379).at(1).enter(10).in(1, 1, get("/a")).copied(30).at(1.1).enter(20).in(2, 1.1, get("/b")).copied(40)
	p.at(1.2).enter(40).ask(5, command("GET", "k"))
	p.at(1.3).enter(30)
	for i := range uint64(maxKids) {
		p.enter(30).copied(0x1000 * (i + 1))
		for k := range uint64(maxKids) {
			p.enter(0x1000 * (i + 1)).copied(0x1000*(i+1) + k + 1).enter(0x1000*(i+1) + k + 1)
		}
	}
	p.at(1.4).enter(30).loop().at(9).answer(5, 9, hit).enter(40).at(10).enter(30).ask(5, command("GET", "k")).loop().at(11).answer(5, 11, hit).enter(30).reply(1, ok).at(12).enter(40).reply(2, ok)
	f, tr := play(t, p)
	if loss(tr, "wait not judged: too many contexts and steps to look at") == 0 {
		t.Errorf("losses %v", tr.Losses())
	}
	for _, r := range f.requests {
		for _, k := range r.Calls {
			if k.PoolWait != 0 {
				t.Errorf("%s waited %d ns: nobody can know", r.Endpoint, k.PoolWait)
			}
		}
	}
}

// The sweep looks at each of the parallel calls a few times, however many there are.
func TestSweepIsBounded(t *testing.T) {
	const n = 20_000
	parts := make([]part, n)
	for i := range parts {
		at := int64(i)
		parts[i] = part{at, at + n, upstream, "redis", &Call{LastArrived: at + n}}
	}
	var a active
	spans, _ := a.sweep(0, 2*n, parts)
	if a.looked > 3*n || len(spans) != 2 {
		t.Errorf("%d looks at %d parts, %d spans", a.looked, n, len(spans))
	}
}
