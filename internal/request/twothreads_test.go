package request

import (
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// anyio runs a worker's context on the event loop for a moment before it hands it over. Both
// steps end, whichever thread leaves first: an open one would hide every later suspension.
func TestContextOnTwoThreads(t *testing.T) {
	tr := New(Options{
		Endpoint: func(_ uint32, method, path string) string { return method + " " + path },
		Late:     func(uint32) bool { return false },
	}, discard{})
	at := int64(0)
	feed := func(tid uint32, typ event.Type, context, other uint64) {
		at += 1000
		tr.Feed(&event.Event{Type: typ, Time: at, PID: 1, TID: tid, Context: context, Other: other})
	}
	feed(1, event.Loop, 0, 0)
	feed(1, event.Copy, 10, 20)
	feed(1, event.Enter, 0, 20) // on the loop
	feed(2, event.Enter, 0, 20) // on the worker
	feed(2, event.Sleep, 0, 0)  // the worker has left it
	feed(1, event.Enter, 0, 10)
	n := tr.contexts.at(1, 20)
	if len(n.steps) != 2 {
		t.Fatalf("%d steps, want one on each thread", len(n.steps))
	}
	for i, s := range n.steps {
		if s.end == 0 {
			t.Errorf("step %d, begun at %d, never ended", i, s.start)
		}
	}
}

// A worker thread serves one request after another: that it read an answer for the first says
// nothing about the context of the second.
func TestWorkerThreadServesTwo(t *testing.T) {
	f := &facts{}
	tr := newTracker(f, true)
	p := newTape().at(0.1).loop().midway(1).midway(2).known(5, 6379).in(1, 0.1, get("/a")).enter(10).copied(11).enter(11).copied(12).
		at(1).loop().in(2, 1, get("/b")).enter(20).copied(21).enter(21).copied(22).loop().
		on(200).at(2).enter(12).ask(5, command("GET", "a")).at(3).answer(5, 2.5, hit).
		at(4).enter(22).ask(5, command("GET", "b")).at(5).answer(5, 4.5, hit).
		on(loopTID).at(6).enter(11).reply(1, ok).enter(21).reply(2, ok)
	for i := range p.events {
		tr.Feed(&p.events[i])
	}
	if len(f.requests) != 2 || tr.Orphans() > 0 {
		t.Fatalf("%d requests, %d orphans", len(f.requests), tr.Orphans())
	}
	for _, r := range f.requests {
		if len(r.Calls) != 1 {
			t.Errorf("%s has calls %v", r.Endpoint, operations(r))
		}
	}
}

type discard struct{}

func (discard) Request(*Request)      {}
func (discard) Call(*Call)            {}
func (discard) Connection(Connection) {}
func (discard) Lag(Lag)               {}
func (discard) Block(Block)           {}
