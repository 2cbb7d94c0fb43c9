package watch

import (
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/recording/collect"
	"github.com/ragscope/ragscope/internal/stack"
)

// allocated tells of memory that an endpoint touched. It is called under mu.
func (w *Watcher) allocated(endpoint string, s stack.Sample) {
	if outsideRequests(endpoint) {
		return // of no request
	}
	w.gather(s.Time, func(c *collect.Collector) { c.Allocated(s.Time, endpoint, s.Value) })
	if m := w.opts.Metrics; m != nil {
		m.AddAllocated(w.service, endpoint, s.Value)
	}
}

// allocationsWhy is why there are no allocation stacks, "" while they are sampled.
func (w *Watcher) allocationsWhy() string {
	if w.stackWhy != "" {
		return w.stackWhy
	}
	if s := w.sampler.Load(); s != nil && s.TouchedWhy() != nil {
		return s.TouchedWhy().Error()
	}
	return ""
}

// fillAllocated puts what the endpoints allocated into r, or why that is not known. Called under mu.
func (w *Watcher) fillAllocated(c *collect.Collector, r *recording.Recording) {
	if why := w.allocationsWhy(); why != "" {
		r.NotMeasured = append(r.NotMeasured, recording.NotMeasured{What: "allocations by endpoint", Why: why})
		return
	}
	c.FillAllocated(r)
	r.NotMeasured = append(r.NotMeasured, recording.NotMeasured{What: "allocations of memory that the allocator had already", Why: "allocated bytes are those of private memory that was touched for the first time; what is freed and used again within the process is seen by agent memory --allocations"})
}
