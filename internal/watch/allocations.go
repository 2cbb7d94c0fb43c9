package watch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ragscope/ragscope/internal/memory"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/stack"
)

// watchAllocations watches calls of allocators once stacks are sampled.
func (w *Watcher) watchAllocations(ctx context.Context) {
	if !until(ctx, w.sampling) {
		return
	}
	w.allocating.Store(true)
	defer w.allocating.Store(false)
	if !until(ctx, func() bool { return w.kernel.Precision() == w.opts.Precision }) {
		return
	}
	found, err := w.sampler.Load().Allocations(ctx, stack.AllocOptions{
		For: w.opts.Allocations, TrapPrice: w.kernel.Cost().TrapPrice, Before: w.forecast, Runs: w.holdRuns,
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.allocsWhy = err.Error()
		w.log.Warn("calls of allocators are not watched", "error", err)
	}
	if found == nil || found.Watched == 0 {
		return
	}
	w.allocs = &recording.Allocations{
		Seconds: found.Elapsed.Seconds(), WatchedSeconds: found.Watched.Seconds(),
		Calls: found.Calls, Bytes: found.Bytes, CallPrice: found.Price, PredictedRatio: found.Share, NotSeen: found.Notes,
	}
	for _, x := range found.Windows {
		w.allocs.Windows = append(w.allocs.Windows, recording.AllocationWindow{PID: int(x.PID), Begin: float64(x.Begin) / 1e9, Seconds: float64(x.End-x.Begin) / 1e9, Own: float64(x.Own) / 1e9})
	}
	if found.Untold > 0 {
		w.allocs.NotSeen = append(w.allocs.NotSeen, fmt.Sprintf("whose %s were: more threads asked at a time than are followed, or more often than is read", recording.Bytes(float64(found.Untold))))
	}
	if found.Of > 0 {
		w.allocs.TargetRatio = found.Cost / found.Of
	}
}

// maxRuns are 8 s of 30 threads that do nothing but ask for memory.
const maxRuns = 1 << 18

// holdRuns holds runs until their endpoints are known.
func (w *Watcher) holdRuns(runs []stack.AllocRun) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs = append(w.runs, runs...)
	if more := len(w.runs) - maxRuns; more > 0 {
		w.early += w.attribute(w.runs[:more])
		w.runs = slices.Delete(w.runs, 0, more)
	}
}

// attributeUntil gives the runs before a time (CLOCK_MONOTONIC, ns) to their endpoints. Called under mu.
func (w *Watcher) attributeUntil(t int64) {
	n := 0
	for n < len(w.runs) && w.runs[n].Time < t {
		n++
	}
	w.attribute(w.runs[:n])
	w.runs = slices.Delete(w.runs, 0, n)
}

func (w *Watcher) attribute(runs []stack.AllocRun) (n uint64) {
	for _, r := range runs {
		endpoint, read := w.tracker.RequestAt(r.PID, r.TID, r.Time)
		w.tallies[stack.Malloc].Know(cmp.Or(endpoint, stack.OutsideRequests), r.Bytes)
		if read != 0 {
			w.asking.took(r.PID, read, r.Bytes)
		}
	}
	return uint64(len(runs))
}

// until waits for something that happens within seconds, or for ctx to end.
func until(ctx context.Context, happened func() bool) bool {
	for !happened() {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
	return true
}

// forecast says what watching will cost.
func (w *Watcher) forecast(f stack.AllocForecast) {
	if w.opts.Forecast == nil {
		return
	}
	text := fmt.Sprintf("allocations: %.0f calls a second, %.2f µs of the target's CPU each: ", f.Calls, f.Price*1e6)
	if f.Share == 0 {
		text += "what that is of the target's CPU could not be measured"
	} else {
		text += fmt.Sprintf("watching all of them would add %s to its CPU time, so they are watched for %s of its own time, which costs about %s",
			recording.Share(f.Share), recording.Share(f.Watched), recording.Share(min(f.Share, stack.DefaultAllocShare)))
	}
	w.opts.Forecast(text)
}

// addAllocations adds what allocators were asked for.
func (w *Watcher) addAllocations(r *recording.Recording) {
	if w.opts.Allocations == 0 {
		return
	}
	w.mu.Lock()
	asked, why := w.allocs, cmp.Or(w.allocsWhy, w.stackWhy)
	w.mu.Unlock()
	if asked == nil {
		r.NotMeasured = append(r.NotMeasured, recording.NotMeasured{What: "allocations on demand", Why: cmp.Or(why, "the run ended before they were watched")})
		return
	}
	out := *asked
	total := w.tallies[stack.Malloc].Total(time.Now())
	out.Endpoints = []recording.EndpointAllocation{}
	for endpoint, bytes := range total.ByEndpoint() {
		out.Endpoints = append(out.Endpoints, recording.EndpointAllocation{Endpoint: endpoint, Bytes: bytes})
	}
	slices.SortFunc(out.Endpoints, func(a, b recording.EndpointAllocation) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Endpoint, b.Endpoint))
	})
	w.mu.Lock()
	answered := map[string]int64{}
	for _, e := range r.Endpoints {
		answered[e.Endpoint] = e.Requests
	}
	memory.PerRequest(out.Endpoints, w.asking.requests(), out.Windows, answered)
	if w.asking.dropped > 0 {
		out.NotSeen = append(slices.Clone(out.NotSeen), fmt.Sprintf("how many requests the windows held: of %s it is not known", recording.Number(w.asking.dropped)))
	}
	w.mu.Unlock()
	out.Hotspots = []recording.Hotspot{}
	if spots, err := memory.Hotspots(total); err == nil {
		out.Hotspots = spots
	}
	r.Memory.Allocations = &out
}
