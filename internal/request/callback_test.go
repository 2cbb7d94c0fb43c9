package request

import (
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// loopFrom ends the loop's turn, from its base context; enters runs a context inside another.
func (p *tape) loopFrom(base uint64) *tape {
	p.ctx = 0
	return p.add(event.Event{Type: event.Loop, Context: base})
}

func (p *tape) enters(outer, ctx uint64) *tape {
	p.ctx = ctx
	return p.add(event.Event{Type: event.Enter, Context: outer, Other: ctx})
}

// A context awaits its connection with a time-out, as asyncio.wait has it: it makes a timer, 6, and a callback, 7. What
// of the two, or of two alike, wakes it tells a sleep from a wait.
func TestCallbackOrTimer(t *testing.T) {
	const base, idle = 90, 91
	begun := func() *tape {
		p := newTape().at(0.1).loop().midway(9).midway(1).known(5, 6379)
		p.enter(20).in(9, 0.1, get("/b")).copied(30)
		p.at(0.5).enter(30).ask(5, command("GET", "z")).loop().at(0.6).slept(0.5).enter(4).answer(5, 0.6, hit)
		p.at(1.5).enter(30).ask(5, command("BLPOP", "x", "1")).at(1.6).loop()
		p.at(2).slept(1.6).enter(2).in(1, 2, get("/a")).copied(3).at(2).enter(3).copied(6).copied(7).at(3).loop()
		return p.at(8).slept(3).enter(4).answer(5, 8, "*-1\r\n").enter(30).at(8.5).loopFrom(base).at(8.6)
	}
	call := func(p *tape) *tape {
		p.at(8.7).loopFrom(base).at(9).enters(base, 3).ask(5, command("GET", "k")).loop()
		return p.at(10).slept(9).enter(4).answer(5, 10, hit).enter(3).reply(1, ok)
	}
	late := func(p *tape) *tape { // uvloop reads before it enters the connection's context
		for i := range p.events[:len(p.events)-1] {
			if e, r := &p.events[i], &p.events[i+1]; e.Type == event.Enter && r.Type == event.Recv {
				*e, *r = *r, *e
				e.Context = 0
			}
		}
		return p
	}
	for name, tt := range map[string]struct {
		tape   *tape
		uvloop bool
		wait   float64
	}{
		"asyncio: a task goes on after it":        {call(begun().enters(base, 7).enters(base, 30)), false, 6},
		"asyncio: a socket is read after it":      {call(begun().enters(base, 7).enters(base, 4).answer(5, 8.6, "")), false, 6},
		"asyncio: a socket was read before it":    {call(begun().enters(base, 4).in(9, 8.6, get("/c")).enters(base, 7)), false, 0},
		"asyncio: nothing else in its turn":       {call(begun().enters(base, 7)), false, 0},
		"asyncio: the turn began with a sleep":    {call(begun().slept(8.5).enters(base, 7).enters(base, 30)), false, 0},
		"uvloop: inside the idle handle":          {late(call(begun().enters(base, idle).enters(idle, 7))), true, 6},
		"uvloop: before the idle handle":          {late(call(begun().enters(base, 7).enters(base, idle))), true, 0},
		"asyncio: more timers follow it, no task": {call(begun().enters(base, 7).enters(base, 6)), false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := playOn(t, tt.tape, tt.uvloop)
			r := f.calling(t, "GET /a")
			if got := float64(r.Calls[len(r.Calls)-1].PoolWait) / 1e6; got != tt.wait {
				t.Errorf("waited %g ms, want %g: %s", got, tt.wait, stages(r))
			}
		})
	}
}

// A context is woken again and again before it calls, by what rounds say: a callback, or what may be a timer. Callbacks
// tell that it waited, also where some of its sleeps may have been ended by a timer.
func TestWokenAgainAndAgain(t *testing.T) {
	const base = 90
	for rounds, wait := range map[string]float64{"cccc": 40, "ctcc": 40, "ctc": 10, "cctcc": 50, "tttt": 0, "ccct": 40, "tttc": 10} {
		p := newTape().at(0.1).loop().midway(9).midway(1).known(5, 6379)
		p.enter(20).in(9, 0.1, get("/b")).copied(30)
		p.at(0.5).enter(30).ask(5, command("GET", "z")).loop().at(0.6).slept(0.5).enter(4).answer(5, 0.6, hit)
		p.at(1.5).enter(30).ask(5, command("BLPOP", "x", "1")).at(1.6).loop()
		p.at(2).slept(1.6).enter(2).in(1, 2, get("/a")).copied(3).at(2).enter(3)
		at := 2.0
		for i, by := range rounds {
			woken := uint64(100 + i)
			p.copied(woken).at(at + .1).loopFrom(base)
			if i == len(rounds)-1 {
				p.at(at+9).slept(at+.1).enters(base, 4).answer(5, at+9, "*-1\r\n").enters(base, 30).at(at + 9.1).loopFrom(base)
			}
			at += 10
			p.at(at-.5).loopFrom(base).at(at-.4).enters(base, woken)
			if by == 'c' {
				p.enters(base, 30)
			}
			p.at(at-.1).loopFrom(base).at(at).enters(base, 3)
		}
		p.ask(5, command("GET", "k")).loop().at(at+1).slept(at).enter(4).answer(5, at+1, hit).enter(3).reply(1, ok)
		f, _ := play(t, p)
		k := f.calling(t, "GET /a").Calls[0]
		if got := float64(k.PoolWait) / 1e6; got < wait-.5 || got > wait+.5 {
			t.Errorf("%s: waited %g ms from %g, want %g", rounds, got, float64(k.PoolWaitStart)/1e6, wait)
		}
	}
}
