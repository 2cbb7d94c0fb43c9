package simulate

import "github.com/ragscope/ragscope/internal/kernel/event"

// A worker is a thread of the executor. Its work is told ahead of the loop's clock: nothing on
// the loop depends on it before it ends.
type worker struct {
	free  int64 // when its last work ended
	began bool
}

// offload hands work of some length to the thread that is free first; the loop hears of its end
// by a callback in the task's context.
func (t *task) offload(d int64) {
	p := t.p
	ctx := p.copied()
	i := 0
	for k := range p.workers {
		if p.workers[k].free < p.workers[i].free {
			i = k
		}
	}
	w, tid := &p.workers[i], p.pid+1+uint32(i)
	at := max(p.now+10*us, w.free+5*us)
	if w.began {
		p.emit(event.Event{Type: event.Switch, TID: tid, Time: at, Arrive: w.free, Other: uint64(at)})
	}
	w.began = true
	p.emit(event.Event{Type: event.Enter, TID: tid, Time: at + 1*us, Other: ctx})
	on := at + 2*us
	for off := on + p.rng.Int64N(500*us); off < at+d; off = on + p.rng.Int64N(500*us) {
		on = off + p.rng.Int64N(500*us)
		why := [...]event.Flags{event.Preempted, event.GIL, 0}[p.rng.IntN(3)]
		if why == 0 {
			p.emit(event.Event{Type: event.Sleep, TID: tid, Time: off, Context: ctx})
		}
		p.emit(event.Event{Type: event.Switch, TID: tid, Time: on, Arrive: off, Other: uint64(off), Flags: why})
	}
	w.free = max(at+d, on+2*us)
	p.emit(event.Event{Type: event.Sleep, TID: tid, Time: w.free}) // it has left the context
	p.later(w.free-1*us, func() {
		p.free = append(p.free, ctx)
		t.wake()
	})
}
