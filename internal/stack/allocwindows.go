package stack

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/ragscope/ragscope/bpf"
	"github.com/ragscope/ragscope/internal/ktime"
)

// open opens a window of a length of its own time for each process; a trap costs a price.
func (a *allocs) open(length, price time.Duration) error {
	return a.change(func(w *bpf.AllocWindow) {
		w.Length, w.Price, w.Paid, w.End = uint64(length), uint64(price), 0, 0
		w.Begin = uint64(ktime.Monotonic())
	})
}

// extend makes all windows longer; none may be over.
func (a *allocs) extend(by time.Duration) error {
	return a.change(func(w *bpf.AllocWindow) { w.Length += uint64(by) })
}

func (a *allocs) change(change func(*bpf.AllocWindow)) error {
	for pid := range a.at {
		var w bpf.AllocWindow
		if err := a.objects.AllocWindows.Lookup(pid, &w); err != nil {
			return fmt.Errorf("watch the allocators of process %d: %w", pid, err)
		}
		change(&w)
		if err := a.objects.AllocWindows.Put(pid, w); err != nil {
			return fmt.Errorf("watch the allocators of process %d: %w", pid, err)
		}
	}
	return nil
}

// end is when a window was over, or will be if nobody asks for memory before.
func end(w *bpf.AllocWindow) int64 {
	if w.End != 0 {
		return int64(w.End)
	}
	return int64(w.Begin + min(w.Length+w.Paid, w.Length*uint64(bpf.AllocWindowLimitOWN_LEAST)))
}

// left is until when the first and the last window is over, at the soonest; not above 0: they are.
func (a *allocs) left() (first, last time.Duration) {
	now := ktime.Monotonic()
	first = time.Hour
	for pid := range a.at {
		var w bpf.AllocWindow
		if a.objects.AllocWindows.Lookup(pid, &w) == nil {
			left := time.Duration(end(&w) - now)
			first, last = min(first, left), max(last, left)
		}
	}
	return first, last
}

// shut ends all windows and says what they were, with the own time and what the traps took of the dearest.
func (a *allocs) shut() (out []AllocWindow, own, paid time.Duration) {
	for pid := range a.at {
		var w bpf.AllocWindow
		if a.objects.AllocWindows.Lookup(pid, &w) != nil || w.Begin == 0 {
			continue
		}
		x := AllocWindow{PID: pid, Begin: int64(w.Begin), End: min(end(&w), ktime.Monotonic())}
		x.Own = max(0, x.End-x.Begin-int64(w.Paid))
		out = append(out, x)
		if p := time.Duration(w.Paid); p >= paid {
			own, paid = time.Duration(x.Own), p
		}
		w.Begin = 0
		_ = a.objects.AllocWindows.Put(pid, w) // it is there, so there is room for it
	}
	return out, own, paid
}

// runs are those that have ended, and while no window is open all.
func (a *allocs) runs() (out []AllocRun) {
	var record ringbuf.Record
	each := func(x bpf.FaultTaken) {
		out = append(out, AllocRun{PID: x.Pid, TID: x.Tid, Time: int64(x.Time), Bytes: int64(x.Bytes)})
	}
	_ = readTaken(a.told, &record, each) // of a ring that is closed nothing comes any more
	return out
}

// rest are the runs that threads are in; the probes must not be in place.
func (a *allocs) rest() (out []AllocRun) {
	var tid uint32
	var r bpf.AllocRun
	var tids []uint32
	all := a.objects.AllocRunning.Iterate()
	for all.Next(&tid, &r) {
		tids = append(tids, tid)
		if r.Bytes.Bytes > 0 {
			out = append(out, AllocRun{PID: r.Bytes.Pid, TID: tid, Time: int64(r.Bytes.Time), Bytes: int64(r.Bytes.Bytes)})
		}
	}
	for _, tid := range tids {
		_ = a.objects.AllocRunning.Delete(tid)
	}
	return out
}
