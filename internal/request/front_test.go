package request

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/protocol/http2"
)

const (
	rust   = 200 // a thread that runs no Python, and serves
	source = 11
	fresh  = 100 // and more: contexts of requests
)

// read has the server's own thread read a request.
func (p *tape) read(at float64, sock uint64) *tape {
	return p.on(rust).as(0).at(at).in(sock, at, get(fmt.Sprint("/", sock)))
}

// task has the event loop make a context for a request.
func (p *tape) task(at float64, ctx uint64) *tape {
	return p.on(loopTID).at(at).loop().enter(source).copied(ctx).loop()
}

// runs has the context call Redis.
func (p *tape) runs(at float64, ctx uint64) *tape {
	return p.on(loopTID).at(at).enter(ctx).ask(5, command("GET", fmt.Sprint(ctx))).at(at+0.1).loop().at(at+0.2).answer(5, at+0.2, hit).loop()
}

// writes has the server's thread answer, woken by the event loop at a time.
func (p *tape) writes(woken, at float64, sock uint64) *tape {
	return p.on(rust).as(0).at(at).add(event.Event{Type: event.Switch, Flags: event.Epoll, Arrive: ms(woken - 0.01), Other: uint64(ms(woken)), Len: loopTID}).reply(sock, ok)
}

// served is a request of its own, from its read to its answer, in 2 ms.
func (p *tape) served(at float64, sock, ctx uint64) *tape {
	return p.read(at, sock).task(at+0.2, ctx).runs(at+0.4, ctx).on(loopTID).at(at+0.8).enter(ctx).writes(at+0.81, at+0.9, sock).on(loopTID).at(at + 1).loop()
}

// fronted is a process whose source is known.
func fronted() *tape {
	p := newTape().at(0).loop().enter(source).loop().dial(5, 6379)
	for sock := uint64(20); sock < 40; sock++ {
		p.syn(sock).accept(sock)
	}
	for i := range uint64(leastProven) {
		p.served(float64(1+2*i), 20, fresh+i)
	}
	return p
}

const learned = 1 + 2*leastProven // ms

func linked(f *facts) string {
	var got []string
	for _, r := range f.requests[leastProven:] {
		line := r.Path
		for _, k := range r.Calls {
			line += " " + k.Basis
		}
		got = append(got, strings.TrimSpace(line+" "+strings.Join(r.Missing, ", ")))
	}
	return strings.Join(got, "; ")
}

// Requests get the contexts that their server's source makes, in the order in which they were read.
func TestFront(t *testing.T) {
	const at = learned
	two := func() *tape { return fronted().read(at, 20).read(at+0.1, 21) }
	h2 := asks(1, http2.EndStream, "/h2a") + asks(3, http2.EndStream, "/h2b")
	for name, c := range map[string]struct {
		tape *tape
		want string
	}{
		"two at once, answered in the other order": {
			two().task(at+0.2, 300).task(at+0.3, 301).runs(at+0.5, 301).on(loopTID).at(at+1).enter(301).writes(at+1.1, at+1.2, 21).
				runs(at+1.5, 300).on(loopTID).at(at+2).enter(300).writes(at+2.1, at+2.2, 20), "/21 context; /20 context"},
		"one that is served without Python shifts the rest": {
			fronted().read(at, 20).read(at+0.1, 21).read(at+0.2, 22).read(at+0.3, 23).read(at+0.4, 24). // 20 is a file
															task(at+0.5, 301).task(at+0.6, 302).task(at+0.7, 303).task(at+0.8, 304).on(rust).at(at+0.9).reply(20, ok).
															on(loopTID).at(at+1).enter(301).writes(at+1.1, at+1.2, 21).on(loopTID).at(at+2).enter(302).writes(at+2.1, at+2.2, 22).
															on(loopTID).at(at+3).enter(303).writes(at+3.1, at+3.2, 23).runs(at+3.5, 304).writes(at+4.1, at+4.2, 24),
			"/20; /21; /22; /23 " + mistaken + "; /24 " + mistaken},
		"streams of a connection that waited together": {
			fronted().on(rust).as(0).at(at).clientFrames(30, at, h2[:len(h2)/2], h2[len(h2)/2:]).task(at+0.2, 300).task(at+0.3, 301).runs(at+0.5, 300).
				on(rust).as(0).at(at+1).serverFrames(30, replies(3, http2.EndStream, "200"), replies(1, http2.EndStream, "200")).served(at+2, 20, 302),
			"/h2b; /h2a; /20 context"},
	} {
		f, tr := play(t, c.tape)
		if got := linked(f); got != c.want {
			t.Errorf("%s: %q, want %q; losses %v", name, got, c.want, tr.Losses())
		}
		if tr.fronts[apiPID].open != 0 {
			t.Errorf("%s: %d requests under way", name, tr.fronts[apiPID].open)
		}
	}
}

// After a loss of events nothing is linked until no request was under way, and the source is learned anew.
func TestFrontLoses(t *testing.T) {
	const at = learned
	before, after := fronted().read(at, 20), newTape().task(at+0.2, 300).runs(at+0.5, 300).writes(at+1.1, at+1.2, 20).served(at+2, 20, 302)
	f := &facts{}
	tr := newTracker(f, false)
	for i := range before.events {
		tr.Feed(&before.events[i])
	}
	tr.Lost(ms(at+0.05), ms(at+0.06))
	for i := range after.events {
		tr.Feed(&after.events[i])
	}
	if got := linked(f); got != "/20 "+eventsLost+"; /20" {
		t.Errorf("%q", got)
	}
}
