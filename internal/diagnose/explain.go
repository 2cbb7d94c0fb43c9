package diagnose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

// explain says where a cause sits, what in the recording speaks for it, and what to do.
func explain(w *wait, f facts) (where string, evidence []string, recommendation string) {
	where, evidence, recommendation = explainCause(w, f)
	if place, advice, ok := elsewhere(w.name, f.rec); ok {
		where, recommendation = place, advice
	}
	return where, evidence, recommendation
}

func explainCause(w *wait, f facts) (where string, evidence []string, recommendation string) {
	switch w.name {
	case "pool":
		return explainPool(w, f)
	case "connect":
		return explainConnect(w, f)
	case "answer":
		return explainAnswer(w, f)
	case "llm":
		return explainLLM(w, f)
	case "code":
		return explainCode(w, f)
	case "starved":
		return explainStarved(w, f)
	case "gil":
		return explainGIL(w, f)
	case "blocked":
		return explainBlocked(w, f)
	case "busy":
		return explainBusy(f)
	case "accept":
		return explainAccept(f)
	case "send":
		return "the clients' connections", nil,
			"Responses wait for clients that read slowly; shorten or compress them, or let a proxy in front buffer them."
	default:
		if mode := f.rec.Overhead.PrecisionMode; mode != "" && mode != "full" {
			return "the target", []string{fmt.Sprintf("The precision was lowered to %s: CPU, event loop and pool waits are not told apart there.", mode)},
				"Measure again with a larger --overhead-budget: this time is not explained because explaining it was too dear."
		}
		return "the target", append([]string{"No stage of the model covers this time: a sleep, a lock or a queue inside the process."}, reasons(w, f.rec)...),
			"Look at what these endpoints await besides their calls: sleeps, locks, semaphores, queues; this share also bounds how far the other findings can be trusted."
	}
}

// reasons says what is known of unexplained time, the most first.
func reasons(w *wait, rec *recording.Recording) (out []string) {
	var all recording.Stage
	for i := range rec.Endpoints {
		for _, s := range rec.Endpoints[i].Stages {
			if causeOf(s) == w.cause {
				for _, why := range s.Reasons {
					all.Because(why)
				}
			}
		}
	}
	slices.SortFunc(all.Reasons, func(a, b recording.Reason) int { return cmp.Compare(b.Seconds, a.Seconds) })
	for _, r := range all.Reasons {
		what := "was ended by a timer of the request's own, a sleep or a time-out"
		if r.Reason == string(request.LockOrSemaphore) {
			what = "was ended by another request, as a lock or semaphore does, while no pool was at its limit"
		}
		out = append(out, fmt.Sprintf("%s of it, in %s, %s.", recording.Seconds(r.Seconds), plural(r.Requests, "request"), what))
	}
	return out
}

// system returns the recognised system of a peer, "redis" of "redis 127.0.0.1:6379".
func system(peer string) string {
	name, _, _ := strings.Cut(peer, " ")
	return name
}

func isLLM(peer string) bool {
	return system(peer) == "ollama" || system(peer) == "openai"
}

// isEmbedding says whether an operation of an LLM server makes embeddings.
func isEmbedding(operation string) bool {
	return strings.Contains(strings.ToLower(operation), "embed")
}

// place adds the peer's address where the recording knows a single one.
func place(peer string, rec *recording.Recording) string {
	if strings.Contains(peer, " ") {
		return peer
	}
	var addresses []string
	for _, p := range rec.Pools {
		if p.Peer == peer && !slices.Contains(addresses, p.Address) {
			addresses = append(addresses, p.Address)
		}
	}
	for _, b := range rec.Backends {
		if b.Peer == peer && !slices.Contains(addresses, b.Address) {
			addresses = append(addresses, b.Address)
		}
	}
	if len(addresses) != 1 {
		return peer
	}
	return strings.TrimSpace(peer + " " + addresses[0])
}

// called is one operation at a peer, summed over the endpoints.
type called struct {
	operation string
	count     int64
	errors    int64
	latency   recording.Dist
	firstByte recording.Dist
}

// callsTo sums the calls to a peer by operation, the most seconds first, and all together.
func callsTo(rec *recording.Recording, peer string) (ops []called, all called) {
	for i := range rec.Endpoints {
		for _, c := range rec.Endpoints[i].Calls {
			if c.Peer != peer && system(c.Peer) != peer && c.Peer != system(peer) {
				continue
			}
			k := slices.IndexFunc(ops, func(o called) bool { return o.operation == c.Operation })
			if k < 0 {
				ops = append(ops, called{operation: c.Operation})
				k = len(ops) - 1
			}
			ops[k].add(c)
			all.add(c)
		}
	}
	slices.SortFunc(ops, func(a, b called) int {
		return cmp.Or(cmp.Compare(b.latency.Sum, a.latency.Sum), cmp.Compare(a.operation, b.operation))
	})
	return ops, all
}

func (o *called) add(c recording.Call) {
	o.count += c.Count
	o.errors += c.Errors
	o.latency.Merge(c.Latency)
	o.firstByte.Merge(c.FirstByte)
}

// change writes how a figure moved between the lowest and the highest load, "" when there
// are not two levels that have it.
func (f facts) change(what string, of func(*recording.Recording) (seconds float64, ok bool)) (text string, ratio float64) {
	if len(f.levels) < 2 {
		return "", 0
	}
	low, high := f.levels[0], f.levels[len(f.levels)-1]
	a, okA := of(low)
	b, okB := of(high)
	if !okA || !okB || a <= 0 {
		return "", 0
	}
	return fmt.Sprintf("From %s to %s, %s went from %s to %s (× %.1f).", low.Scenario.Name, high.Scenario.Name, what,
		recording.Seconds(a), recording.Seconds(b), b/a), b / a
}

// plural writes "1 request", "3 requests".
func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return recording.Number(n) + " " + one + "s"
}
