package watch

import (
	"slices"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/recording/collect"
	"github.com/ragscope/ragscope/internal/stack"
)

// sleeps are counted since the agent attached: all by kind, and the sampled ones that were idle by reason.
type sleeps struct {
	kinds, idle map[string]stack.Sleeps
	period      float64
}

// idles counts a sample whose thread had nothing to do: it belongs to no profile. Called under mu.
func (w *Watcher) idles(endpoint string, s *stack.Sample) bool {
	why := stack.Idle(s, outsideRequests(endpoint))
	if why == "" {
		return false
	}
	n := w.idle[why]
	n.Count++
	n.Seconds += float64(s.Value) / 1e9
	w.idle[why] = n
	return true
}

// slept tells of a sleep for an endpoint. It is called under mu.
func (w *Watcher) slept(endpoint string, s stack.Sample) {
	if outsideRequests(endpoint) {
		return // of no request
	}
	place := recording.SleepPlace{Function: stack.Culprit(s.Frames), What: s.Sleep.String(), Main: s.TID == s.PID, Samples: 1, Seconds: float64(s.Value) / 1e9}
	w.gather(s.Time, func(c *collect.Collector) { c.Slept(s.Time, endpoint, place) })
}

// outsideRequests: words in brackets stand where no endpoint is.
func outsideRequests(endpoint string) bool { return strings.HasPrefix(endpoint, "(") }

// readSleeps takes the counts of now.
func (w *Watcher) readSleeps() sleeps {
	s := w.sampler.Load()
	if s == nil {
		return sleeps{}
	}
	byKind, period := s.Sleeps()
	out := sleeps{kinds: map[string]stack.Sleeps{}, idle: map[string]stack.Sleeps{}, period: period.Seconds()}
	for kind, n := range byKind {
		out.kinds[kind.String()] = n
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for why, n := range w.idle {
		out.idle[why] = n
	}
	return out
}

// since is what came after the counts before.
func (s *sleeps) since(before *sleeps) *recording.Sleeps {
	if s.period == 0 {
		return nil
	}
	return &recording.Sleeps{Kinds: sleepsSince(before.kinds, s.kinds), Idle: sleepsSince(before.idle, s.idle), PeriodSeconds: s.period}
}

func sleepsSince(before, now map[string]stack.Sleeps) []recording.Sleep {
	out := []recording.Sleep{}
	for what, n := range now {
		n.Count -= before[what].Count
		n.Seconds -= before[what].Seconds
		if n.Count > 0 {
			out = append(out, recording.Sleep{What: what, Sleeps: n.Count, Seconds: n.Seconds})
		}
	}
	slices.SortFunc(out, func(a, b recording.Sleep) int { return strings.Compare(a.What, b.What) })
	return out
}

const (
	sleepsShare = 0.25   // of the overhead budget that unwinding of sleeps may take
	sleepsLeast = 200e-6 // seconds a second that it may take of a target that hardly runs: a few stacks
)

// steerSleeps fits the sampling of sleeps to the budget, as the target used so much CPU in the last seconds.
func (w *Watcher) steerSleeps(used, seconds float64) {
	s := w.sampler.Load()
	if s == nil || w.opts.Budget <= 0 {
		return
	}
	s.SteerSleeps(max(sleepsShare*w.opts.Budget*used, sleepsLeast*seconds))
}
