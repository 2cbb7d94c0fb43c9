// Package diagnose turns a recording into ranked bottlenecks.
//
// In: one recording, and the recordings of single load levels where there are several. Out:
// bottlenecks with the seconds that users waited for each, evidence whose figures all stand
// in the recording, and a recommendation. It measures nothing, predicts nothing that was not
// computed from a trace, and does no I/O.
//
// The rule. Every second of every request belongs to one stage (and peer); the seconds of a
// cause are the sums of its stages over all endpoints, and its share is of all those seconds:
//
//	P0  share ≥ 30 %, and an endpoint with ≥ 10 % of these seconds misses its p95 target or
//	    answers errors
//	P1  share ≥ 10 %
//	P2  share ≥ 3 %
//
// Below 3 % nothing is reported. The rank follows the seconds, never the kind.
package diagnose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

// Kinds of bottlenecks.
const (
	KindPool        = "pool"        // waiting for a free connection or stream
	KindDependency  = "dependency"  // a peer's answer, or a connection to it
	KindLLM         = "llm"         // a language model's answer
	KindCPU         = "cpu"         // the target's own code, or no core for it
	KindEventLoop   = "eventloop"   // what was ready waited for the event loop
	KindBlocked     = "blocked"     // threads beside the event loop slept in calls
	KindQueue       = "queue"       // waiting to be accepted, or for a slow client
	KindUnexplained = "unexplained" // time that the recording cannot explain
)

// Shares of all waiting from which a cause has each priority.
const (
	shareP0 = .30
	shareP1 = .10
	shareP2 = .03
)

// Rank returns the recording's bottlenecks, largest first. Levels are recordings of the
// same target at single loads; they add evidence of how a figure changed between the lowest
// and the highest load, and may be absent.
func Rank(rec *recording.Recording, levels ...*recording.Recording) []recording.Bottleneck {
	if rec == nil {
		return nil
	}
	total := 0.0
	causes := map[cause]*wait{}
	for i := range rec.Endpoints {
		e := &rec.Endpoints[i]
		for _, s := range e.Stages {
			if s.Sum <= 0 {
				continue
			}
			total += s.Sum
			w := causes[causeOf(s)]
			if w == nil {
				w = &wait{cause: causeOf(s), stages: map[string]float64{}, by: map[string]float64{}}
				causes[w.cause] = w
			}
			w.seconds += s.Sum
			w.stages[s.Stage] += s.Sum
			w.by[e.Endpoint] += s.Sum
		}
	}
	found := make([]recording.Bottleneck, 0, len(causes))
	for _, w := range causes {
		if w.seconds >= shareP2*total {
			w.share = w.seconds / total
			found = append(found, w.bottleneck(facts{rec, byLoad(levels)}))
		}
	}
	slices.SortFunc(found, func(a, b recording.Bottleneck) int {
		return cmp.Or(cmp.Compare(b.WaitedSeconds, a.WaitedSeconds), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Where, b.Where))
	})
	for i := range found {
		found[i].Rank = i + 1
	}
	return found
}

// cause is what several stages have in common: one thing to mend.
type cause struct{ kind, name, peer string }

// wait is the time that users waited for one cause.
type wait struct {
	cause
	seconds float64
	share   float64
	stages  map[string]float64 // stage → seconds
	by      map[string]float64 // endpoint → seconds
}

// facts is what evidence may be drawn from.
type facts struct {
	rec    *recording.Recording
	levels []*recording.Recording // by load, lowest first
}

// causeOf says what has to change for a stage to shrink.
func causeOf(s recording.Stage) cause {
	switch s.Stage {
	case request.PoolWait:
		return cause{KindPool, "pool", s.Peer}
	case request.Connect:
		return cause{KindDependency, "connect", s.Peer}
	case request.Upstream:
		if isLLM(s.Peer) {
			return cause{KindLLM, "llm", s.Peer}
		}
		return cause{KindDependency, "answer", s.Peer}
	case request.OnCPU:
		return cause{KindCPU, "code", ""}
	case request.RunQueue:
		return cause{KindCPU, "starved", ""}
	case request.GILWait:
		return cause{KindCPU, "gil", ""}
	case request.Blocked:
		return cause{KindEventLoop, "blocked", ""}
	case request.ReceiveQueue, request.LoopWait:
		return cause{KindEventLoop, "busy", ""}
	case request.AcceptQueue:
		return cause{KindQueue, "accept", ""}
	case request.Send:
		return cause{KindQueue, "send", ""}
	default: // also a stage of a later version
		return cause{KindUnexplained, "unexplained", ""}
	}
}

func (w *wait) bottleneck(f facts) recording.Bottleneck {
	b := recording.Bottleneck{
		Kind: w.kind, WaitedSeconds: w.seconds, Share: w.share, Endpoints: w.endpoints(),
	}
	harm := w.harms(f.rec)
	b.Priority = priority(w.share, len(harm) > 0)
	b.Evidence = append(b.Evidence, w.headline())
	b.Evidence = append(b.Evidence, w.unfollowed(f.rec)...)
	var more []string
	b.Where, more, b.Recommendation = explain(w, f)
	b.Kind = w.kind // as what is known of it tells
	b.Evidence = append(append(b.Evidence, more...), harm...)
	return b
}

func priority(share float64, harm bool) string {
	switch {
	case share >= shareP0 && harm:
		return "P0"
	case share >= shareP1:
		return "P1"
	default:
		return "P2"
	}
}

// endpoints lists who waited, longest first, without those that waited less than a hundredth
// of it.
func (w *wait) endpoints() []string {
	var out []string
	for e, s := range w.by {
		if s >= w.seconds/100 {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(w.by[b], w.by[a]), cmp.Compare(a, b)) })
	return out
}

func (w *wait) headline() string {
	worst := w.endpoints()[0]
	return fmt.Sprintf("Users waited %s for it, %s of all their waiting; %s of that on %s.",
		recording.Seconds(w.seconds), recording.Share(w.share), recording.Share(w.by[worst]/w.seconds), worst)
}

// mostly is the share of seconds from which what was followed stands for all.
const mostly = .95

// unfollowed says that users waited longer than was followed, where much was not: a request is followed as a whole or
// not at all, so long ones are followed less often.
func (w *wait) unfollowed(rec *recording.Recording) []string {
	var followed, all float64
	for i := range rec.Endpoints {
		if e := &rec.Endpoints[i]; w.by[e.Endpoint] > 0 {
			_, seconds := e.Basis()
			followed, all = followed+seconds, all+e.Latency.Sum
		}
	}
	if followed >= mostly*all {
		return nil
	}
	return []string{fmt.Sprintf("That is in the requests that were followed through every execution context: %s of the %s that all requests of these endpoints took. In the others they waited as well.",
		recording.Seconds(followed), recording.Seconds(all))}
}

// harmed is the share of a cause's seconds from which an endpoint's missed target or errors
// are held against the cause: an endpoint that hardly waits for it is harmed by others.
const harmed = .10

// harms says which endpoints that wait much for the cause miss their p95 target or answer
// errors. The loader's clock decides where a loader took part: it is the users'.
func (w *wait) harms(rec *recording.Recording) []string {
	var out []string
	for i := range rec.Endpoints {
		e := &rec.Endpoints[i]
		if w.by[e.Endpoint] < harmed*w.seconds {
			continue
		}
		latency, clock := e.Latency, "agent's clock"
		if e.Client != nil && e.Client.Response.Count > 0 {
			latency, clock = e.Client.Response, "loader's clock"
		}
		var harm []string
		if t, ok := p95Target(e.Endpoint); ok && latency.Count > 0 && latency.Quantile(.95) >= t {
			harm = append(harm, fmt.Sprintf("misses its target with a p95 of %s (limit %s, %s)", recording.Seconds(latency.Quantile(.95)), recording.Seconds(t), clock))
		}
		if n, of := failures(e); n > 0 {
			harm = append(harm, fmt.Sprintf("failed %s of %s requests", recording.Number(n), recording.Number(of)))
		}
		if len(harm) > 0 {
			out = append(out, e.Endpoint+" "+strings.Join(harm, " and ")+".")
		}
	}
	return out
}

// failures counts an endpoint's failed requests: the loader's checks where it took part,
// else answers of 5xx.
func failures(e *recording.Endpoint) (n, of int64) {
	if e.Client != nil && e.Client.Requests > 0 {
		return e.Client.Failures, e.Client.Requests
	}
	for code, count := range e.Status {
		if len(code) == 3 && code[0] == '5' {
			n += count
		}
	}
	return n, e.Requests
}

// byLoad sorts the levels by the requests in progress, on average (Little's law: seconds of
// all requests ÷ seconds of the window). Unlike the throughput it keeps growing when the
// target is saturated.
func byLoad(levels []*recording.Recording) []*recording.Recording {
	out := slices.DeleteFunc(slices.Clone(levels), func(r *recording.Recording) bool {
		return r == nil || r.Scenario == nil || r.Window.Seconds <= 0
	})
	slices.SortStableFunc(out, func(a, b *recording.Recording) int { return cmp.Compare(inProgress(a), inProgress(b)) })
	return out
}

func inProgress(r *recording.Recording) float64 {
	sum := 0.0
	for i := range r.Endpoints {
		sum += r.Endpoints[i].Latency.Sum
	}
	return sum / r.Window.Seconds
}
