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

type discard struct{}

func (discard) Request(*Request)      {}
func (discard) Call(*Call)            {}
func (discard) Connection(Connection) {}
func (discard) Lag(Lag)               {}
func (discard) Block(Block)           {}
