package watch

import (
	"github.com/ragscope/ragscope/internal/request"
	"github.com/ragscope/ragscope/internal/stack"
	"github.com/ragscope/ragscope/internal/target"
)

// labeler says whose code a sample caught. It is called under mu.
type labeler struct{ w *Watcher }

// EndpointOf implements stack.Labeler. Where a thread is no execution context it says so rather than
// guess: a sample is a request's where nothing else can have run.
func (l labeler) EndpointOf(s *stack.Sample) string {
	python, attached := l.w.pythons[s.PID]
	if python != nil {
		endpoint := l.w.tracker.EndpointAt(s.PID, s.TID, s.Time)
		if stack.BetweenWorks(s.Frames) {
			return request.OtherThread // it left the context of its last work without a trap
		}
		return endpoint
	}
	served := l.w.tracker.ServedAt(s.PID, s.TID, s.Time)
	if work := stack.RuntimeWork(s.Frames); work != "" {
		return work
	}
	if outsideRequests(served.Endpoint) {
		return served.Endpoint
	}
	known := false
	switch runtime := l.w.runtimes[s.PID].Kind; {
	case !attached: // it has ended
	case runtime == target.Golang:
	case runtime == target.NodeJS:
		known = served.Endpoint != "" && !served.Queued && stack.HandsRequestOver(s.Frames)
	default:
		known = served.Told && !served.Waits && !stack.OnVirtualThread(s.Frames)
	}
	if !known {
		return stack.RequestUnknown
	}
	return served.Endpoint
}
