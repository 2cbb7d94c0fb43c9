package watch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/mem"
	"github.com/shirou/gopsutil/v3/process"
	"golang.org/x/sys/unix"

	"github.com/ragscope/ragscope/internal/export/metrics"
	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/ktime"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/recording/collect"
	"github.com/ragscope/ragscope/internal/request"
	"github.com/ragscope/ragscope/internal/target"
)

// now reads the clocks.
func now() moment {
	return moment{time.Now(), ktime.Monotonic(), ktime.Boot()}
}

// readings are the figures that are read, not reported: cheap counters since some begin.
type readings struct {
	at        moment
	cost      kernel.Cost
	stacks    float64 // seconds that unwinding took from the target
	calls     float64 // … and that watching calls of allocators did
	sleeps    sleeps
	targetCPU float64 // seconds
	agentCPU  float64
	backends  []recording.Backend
	asked     time.Time // when the backends were
	losses    []recording.Loss
	held      [kernel.Sockets + 1]float64 // seconds that each precision held
	rates     map[int]float64             // … and each rate of CPU stacks, by samples a second
}

// slowFacts are what the ticker keeps. Guarded by Watcher.mu.
type slowFacts struct {
	first, last readings
	ticks       []recording.MemoryTick
	rss         uint64 // of the agent
}

const (
	tickEvery    = time.Second
	refreshEvery = 2 * time.Second        // whether workers came or went
	searchEvery  = 30 * time.Second       // a whole search takes 20 ms
	listensEvery = 200 * time.Millisecond // … because something listens: a program that dies of its start may do so for ever
	backendEvery = 5 * time.Second
	recentFor    = 30 * time.Second
)

// tick reads the slow figures until ctx ends.
func (w *Watcher) tick(ctx context.Context) {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	turned, looked, searched := w.begin.wall, w.begin.wall, w.begin.wall
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.fresh.wake:
			if time.Since(looked) >= listensEvery && w.fresh.listens.Swap(false) {
				looked = time.Now()
				w.refresh()
			}
			w.meet()
			continue
		case <-t.C:
		}
		listens := w.fresh.listens.Swap(false)
		if listens || time.Since(looked) >= refreshEvery {
			looked = time.Now()
			if listens || w.target.Changed() || time.Since(searched) >= searchEvery {
				searched = looked
				w.refresh()
			} else {
				w.looked = now().mono
			}
			w.lookForTLS()
		}
		r := w.read(ctx)
		before := w.keep(r)
		w.govern(before, r)
		if r.at.wall.Sub(turned) > recentFor {
			turned = r.at.wall
			w.mu.Lock()
			w.cut()
			w.recent[0], w.recent[1] = w.recent[1], collect.New(r.at.mono, w.total.Pools())
			w.mu.Unlock()
		}
		w.publish()
	}
}

// refresh follows workers that come and go. The look through /proc works on a copy, so that no
// event waits for it.
func (w *Watcher) refresh() {
	found := *w.target // only this goroutine changes it
	before := len(found.Processes)
	added, gone, err := found.Refresh()
	at := now().mono
	w.mu.Lock()
	w.target = &found
	if err != nil {
		w.lost = err
	}
	if err != nil || before > 0 && len(gone) == before { // all of it has ended since the last look
		w.away.left(w.looked)
	}
	w.looked = at
	w.mu.Unlock()
	for _, p := range gone {
		w.kernel.Unwatch(p.PID)
		delete(w.tls, p.PID)
		w.mu.Lock()
		w.forget(uint32(p.PID))
		w.tracker.Gone(uint32(p.PID), at)
		w.mu.Unlock()
		w.log.Info("a process of the target has ended", "pid", p.PID)
	}
	for _, p := range added {
		w.log.Info("a new process of the target is watched", "pid", p.PID)
		if w.begin.before(p) {
			w.mu.Lock()
			w.tracker.Starting(uint32(p.PID))
			w.mu.Unlock()
		}
		w.attach(p)
	}
	if err == nil {
		w.mu.Lock()
		w.lost = nil
		w.away.back(now().mono)
		w.mu.Unlock()
	}
	if s := w.sampler.Load(); s != nil && len(added)+len(gone) > 0 {
		s.SetPIDs(w.pids())
	}
}

// ended notes a target that has ended since the last look, when nobody looks any more.
func (w *Watcher) ended() {
	if w.lost != nil || slices.ContainsFunc(w.target.Processes, target.ProcessAlive) {
		return
	}
	w.lost = errors.New("all of its processes have ended")
	w.away.left(w.looked)
}

func (w *Watcher) pids() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []int
	for _, p := range w.target.Processes {
		out = append(out, p.PID)
	}
	return out
}

// read takes all readings now.
func (w *Watcher) read(ctx context.Context) readings {
	r := readings{at: now(), cost: w.kernel.Cost(), losses: w.losses(), held: w.slow.last.held, rates: maps.Clone(w.slow.last.rates)}
	passed := 0.0 // seconds since the last readings
	if last := w.slow.last.at; last.mono != 0 {
		passed = float64(r.at.mono-last.mono) / 1e9
	}
	r.held[w.kernel.Precision()] += passed
	tick, err := w.memory.Sample(w.pids(), w.crowds())
	r.targetCPU = w.memory.CPUSeconds()
	r.agentCPU = ownCPU()
	if w.sampling() {
		r.stacks = w.sampler.Load().RunSeconds()
		r.sleeps = w.readSleeps()
		if r.rates == nil {
			r.rates = map[int]float64{}
		}
		if !w.memoryOnly() {
			r.rates[w.sampler.Load().Hz()] += passed
		}
		r.calls = w.sampler.Load().CallSeconds(r.cost.TrapPrice)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.slow.remember(tick)
	}
	r.backends, r.asked = w.slow.last.backends, w.slow.last.asked
	if len(r.backends) > 0 && r.at.wall.Sub(r.asked) < backendEvery {
		return r
	}
	peers := w.peers()
	w.mu.Unlock()
	r.backends, r.asked = w.poller.Poll(ctx, peers), r.at.wall
	w.mu.Lock()
	return r
}

// peers are those that have pools.
func (w *Watcher) peers() []request.Peer {
	var out []request.Peer
	for _, p := range w.total.Pools().Now(now().mono) {
		out = append(out, p.Peer)
	}
	return out
}

func ownCPU() float64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// keep makes r the last readings and returns those before.
func (w *Watcher) keep(r readings) (before readings) {
	var rss uint64
	if p, err := process.NewProcess(int32(os.Getpid())); err == nil {
		if m, err := p.MemoryInfo(); err == nil {
			rss = m.RSS
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	before = w.slow.last
	w.slow.last, w.slow.rss = r, rss
	if len(w.slow.first.backends) == 0 { // peers show when they are first called
		w.slow.first.backends, w.slow.first.asked = r.backends, r.asked
	}
	var active int64
	for _, n := range w.tracker.Active() {
		active += n
	}
	seconds := r.at.wall.Sub(before.at.wall).Seconds()
	if seconds <= 0 {
		return before
	}
	cores := (r.targetCPU - before.targetCPU) / seconds
	w.each(func(c *collect.Collector) { c.Sample(r.at.mono, active, cores) })
	return before
}

// govern lets the governor judge what changed since the readings before.
func (w *Watcher) govern(before, r readings) {
	seconds := r.at.wall.Sub(before.at.wall).Seconds()
	if seconds <= 0 {
		return
	}
	spent, calls := r.spent()-before.spent(), r.calls-before.calls
	w.precision.pay(calls)
	w.steerSleeps(r.targetCPU-before.targetCPU, seconds)
	w.steerStacks(r.targetCPU-before.targetCPU, seconds)
	at := w.kernel.Precision()
	to := w.precision.next(at, spent, r.targetCPU-before.targetCPU-calls, seconds)
	if w.allocating.Load() {
		to = w.opts.Precision // somebody asks, for seconds, whose allocations they are
	}
	if to > w.opts.Precision && !w.warned {
		w.warned = true
		w.log.Warn("watching everything all the time would cost more than the overhead budget: everything is watched for a part of the time", "budget", w.opts.Budget)
	}
	if w.precision.hopeless() && !w.hopeless {
		w.hopeless = true
		w.log.Warn("even the cheapest precision costs more than the overhead budget: it stays, so that every request is seen", "budget", w.opts.Budget,
			"costs", fmt.Sprintf("%.1f %% of the target's CPU", 100*w.precision.price[kernel.Sockets]))
	}
	switch ending := !w.ending.IsZero(); {
	case at == kernel.Full && to != at && !ending:
		w.ending = r.at.wall
		w.turn(request.Ending)
	case at == kernel.Full && to == at && ending:
		w.ending = time.Time{}
		w.turn(request.Followed)
	case to == at, ending && r.at.wall.Sub(w.ending) < endWithin && w.following() > 0:
	default:
		w.ending = time.Time{}
		w.SetPrecision(to)
		w.log.Debug("precision", "step", to.String(), "cost of the step before", recording.Share(w.precision.price[at]), "average", recording.Share(w.precision.average()))
	}
}

// spent is what following requests took from the target until then, in CPU seconds.
func (r *readings) spent() float64 { return r.cost.Programs + r.cost.Traps + r.stacks }

// endWithin is how long the end of the followed requests is waited for. Were they cut off with the stretch, the
// longest would be missing among the followed.
const endWithin = 30 * time.Second

func (w *Watcher) following() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tracker.Following()
}

// turn tells the heart that the events from now on are those of a step.
func (w *Watcher) turn(to request.Step) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tracker.Turn(to, now().mono)
}

// SetPrecision moves to another step. The heart is told from when on the events are that step's: while both steps'
// hooks are there, they count as the cheaper one's.
func (w *Watcher) SetPrecision(to kernel.Precision) {
	if at := w.kernel.Precision(); to > at {
		w.turn(follows[to])
		w.kernel.SetPrecision(to)
	} else if to < at {
		w.kernel.SetPrecision(to)
		w.turn(follows[to])
	}
}

// follows says what the heart can tell at each precision.
var follows = [...]request.Step{kernel.Full: request.Followed, kernel.Linked: request.Linked, kernel.Sockets: request.Apart}

// losses are those of the kernel side, of the heart and of the stacks.
func (w *Watcher) losses() []recording.Loss {
	out := w.kernel.Losses()
	w.mu.Lock()
	for _, l := range w.tracker.Losses() {
		out = append(out, recording.Loss{Source: l.Source, Reason: l.Reason, Count: l.Count})
	}
	out = append(out,
		recording.Loss{Source: "heart", Reason: "event came too late to be put in order", Count: w.sequence.Late},
		recording.Loss{Source: "heart", Reason: "call that belongs to no request", Count: w.tracker.Orphans()})
	if w.joiner != nil {
		out = append(out, recording.Loss{Source: "stacks", Reason: "labelled before its endpoint could be known", Count: w.joiner.Early() + w.early})
	}
	w.mu.Unlock()
	if w.sampling() {
		for reason, n := range w.sampler.Load().Lost() {
			out = append(out, recording.Loss{Source: "stacks", Reason: reason, Count: n})
		}
	}
	return out
}

// sampling reports whether stacks are sampled now.
func (w *Watcher) sampling() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sampler.Load() != nil && w.stackWhy == ""
}

// publish hands the slow figures to the metrics.
func (w *Watcher) publish() {
	m := w.opts.Metrics
	if m == nil {
		return
	}
	w.mu.Lock()
	active := map[string]int{}
	for e, n := range w.tracker.Active() {
		active[e] = int(n)
	}
	var pools []metrics.PoolState
	for _, p := range w.total.Pools().Now(now().mono) {
		pools = append(pools, metrics.PoolState{
			Service: w.service, System: p.Peer.System, Address: p.Peer.Address, Open: p.Open, InUse: p.InUse,
			Limit: p.Limit, Pending: p.Pending, Timeouts: p.Timeouts, Creates: p.Creates, Leaked: p.Leaked,
		})
	}
	last := w.slow.last
	overhead := w.overhead(w.slow.first, last, w.total.Requests()+w.slice.Requests())
	var tick recording.MemoryTick
	if n := len(w.slow.ticks); n > 0 {
		tick = w.slow.ticks[n-1]
	}
	w.mu.Unlock()

	m.SetActive(w.service, active)
	m.SetPools(pools)
	m.SetMemory(w.service, tick, last.targetCPU)
	m.SetLosses(last.losses)
	overhead.PrecisionMode = w.kernel.Precision().String()
	if overhead.StackRates = nil; w.sampling() && !w.memoryOnly() {
		overhead.StackRates = []recording.StackRate{{Hz: w.sampler.Load().Hz()}}
	}
	m.SetOverhead(overhead)
	m.SetBackends(last.backends)
	var probes []metrics.ProbeState
	for _, p := range w.kernel.Probes() {
		probes = append(probes, metrics.ProbeState{Probe: p.Probe, Attached: p.Attached, RunSeconds: last.cost.ByProbe[p.Probe].Seconds})
	}
	m.SetProbes(probes)
}

func hostFacts() recording.Host {
	var h recording.Host
	if i, err := host.Info(); err == nil {
		h.Kernel, h.OS = i.KernelVersion, i.Platform+" "+i.PlatformVersion
	}
	if m, err := mem.VirtualMemory(); err == nil {
		h.MemoryBytes = m.Total
	}
	if c, err := cpu.Info(); err == nil && len(c) > 0 {
		h.CPUModel = c[0].ModelName
	}
	return h
}

// ErrTargetGone is why a watcher is not ready.
var ErrTargetGone = errors.New("the target is not there; it is attached again when it comes back")
