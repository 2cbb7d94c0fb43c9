package request

import "testing"

// A stretch of full precision ends with the requests that began in it: what is followed is told by when a request
// began, or the longest would be missing.
func TestTurn(t *testing.T) {
	f := &facts{}
	tr := newTracker(f, false)
	feed := func(p *tape) {
		for i := range p.events {
			tr.Feed(&p.events[i])
		}
	}
	tr.Turn(Linked, ms(0))
	feed(newTape().at(1).midway(1).midway(2).midway(3).in(1, 1, get("/before")))
	tr.Turn(Followed, ms(2))
	feed(newTape().at(3).in(2, 3, get("/in")).at(4).reply(1, ok))
	tr.Turn(Ending, ms(5))
	feed(newTape().at(6).in(3, 6, get("/late")).at(7).reply(3, ok))
	if n := tr.Following(); n != 1 {
		t.Errorf("%d requests are followed, want 1", n)
	}
	feed(newTape().at(8).reply(2, ok))
	if n := tr.Following(); n != 0 {
		t.Errorf("%d requests are followed, want none", n)
	}
	feed(newTape().at(9).in(2, 9, get("/cut")))
	tr.Turn(Followed, ms(9.5))
	feed(newTape().at(10).in(1, 10, get("/cut")))
	tr.Turn(Linked, ms(11))
	feed(newTape().at(12).reply(1, ok).reply(2, ok))
	want := map[string]bool{"GET /before": false, "GET /in": true, "GET /late": false, "GET /cut": false}
	if len(f.requests) != 5 {
		t.Fatalf("%d requests", len(f.requests))
	}
	for _, r := range f.requests {
		if r.Followed != want[r.Endpoint] {
			t.Errorf("%s: followed is %t", r.Endpoint, r.Followed)
		}
	}
}
