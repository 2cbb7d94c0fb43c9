package watch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/backend"
	"github.com/ragscope/ragscope/internal/diagnose"
	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/memory"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/recording/collect"
	"github.com/ragscope/ragscope/internal/request"
	"github.com/ragscope/ragscope/internal/web"
)

// Watcher is what the agent's pages show.
var _ web.Source = (*Watcher)(nil)

// Ready is nil while the target is attached.
func (w *Watcher) Ready() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost != nil {
		return fmt.Errorf("%w: %w", ErrTargetGone, w.lost)
	}
	return nil
}

// Recording covers all since the agent attached.
func (w *Watcher) Recording() *recording.Recording {
	w.mu.Lock()
	w.cut()
	r := w.record(w.total, w.begin, w.slow.first)
	w.mu.Unlock()
	w.addHotspots(r)
	return w.judged(r)
}

// Live covers the last half to whole minute; whether memory grows is judged since the agent attached: a minute is too
// short for that.
func (w *Watcher) Live() *recording.Recording {
	w.mu.Lock()
	w.cut()
	c := w.recent[0]
	begin := w.begin
	begin.wall = begin.wall.Add(durationOf(c.Begin() - begin.mono))
	begin.mono = c.Begin()
	r := w.record(c, begin, w.slow.first)
	ticks, rate := memory.Since(w.slow.ticks, 0), w.total.Rate()
	w.mu.Unlock()
	noHotspots(r, ofAPart)
	w.judged(r)
	all, _ := w.memory.Memory(0)
	all.Timeline, all.Limits = ticks, r.Memory.Limits
	memory.Conclude(&all, rate)
	all.Trend = nil // it is on another axis
	r.Memory.MemoryGrowth = all.MemoryGrowth
	return r
}

// settle is how long events are under way, at most: from their time to the heart.
const settle = request.Hold + 2*kernel.PollIdle

// window is one stretch of time that a loader asked for.
type window struct {
	w         *Watcher
	collector *collect.Collector
	begin     moment
	first     readings
}

// OpenWindow starts a window now.
func (w *Watcher) OpenWindow(name string) (web.Window, error) {
	t := now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut()
	x := &window{w: w, collector: collect.New(t.mono, w.total.Pools()), begin: t, first: w.slow.last}
	w.windows[x] = true
	w.log.Info("window opened", "name", name)
	return x, nil
}

// Close ends the window.
func (x *window) Close() (*recording.Recording, error) {
	time.Sleep(settle) // what ended a moment ago is still being put in order
	x.w.mu.Lock()
	x.w.cut()
	delete(x.w.windows, x)
	r := x.w.record(x.collector, x.begin, x.first)
	x.w.mu.Unlock()
	noHotspots(r, ofAPart)
	return x.w.judged(r), nil
}

// Discard drops the window.
func (x *window) Discard() {
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	delete(x.w.windows, x)
}

// record puts together what is known of a stretch that began at first. Called under mu.
func (w *Watcher) record(c *collect.Collector, begin moment, first readings) *recording.Recording {
	end := now()
	last := w.slow.last
	r := &recording.Recording{
		Schema: recording.Schema, Target: w.describe(), Host: w.host,
		Window:   recording.Window{Start: begin.wall, Seconds: float64(end.mono-begin.mono) / 1e9},
		Backends: backend.Rates(first.backends, last.backends, last.asked.Sub(first.asked).Seconds()),
		Losses:   since(first.losses, last.losses),
		Probes:   slices.DeleteFunc(w.kernel.Probes(), func(p recording.Probe) bool { return p.Reason == kernel.StandBy }),
		Overhead: w.overhead(first, last, c.Requests()),
	}
	if r.Backends == nil {
		r.Backends = []recording.Backend{}
	}
	c.Fill(r, end.mono)
	r.Sleeps = last.sleeps.since(&first.sleeps)
	r.NotMeasured = append([]recording.NotMeasured{}, w.notes...)
	w.fillAllocated(c, r)
	c.FillSlept(r)
	w.addMemory(r, begin)
	r.NotMeasured = append(r.NotMeasured, w.away.notMeasured(begin.mono, end.mono)...)
	r.NotMeasured = append(r.NotMeasured, unwatched(r.Overhead)...)
	r.NotMeasured = append(r.NotMeasured, w.withoutStacks(begin.mono, end.mono)...)
	if len(r.Pools) > 0 {
		r.NotMeasured = append(r.NotMeasured, recording.NotMeasured{What: "limit of a pool as configured", Why: "it lies in the client library's own objects, which cannot be read safely from outside, and command line and environment have no common name for it: the limit is the one seen in practice, its basis says how"})
	}
	if o := r.Overhead; r.EventLoop != nil && (o.PrecisionMode != kernel.Full.String() || o.PrecisionShare < 1) {
		r.NotMeasured = append(r.NotMeasured, recording.NotMeasured{What: "endpoint of a block of the event loop; lag of a loop that never sleeps", Why: "the precision was below full for a part of the time: there a turn of the loop ends where it sleeps or reads what came after its begin, so turns are too long rather than too short"})
	}
	timesWhy := w.timesWhy()
	if timesWhy != "" && r.EventLoop != nil && len(r.EventLoop.Blocks) > 0 {
		r.NotMeasured = append(r.NotMeasured, recording.NotMeasured{What: "function that blocks the event loop", Why: timesWhy})
	}
	if s := w.sampler.Load(); s != nil {
		if objects := s.Nameless(); len(objects) > 0 {
			r.NotMeasured = append(r.NotMeasured, recording.NotMeasured{What: "names of native functions in " + strings.Join(objects, ", "), Why: "these files have no symbols, and none were found beside them: frames are told as FILE+0xADDRESS; install their debug symbols"})
		}
	}
	if s := w.sampler.Load(); s != nil && timesWhy == "" && s.SleepsWhy() != nil {
		r.NotMeasured = append(r.NotMeasured, recording.NotMeasured{What: "function that sleeps on the event loop", Why: s.SleepsWhy().Error()})
	}
	if s := w.sampler.Load(); s != nil && timesWhy == "" && s.OffCPUWhy() != nil {
		r.NotMeasured = append(r.NotMeasured, recording.NotMeasured{What: diagnose.OffCPUProfile, Why: s.OffCPUWhy().Error() + ": only the sleeps of main threads are sampled, to name what blocks an event loop; the seconds are in the stages run_queue, gil_wait and blocked"})
	}
	if timesWhy != "" {
		r.NotMeasured = append(r.NotMeasured, recording.NotMeasured{What: recording.CPUProfile, Why: timesWhy}, recording.NotMeasured{What: diagnose.OffCPUProfile, Why: timesWhy})
	}
	return r
}

// judged adds what is concluded from the facts; it takes a while, so no event waits for it.
func (w *Watcher) judged(r *recording.Recording) *recording.Recording {
	w.judgeMemory(r)
	r.Bottlenecks = diagnose.Rank(r)
	return r
}

// unwatched is what a precision below full leaves out.
func unwatched(o recording.Overhead) []recording.NotMeasured {
	const what, why = "pool waits, on_cpu, run_queue, gil_wait, blocked and loop_wait", "more would cost the target more than --overhead-budget allows"
	switch full := kernel.Full.String(); {
	case o.PrecisionMode != full:
		out := []recording.NotMeasured{{What: what, Why: fmt.Sprintf("the precision was %s: %s", o.PrecisionMode, why)}}
		if o.PrecisionMode == kernel.Sockets.String() {
			out = append(out, recording.NotMeasured{What: "endpoint of calls that async code makes, and with it language models by endpoint and the delay of forwarded tokens; endpoint of stacks of child tasks and of threads", Why: "at the precision sockets calls and contexts are not linked to requests"})
		}
		return out
	case o.PrecisionShare < 1:
		return []recording.NotMeasured{{What: what + ", of requests that were not followed", Why: fmt.Sprintf(
			"the precision was full in %s of the time: %s; stages are told of the requests that were followed, see \"followed\" of each endpoint", recording.Share(o.PrecisionShare), why)}}
	}
	return nil
}

// precisionOf is the dearest step that held between two readings, and its share of the time.
func precisionOf(first, last readings, now kernel.Precision) (mode string, share float64) {
	var sum float64
	dearest := kernel.Sockets + 1
	for p := kernel.Sockets; p >= kernel.Full; p-- {
		if held := last.held[p] - first.held[p]; held > 0 {
			sum += held
			dearest = p
		}
	}
	if sum == 0 {
		return now.String(), 1
	}
	return dearest.String(), (last.held[dearest] - first.held[dearest]) / sum
}

// since subtracts the counts before the stretch.
func since(before, after []recording.Loss) []recording.Loss {
	old := map[[2]string]uint64{}
	for _, l := range before {
		old[[2]string{l.Source, l.Reason}] = l.Count
	}
	out := []recording.Loss{}
	for _, l := range after {
		l.Count -= min(l.Count, old[[2]string{l.Source, l.Reason}])
		out = append(out, l)
	}
	return out
}

// overhead is the agent's price between two readings, in which so many requests ended.
func (w *Watcher) overhead(first, last readings, requests int64) recording.Overhead {
	o := recording.Overhead{AgentRSSBytes: w.slow.rss}
	o.PrecisionMode, o.PrecisionShare = precisionOf(first, last, w.kernel.Precision())
	o.StackRates = ratesSince(first.rates, last.rates)
	seconds := last.at.wall.Sub(first.at.wall).Seconds()
	if seconds <= 0 {
		return o
	}
	o.AgentCPURatio = (last.agentCPU - first.agentCPU) / seconds
	if !last.cost.Known {
		o.Basis = "not measured: " + last.cost.Why
		return o
	}
	programs, traps := last.cost.Programs-first.cost.Programs, last.cost.Traps-first.cost.Traps
	stacks := last.stacks - first.stacks
	calls := last.calls - first.calls
	spent := programs + traps + stacks + calls
	used := last.targetCPU - first.targetCPU
	if used > spent {
		o.TargetRatio = spent / (used - spent)
	}
	if requests > 0 {
		o.SecondsPerRequest = spent / float64(requests)
	}
	o.Basis = fmt.Sprintf("run time of the BPF programs in the target's threads (%.3f s), traps at %.2f µs each (%.3f s) and unwinding of stacks (%.3f s), of %.1f s CPU",
		programs, last.cost.TrapPrice*1e6, traps, stacks, used)
	if calls > 0 {
		o.Basis += fmt.Sprintf("; watching calls of allocators took %.3f s more", calls)
	}
	return o
}

// FlushRequests writes out the --requests file and returns the first error of all its writes.
func (w *Watcher) FlushRequests() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lines == nil {
		return nil
	}
	return w.lines.Flush()
}
