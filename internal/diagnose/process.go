package diagnose

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

// stageSeconds sums a stage over all endpoints.
func stageSeconds(rec *recording.Recording, stage string) (d recording.Dist) {
	for i := range rec.Endpoints {
		for _, s := range rec.Endpoints[i].Stages {
			if s.Stage == stage {
				d.Merge(s.Dist)
			}
		}
	}
	return d
}

// cpuFacts says how busy the host and the target were.
func cpuFacts(rec *recording.Recording) (out []string) {
	if s := rec.Scenario; s != nil && s.CPUBusyRatio > 0 {
		text := fmt.Sprintf("The host's CPUs (%d) were %s busy", rec.Host.CPUs, recording.Share(s.CPUBusyRatio))
		if s.LoaderCPURatio > 0 {
			text += fmt.Sprintf(", %.2f cores of it the loader", s.LoaderCPURatio)
		}
		out = append(out, text+".")
	}
	if len(rec.Timeline) > 0 {
		top := slices.MaxFunc(rec.Timeline, func(a, b recording.Tick) int { return cmp.Compare(a.CPU, b.CPU) })
		if top.CPU > 0 {
			out = append(out, fmt.Sprintf("The target used up to %.2f cores.", top.CPU))
		}
	}
	return out
}

// explainCode: the requests' own code ran.
func explainCode(w *wait, f facts) (where string, evidence []string, recommendation string) {
	for _, name := range w.endpoints()[:min(3, len(w.endpoints()))] {
		i := slices.IndexFunc(f.rec.Endpoints, func(e recording.Endpoint) bool { return e.Endpoint == name })
		e := &f.rec.Endpoints[i]
		if e.Requests > 0 {
			evidence = append(evidence, fmt.Sprintf("%s ran %s a request.", name, recording.Seconds(w.by[name]/float64(e.Requests))))
		}
	}
	return "the target's own code", append(evidence, cpuFacts(f.rec)...),
		"Open the CPU flame graph of these endpoints and cut the widest functions; move long computations off the event loop, and add workers while cores are idle."
}

// explainStarved: a thread could have run, but no core was free.
func explainStarved(w *wait, f facts) (where string, evidence []string, recommendation string) {
	on := stageSeconds(f.rec, request.OnCPU).Sum
	evidence = append(evidence, fmt.Sprintf("Threads of the target were ready to run but waited for a core for %s; they ran for %s.", recording.Seconds(w.seconds), recording.Seconds(on)))
	return "the host's CPUs", append(evidence, cpuFacts(f.rec)...),
		"Give the target more CPU: move what runs beside it (LLM server, load generator) to other machines, raise its CPU quota, or lower the load. While cores are short, every other wait is longer than it would be."
}

func explainGIL(w *wait, f facts) (where string, evidence []string, recommendation string) {
	return "Python's global interpreter lock", append(sleepFacts(sleptFor(w, f.rec, true), f.rec), cpuFacts(f.rec)...),
		"Threads of one process wait for each other's Python code: use more worker processes instead of more threads, or move heavy work into native code that releases the lock."
}

func explainBlocked(w *wait, f facts) (where string, evidence []string, recommendation string) {
	d := stageSeconds(f.rec, request.Blocked)
	evidence = append(evidence, fmt.Sprintf("Blocking calls: %s with one, p95 %s, longest %s.", plural(d.Count, "request"), recording.Seconds(d.Quantile(.95)), recording.Seconds(d.Max)))
	places := sleptFor(w, f.rec, false)
	evidence = append(evidence, sleepFacts(places, f.rec)...)
	if inThreads(places) {
		w.kind = KindBlocked
		return "threads that work for requests", evidence, fmt.Sprintf(
			"%s sleeps in a thread, where it holds up its own request and one thread of the pool: shorten what it waits for, or await an asynchronous client instead; where requests queue for a thread, allow more of them.", places[0].name())
	}
	evidence = append(evidence, loopFacts(f.rec)...)
	if i := slices.IndexFunc(places, func(p slept) bool { return p.Main }); i >= 0 {
		return "the event loop's thread", evidence, sleepsOnLoop(places[i].name())
	}
	return "the event loop's thread", evidence, cmp.Or(loopAdvice(f.rec),
		"Find the blocking call and await it, or run it in a thread (asyncio.to_thread): while it sleeps no other request of that worker moves.")
}

// explainBusy: what was ready waited because the event loop ran something else.
func explainBusy(f facts) (where string, evidence []string, recommendation string) {
	for _, s := range []struct{ stage, says string }{
		{request.ReceiveQueue, "Requests lay unread in their sockets"},
		{request.LoopWait, "Answers that had arrived waited for the event loop"},
	} {
		if d := stageSeconds(f.rec, s.stage); d.Sum > 0 {
			evidence = append(evidence, fmt.Sprintf("%s for %s: p50 %s, p95 %s, longest %s.", s.says, recording.Seconds(d.Sum),
				recording.Seconds(d.Quantile(.5)), recording.Seconds(d.Quantile(.95)), recording.Seconds(d.Max)))
		}
	}
	on, runq, blocked := stageSeconds(f.rec, request.OnCPU).Sum, stageSeconds(f.rec, request.RunQueue).Sum, stageSeconds(f.rec, request.Blocked).Sum
	evidence = append(evidence, fmt.Sprintf("Meanwhile the target's threads ran for %s, waited for a core for %s and slept in blocking calls for %s.",
		recording.Seconds(on), recording.Seconds(runq), recording.Seconds(blocked)))
	evidence = append(append(evidence, loopFacts(f.rec)...), cpuFacts(f.rec)...)
	advice := loopAdvice(f.rec)
	switch {
	case advice != "" && runq <= on:
		recommendation = advice
	case blocked >= on && blocked >= runq && blocked > 0:
		recommendation = "Blocking calls hold the event loop: await them or run them in a thread."
	case runq > on:
		recommendation = "The event loop waits for a core: the host's CPUs are short, so add cores or move other programs away before tuning the code."
	default:
		recommendation = "The event loop is busy with Python code: add worker processes while cores are idle, move computations of more than a few milliseconds off the loop, and cut the hot functions of the flame graph."
	}
	return "the target's event loop", evidence, recommendation
}

func explainAccept(f facts) (where string, evidence []string, recommendation string) {
	d := stageSeconds(f.rec, request.AcceptQueue)
	return "the listening socket of " + f.rec.Target.Address, []string{fmt.Sprintf("New connections waited to be accepted: p50 %s, p95 %s, longest %s.",
			recording.Seconds(d.Quantile(.5)), recording.Seconds(d.Quantile(.95)), recording.Seconds(d.Max))},
		"The event loop is too busy to accept: add workers, and let clients keep their connections."
}
