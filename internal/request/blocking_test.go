package request

import (
	"fmt"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

const (
	giver, waiter, other = 201, 202, 203 // threads
	own, common          = 0x50, 0x60    // locks
)

// sleeps is a thread that goes to sleep in a lock at a time; wakes is its end, by a thread.
func (p *tape) sleeps(tid uint32, at float64, lock uint64) *tape {
	return p.on(tid).at(at).add(event.Event{Type: event.Sleep, Other: lock})
}

func (p *tape) wakes(tid uint32, from, woken, on float64, lock uint64, by uint32) *tape {
	return p.on(tid).at(on).add(event.Event{Type: event.Switch, Flags: event.Futex, Arrive: ms(from), Other: uint64(ms(woken)), Context: lock, Len: by})
}

// twoHave is a pool of two connections, 5 and 6, that two threads have when a third reads its request.
func twoHave() *tape {
	return newTape().on(giver).midway(1).midway(2).midway(3).known(5, 6379).known(6, 6379).
		at(0.1).in(3, 0.1, get("/o")).ask(5, command("GET", "k")).at(0.2).answer(5, 0.2, hit).ask(6, command("GET", "k")).at(0.3).answer(6, 0.3, hit).reply(3, ok).
		at(1).in(1, 1, get("/g")).ask(5, command("GET", "k")).
		on(other).at(1.2).in(3, 1.2, get("/o")).ask(6, command("GET", "k")).
		on(waiter).at(2).in(2, 2, get("/a"))
}

// gives is the giver that reads its answer, waits for the GIL until 14, and gives its connection back then.
func (p *tape) gives() *tape {
	return p.on(giver).at(4).answer(5, 3.5, hit).at(14).off(4.1, 13.9, event.GIL)
}

func (p *tape) calls(tid uint32, at float64, sock uint64) *tape {
	return p.on(tid).at(at).ask(sock, command("GET", "k"))
}

// A worker thread waits for a connection in a lock of its own. What is its wait, from when until when?
func TestBlockedThread(t *testing.T) {
	tests := map[string]struct {
		tape       *tape
		from, wait float64
	}{
		"the giver waits for the GIL first, the waiter after": {twoHave().sleeps(waiter, 3, own).gives().wakes(waiter, 3, 14.1, 15, own, giver).
			at(20).off(15.01, 19, event.GIL).calls(waiter, 20.1, 5), 3, 17},
		"it sleeps after the answer was read": {twoHave().gives().sleeps(waiter, 5, own).wakes(waiter, 5, 14.1, 15, own, giver).calls(waiter, 15.1, 5), 5, 10},
		"it takes one that was given back meanwhile": {twoHave().sleeps(waiter, 3, own).gives().calls(giver, 14.3, 5).wakes(waiter, 3, 14.1, 15, own, giver).
			on(other).at(15.2).answer(6, 15.2, hit).calls(waiter, 15.5, 6), 3, 12},
		"it was woken in vain": {twoHave().sleeps(waiter, 3, own).gives().calls(giver, 14.2, 5).wakes(waiter, 3, 14.1, 15, own, giver).sleeps(waiter, 15.1, own+1).
			on(giver).at(18).answer(5, 18, hit).wakes(waiter, 15.1, 18.1, 18.2, own+1, giver).calls(waiter, 18.3, 5), 3, 15.2},
		"it waits for the pool's own lock as well": {twoHave().sleeps(waiter, 3, own).gives().wakes(waiter, 3, 14.1, 15, own, giver).sleeps(other, 15.02, common).
			sleeps(waiter, 15.05, common).wakes(waiter, 15.05, 16, 16.1, common, other).calls(waiter, 16.3, 5), 3, 13.1},
		"it sleeps in a lock that others sleep in": {twoHave().sleeps(other, 2.5, common).sleeps(waiter, 3, common).gives().wakes(waiter, 3, 14.1, 15, common, giver).calls(waiter, 15.1, 5), 0, 0},
		"somebody else took the lock": {twoHave().sleeps(waiter, 3, common).gives().wakes(waiter, 3, 14.1, 15, common, giver).sleeps(waiter, 15.01, common).
			wakes(waiter, 15.01, 15.4, 15.5, common, giver).calls(waiter, 15.6, 5), 0, 0},
		"it is woken by one that has given nothing": {twoHave().sleeps(waiter, 3, own).gives().wakes(waiter, 3, 14.1, 15, own, other).calls(waiter, 15.1, 5), 0, 0},
		"the giver worked in between":               {twoHave().sleeps(waiter, 3, own).on(giver).at(4).answer(5, 3.5, hit).wakes(waiter, 3, 14.1, 15, own, giver).calls(waiter, 15.1, 5), 0, 0},
		"it sleeps in a call that is no lock":       {twoHave().sleeps(waiter, 3, 0).gives().on(waiter).at(15).off(3, 14.1, 0).calls(waiter, 15.1, 5), 0, 0},
		"one is closed, and it makes another": {twoHave().sleeps(waiter, 3, own).gives().close(5).wakes(waiter, 3, 14.1, 15, own, giver).
			on(waiter).at(15.1).dial(7, 6379).at(15.5).ask(7, command("GET", "k")).at(60).answer(7, 60, hit), 3, 12},
		"it makes one more than there ever were": {twoHave().sleeps(waiter, 3, own).gives().wakes(waiter, 3, 14.1, 15, own, giver).
			on(waiter).at(15.1).dial(7, 6379).at(15.5).ask(7, command("GET", "k")).at(60).answer(7, 60, hit), 0, 0},
		"it makes another after a sleep that no pool ended": {twoHave().sleeps(waiter, 3, own).gives().close(5).wakes(waiter, 3, 30, 31, own, other).
			on(waiter).at(31.1).dial(7, 6379).at(31.5).ask(7, command("GET", "k")).at(60).answer(7, 60, hit), 0, 0},
		"it is woken again and again by those who ask": {twoHave().gives().sleeps(waiter, 20, own).wakes(waiter, 20, 24.9, 25, own, other).sleeps(waiter, 25.1, own+1).
			wakes(waiter, 25.1, 29, 29.1, own+1, other).sleeps(waiter, 29.3, own+2).wakes(waiter, 29.3, 33, 33.1, own+2, other).calls(waiter, 33.3, 5), 20, 13.1},
		"it is woken twice": {twoHave().gives().sleeps(waiter, 20, own).wakes(waiter, 20, 24.9, 25, own, other).sleeps(waiter, 25.1, own+1).
			wakes(waiter, 25.1, 33, 33.1, own+1, other).calls(waiter, 33.3, 5), 0, 0},
		"it works between its sleeps": {twoHave().gives().sleeps(waiter, 20, own).wakes(waiter, 20, 24.9, 25, own, other).sleeps(waiter, 27.1, own+1).
			wakes(waiter, 27.1, 29, 29.1, own+1, other).sleeps(waiter, 31.3, own+2).wakes(waiter, 31.3, 33, 33.1, own+2, other).calls(waiter, 33.3, 5), 0, 0},
		"a connection lies idle": {twoHave().on(other).at(2.1).answer(6, 2.1, hit).reply(3, ok).sleeps(waiter, 60, own).on(giver).at(64).answer(5, 64, hit).
			wakes(waiter, 60, 64.1, 65, own, giver).calls(waiter, 65.1, 5), 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := tt.tape
			p.on(waiter).at(70).answer(5, 70, hit).answer(6, 70, hit).reply(2, ok)
			slicesByTime(p.events)
			f, tr := play(t, p)
			r := f.calling(t, "GET /a")
			k := r.Calls[0]
			if k.PoolWaitStart != ms(tt.from) || k.PoolWait != ms(tt.wait) {
				t.Errorf("waited from %g ms for %g, want from %g for %g; %s", float64(k.PoolWaitStart)/1e6, float64(k.PoolWait)/1e6, tt.from, tt.wait, stages(r))
			}
			if asleep := r.sum(Blocked); tt.wait > 0 && asleep > 0 {
				t.Errorf("a wait for a connection counts as blocked: %s", stages(r))
			}
			if len(tr.locks) > 1 {
				t.Errorf("%d locks are slept in, want that of the other thread at most", len(tr.locks))
			}
		})
	}
}

// Threads that are forgotten sleep in no lock any more.
func TestForgottenSleeper(t *testing.T) {
	p := twoHave()
	for i := range uint64(5) {
		p.sleeps(300+uint32(i), 3+float64(i), own+i)
	}
	f, tr := play(t, p)
	if tr.Gone(apiPID, ms(10)); len(tr.locks) > 0 {
		t.Errorf("%d locks are still slept in, %s", len(tr.locks), fmt.Sprint(f.requests))
	}
}
