package request

import "testing"

// anyio's threads: request i has socket i+1 and context task(i), and hands work(i) to thread 300+i.
func task(i int) uint64 { return uint64(1000 + 10*i) }

func (p *tape) hands(i int) *tape { return p.enter(task(i)).copied(task(i) + 1).enter(task(i) + 1) }

func (p *tape) takesOn(i, thread int) *tape {
	return p.on(uint32(300 + thread)).enter(task(i) + 1).on(loopTID).as(0)
}

// comesBack is a thread's answer and what the loop does then, up to the request's; its begin in ms.
func (p *tape) comesBack(i, thread int, at float64) *tape {
	return p.on(uint32(300+thread)).as(0).at(at).copied(task(i)+2).on(loopTID).at(at+0.1).enter(task(i)+2).at(at+0.11).loop().
		at(at+0.12).enter(task(i)).reply(uint64(i+1), ok)
}

// outWith is a target whose n requests have all handed work to threads by 3 ms, and one more that came at 4 ms.
func outWith(n int) *tape {
	p := newTape().at(0.1).loop()
	for i := range n + 1 {
		p.midway(uint64(i + 1))
	}
	p.at(1)
	for i := range n {
		p.enter(uint64(10+i)).in(uint64(i+1), 1, get("/a")).copied(task(i))
	}
	p.at(2).loop()
	for i := range n {
		p.hands(i)
	}
	p.at(2.1).loop().at(3)
	for i := range n {
		p.takesOn(i, i)
	}
	return p.at(4).slept(2.1).enter(uint64(10+n)).in(uint64(n+1), 4, get("/b")).copied(task(n)).enter(task(n)).at(4.1).loop()
}

func TestWaitForThread(t *testing.T) {
	last := func(n int, p *tape) *tape { return p.comesBack(n, 0, 22) }
	tests := map[string]struct {
		n    int
		tape func(n int, p *tape) *tape
		wait bool
	}{
		"no thread is free": {40, func(n int, p *tape) *tape {
			return last(n, p.at(20).slept(4.1).comesBack(0, 0, 20).at(20.13).loop().hands(n).at(20.2).loop().at(20.3).takesOn(n, 0))
		}, true},
		"a semaphore of few": {3, func(n int, p *tape) *tape {
			return last(n, p.at(20).slept(4.1).comesBack(0, 0, 20).at(20.13).loop().hands(n).at(20.2).loop().at(20.3).takesOn(n, 0))
		}, false},
		"a thread was free meanwhile": {40, func(n int, p *tape) *tape {
			return last(n, p.at(10).slept(4.1).comesBack(1, 1, 10).at(10.2).loop().at(10.3).loop().at(10.4).loop().
				at(20).slept(10.4).comesBack(0, 0, 20).at(20.13).loop().hands(n).at(20.2).loop().at(20.3).takesOn(n, 0))
		}, false},
		"it hands over nothing": {40, func(n int, p *tape) *tape {
			return p.at(20).slept(4.1).comesBack(0, 0, 20).at(20.13).loop().enter(task(n)).reply(uint64(n+1), ok)
		}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, _ := play(t, tt.tape(tt.n, outWith(tt.n)))
			r := f.requests[len(f.requests)-1]
			if r.Endpoint != "GET /b" {
				t.Fatalf("the last request is %s of %d", r.Endpoint, len(f.requests))
			}
			want := Unexplained
			if tt.wait {
				want = LoopWait
			}
			if got := r.spanAt(ms(15)).Stage; got != want {
				t.Errorf("it waits in %s, want %s: %s", got, want, stages(r))
			}
		})
	}
}

// What came back while events were lost is not known: no wait is claimed on it.
func TestWaitForThreadAfterLoss(t *testing.T) {
	f := &facts{}
	tr := newTracker(f, false)
	p := outWith(40).at(20).slept(4.1).comesBack(0, 0, 20).at(20.13).loop().hands(40).at(20.2).loop().at(20.3).takesOn(40, 0).comesBack(40, 0, 22)
	lost := false
	for i := range p.events {
		if e := &p.events[i]; !lost && e.Time >= ms(3.5) {
			tr.Lost(ms(3.2), ms(3.4))
			lost = true
		}
		tr.Feed(&p.events[i])
	}
	r := f.requests[len(f.requests)-1]
	if got := r.spanAt(ms(15)).Stage; got != Unexplained {
		t.Errorf("it waits in %s: %s", got, stages(r))
	}
}
