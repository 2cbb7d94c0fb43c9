package watch

import (
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/target"
)

// fresh are workers that came since the start. The kernel side watches one from its fork on, so its first request
// tells that it is there, before the next look through /proc would; and by then it has loaded what it serves
// with, so that is when it can be inspected for good.
type fresh struct {
	wake    chan struct{}   // something is to be looked at
	told    map[uint32]bool // processes that have shown a request: true, until they have been inspected
	listens atomic.Bool     // a process has begun to listen on a watched port
}

// call has somebody look.
func (f *fresh) call() {
	select {
	case f.wake <- struct{}{}:
	default: // it is awake
	}
}

// maxFresh bounds what is remembered of processes that the next look does not find.
const maxFresh = 1024

func newFresh() fresh { return fresh{wake: make(chan struct{}, 1), told: map[uint32]bool{}} }

// asked notes a request that a process reads. Called under mu.
func (w *Watcher) asked(e *event.Event) {
	if !e.Has(event.Inbound) || e.Type != event.Recv && e.Type != event.Frames && e.Type != event.Cipher {
		return
	}
	if _, settled := w.settled[e.PID]; settled {
		return
	}
	if _, told := w.fresh.told[e.PID]; told || len(w.fresh.told) >= maxFresh {
		return
	}
	w.fresh.told[e.PID] = true
	w.fresh.call()
}

// meet looks at workers that have begun to serve. Called by the goroutine that ticks.
func (w *Watcher) meet() {
	w.mu.Lock()
	var pids, unknown []uint32
	for pid, waiting := range w.fresh.told {
		if !waiting {
			continue
		}
		w.fresh.told[pid] = false
		if _, watched := w.pythons[pid]; watched {
			pids = append(pids, pid)
		} else {
			unknown = append(unknown, pid)
		}
	}
	w.mu.Unlock()
	if len(unknown) > 0 {
		w.refresh()
	}
	for _, p := range w.target.Processes { // only this goroutine changes it
		if slices.Contains(pids, uint32(p.PID)) && w.outgrown(p) {
			w.log.Info("a process of the target has loaded more since it was attached to", "pid", p.PID)
			w.attach(p)
		}
	}
	w.mu.Lock()
	for _, pid := range slices.Concat(pids, unknown) {
		if _, watched := w.pythons[pid]; watched {
			w.settled[pid] = struct{}{}
			delete(w.fresh.told, pid)
		}
	}
	w.mu.Unlock()
}

// startTick is what the start of a process is told in: the kernel's clock ticks, 100 a second for user space.
const startTick = 10_000_000 // ns

// before reports whether a process began after the moment.
func (m moment) before(p target.Process) bool { return int64(p.StartTime)*startTick >= m.boot }

// outgrown reports whether a process has other places to attach to than when it was attached to.
func (w *Watcher) outgrown(p target.Process) bool {
	w.mu.Lock()
	before := w.pythons[uint32(p.PID)]
	w.mu.Unlock()
	now, err := target.InspectPython(p.PID)
	return err == nil && !reflect.DeepEqual(before, now)
}

// forget drops what is remembered of a process that has ended. Called under mu.
func (w *Watcher) forget(pid uint32) {
	delete(w.pythons, pid)
	delete(w.runtimes, pid)
	delete(w.settled, pid)
	delete(w.fresh.told, pid)
}
