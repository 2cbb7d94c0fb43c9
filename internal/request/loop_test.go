package request

import (
	"fmt"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// lateness sums up the lags: how many timers, how many of them late, and by how much in ms.
func lateness(f *facts) string {
	n, late, sum := 0, 0, int64(0)
	for _, l := range f.lags {
		n += l.N
		if l.Late > 0 {
			late += l.N
			sum += l.Late * int64(l.N)
		}
	}
	return fmt.Sprintf("%d timers, %d late, %g ms", n, late, float64(sum)/1e6)
}

func blocksOf(f *facts) string {
	out := ""
	for _, b := range f.blocks {
		out += fmt.Sprintf("%s %g-%g asleep %g queued %g; ", b.Endpoint, float64(b.Start)/1e6, float64(b.End)/1e6, float64(b.Asleep)/1e6, float64(b.Queued)/1e6)
	}
	return out
}

func TestEventLoop(t *testing.T) {
	// serving is a loop that reads its first request after a sleep from 5 to 15 ms.
	serving := func() *tape {
		return newTape().at(0).midway(1).at(5).loop().at(15).slept(5).in(1, 15, get("/a")).copied(0xa).enter(0xa)
	}
	// untold is the same where the calls of epoll are not told.
	untold := func() *tape { return newTape().at(0).midway(1).at(15).slept(5).in(1, 15, get("/a")).copied(0xa) }
	for _, c := range []struct {
		name, lags, blocks string
		tape               *tape
	}{
		{"a short turn, between two timers", "1 timers, 0 late, 0 ms", "", serving().at(16).reply(1, ok).loop().at(25).slept(16)},
		{"an idle loop is never late", "9 timers, 0 late, 0 ms", "", serving().at(16).reply(1, ok).loop().at(105).slept(16)},
		{"a turn of 60 ms", "6 timers, 6 late, 180 ms", "GET /a 15-75 asleep 0 queued 0; ", serving().at(75).reply(1, ok).loop()},
		{"a turn of 49 ms is no block", "5 timers, 5 late, 120 ms", "", serving().at(64).reply(1, ok).loop()},
		{"ten turns without a sleep between them", "10 timers, 10 late, 50 ms", "", func() *tape {
			p := serving()
			for i := range 10 {
				p.at(25 + float64(i)*10).loop().enter(0xa)
			}
			return p
		}()},
		{"asleep in a call", "6 timers, 6 late, 180 ms", "GET /a 15-75 asleep 50 queued 0; ", serving().at(70).off(20, 70, 0).at(75).reply(1, ok).loop()},
		{"asleep in a call, then without a CPU", "6 timers, 6 late, 180 ms", "GET /a 15-75 asleep 30 queued 20; ", serving().at(70).off(20, 50, 0).at(75).reply(1, ok).loop()},
		{"preempted", "6 timers, 6 late, 180 ms", "GET /a 15-75 asleep 0 queued 50; ", serving().at(70).off(20, 20, event.Preempted).at(75).reply(1, ok).loop()},
		{"waiting for the GIL is no call that sleeps", "6 timers, 6 late, 180 ms", "GET /a 15-75 asleep 0 queued 0; ", serving().at(70).off(20, 70, event.GIL).at(75).reply(1, ok).loop()},
		{"who took most of the turn", "7 timers, 7 late, 245 ms", "GET /b 15-85 asleep 0 queued 0; ",
			serving().at(30).reply(1, ok).midway(2).in(2, 15, get("/b")).copied(0xb).enter(0xb).at(85).reply(2, ok).loop()},
		{"nobody's code", "7 timers, 7 late, 259 ms", " 17-87 asleep 0 queued 0; ", serving().at(16).reply(1, ok).at(17).loop().at(87).loop()},
		{"untold: it sleeps again", "7 timers, 6 late, 180 ms", "GET /a 15-75 asleep 0 queued 0; ", untold().at(74).reply(1, ok).at(80).slept(75)},
		{"untold: what it reads came later", "9 timers, 9 late, 222 ms", " 15-75 asleep 0 queued 0; ",
			untold().at(75).midway(2).in(2, 30, get("/b")).at(105).slept(104)},
		{"untold: what it reads was there before", "9 timers, 9 late, 396 ms", "GET /a 15-104 asleep 0 queued 0; ",
			untold().at(75).midway(2).in(2, 14, get("/b")).at(105).slept(104)},
		{"a thread that polls and serves nobody", "0 timers, 0 late, 0 ms", "", newTape().at(5).loop().at(15).slept(5).at(200).loop().at(300).slept(200)},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, _ := play(t, c.tape)
			if got := lateness(f); got != c.lags {
				t.Errorf("%s, want %s", got, c.lags)
			}
			if got := blocksOf(f); got != c.blocks {
				t.Errorf("blocks %q, want %q", got, c.blocks)
			}
		})
	}
}

// Nothing is concluded from a stretch of which events are missing, nor of a process without an event loop.
func TestEventLoopNotKnown(t *testing.T) {
	p := newTape().at(0).midway(1).at(5).loop().at(15).slept(5).in(1, 15, get("/a")).at(90).reply(1, ok).loop()
	for _, c := range []struct {
		name    string
		prepare func(*Tracker)
	}{
		{"events lost", func(tr *Tracker) { tr.Lost(ms(40), ms(50)) }},
		{"no event loop", func(tr *Tracker) { tr.opts.EventLoop = func(uint32) bool { return false } }},
	} {
		f := &facts{}
		tr := newTracker(f, false)
		c.prepare(tr)
		for i := range p.events {
			tr.Feed(&p.events[i])
		}
		if len(f.blocks) > 0 || lateness(f) != "0 timers, 0 late, 0 ms" {
			t.Errorf("%s: %s, blocks %s", c.name, lateness(f), blocksOf(f))
		}
	}
}

// Where the precision changes, the turn under way is not known.
func TestEventLoopPrecision(t *testing.T) {
	f := &facts{}
	tr := newTracker(f, false)
	p := newTape().at(0).midway(1).at(5).loop().at(15).slept(5).in(1, 15, get("/a"))
	for i := range p.events {
		tr.Feed(&p.events[i])
	}
	tr.Turn(Linked, ms(16))
	p = newTape().at(90).slept(80).at(200).slept(100)
	for i := range p.events {
		tr.Feed(&p.events[i])
	}
	if got := blocksOf(f); got != "" {
		t.Errorf("blocks %s", got)
	}
	p = newTape().at(300).slept(290)
	for i := range p.events {
		tr.Feed(&p.events[i])
	}
	if got := blocksOf(f); got != " 200-290 asleep 0 queued 0; " {
		t.Errorf("blocks %s", got)
	}
}
