package request

import (
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

func (p *tape) puts(item uint64) *tape { return p.add(event.Event{Type: event.WorkPut, Other: item}) }
func (p *tape) takes(item uint64) *tape {
	return p.add(event.Event{Type: event.WorkGot, Other: item})
}
func (p *tape) doneWith(item uint64) *tape {
	return p.add(event.Event{Type: event.WorkDone, Other: item})
}

// handed is a target whose requests /a and /b, in contexts 30 and 40, have handed work 500 and 600 to an executor
// with one thread, 300, at 2 ms. A connection to Redis is on socket 5.
func handed() *tape {
	return newTape().at(0.1).loop().midway(1).midway(2).known(5, 6379).at(1).enter(10).in(1, 1, get("/a")).copied(30).
		enter(20).in(2, 1, get("/b")).copied(40).at(2).enter(30).puts(500).enter(40).puts(600).loop()
}

// The thread has no context, or one of its own, made unseen at an address that was another request's before: it
// works for whoever put the item that it took.
func TestWorkOfExecutor(t *testing.T) {
	for name, own := range map[string]uint64{"no context": 0, "one of its own": 70, "one whose address was another's": 40} {
		t.Run(name, func(t *testing.T) {
			f, tr := play(t, handed().on(300).as(own).at(3).takes(500).ask(5, command("GET", "a")).at(5).off(3, 4.5, 0).answer(5, 4.5, hit).
				copied(71).doneWith(500).at(6).takes(600).ask(5, command("GET", "b")).at(7).off(6, 7, 0).answer(5, 7, hit).copied(72).doneWith(600).
				on(loopTID).at(8).slept(2).enter(71).enter(72).at(9).loop().enter(30).reply(1, ok).enter(40).reply(2, ok))
			if len(f.requests) != 2 || tr.Orphans() > 0 {
				t.Fatalf("%d requests, %d orphans, losses %v", len(f.requests), tr.Orphans(), tr.Losses())
			}
			for i, want := range []float64{1, 4} {
				r := f.requests[i]
				basis := "work"
				if own == 40 && i == 1 {
					basis = "context" // of the same request
				}
				if len(r.Calls) != 1 || r.Calls[0].Basis != basis || r.Calls[0].PoolWait != 0 {
					t.Fatalf("%s has calls %+v", r.Endpoint, r.Calls)
				}
				if got := r.spanAt(ms(2.5)).Stage; got != LoopWait {
					t.Errorf("%s: %s while it waits for a thread for %g ms: %s", r.Endpoint, got, want, stages(r))
				}
				if r.sum(Unexplained) > 0 {
					t.Errorf("%s: %s", r.Endpoint, stages(r))
				}
			}
		})
	}
}

func (r *Request) spanAt(at int64) (s Span) {
	for _, s = range r.Spans {
		if s.Start <= at && at < s.End {
			return s
		}
	}
	return Span{}
}

// What is not known to have been put, or was put by nobody's context, is nobody's work.
func TestWorkOfNobody(t *testing.T) {
	f, tr := play(t, handed().on(300).at(3).takes(700).ask(5, command("GET", "x")).at(4).answer(5, 4, miss).doneWith(700).
		at(5).on(301).as(99).puts(800).on(300).as(30).takes(800).ask(5, command("GET", "y")).at(6).answer(5, 6, miss).doneWith(800).
		on(loopTID).at(8).enter(30).reply(1, ok).enter(40).reply(2, ok))
	if len(f.requests[0].Calls)+len(f.requests[1].Calls) != 0 || tr.Orphans() != 2 || loss(tr, "work that was put before it was looked for") != 1 {
		t.Errorf("calls %v %v, %d orphans, losses %v", operations(f.requests[0]), operations(f.requests[1]), tr.Orphans(), tr.Losses())
	}
}

// Items that no thread takes do not pile up.
func TestWorkNeverTaken(t *testing.T) {
	p := handed()
	for i := range uint64(maxWork) {
		p.puts(1000 + i)
	}
	_, tr := play(t, p)
	if loss(tr, "work that no thread took") == 0 || len(tr.works) > maxWork {
		t.Errorf("%d items kept, losses %v", len(tr.works), tr.Losses())
	}
}

// A synchronous gRPC call polls with epoll on the worker thread that makes it: the thread is no event loop, and
// has not left its context.
func TestWorkerPolls(t *testing.T) {
	polls := event.Event{Type: event.Loop}
	f, _ := play(t, newTape().at(0.1).loop().midway(1).at(1).enter(10).in(1, 1, get("/a")).copied(30).enter(30).copied(31).at(2).loop().
		on(300).at(3).enter(31).at(4).add(polls).at(9).slept(4).at(10).add(polls).at(11).as(0).add(event.Event{Type: event.Sleep}).
		on(loopTID).at(12).slept(2).enter(30).at(13).reply(1, ok))
	r := f.requests[0]
	if r.sum(Blocked) != 5 || strings.Contains(stages(r), Unexplained) {
		t.Errorf("stages %s", stages(r))
	}
}
