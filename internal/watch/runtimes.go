package watch

import (
	"slices"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/target"
)

// missingOf is what is not measured in a process that is not CPython.
func missingOf(r target.Runtime) []recording.NotMeasured {
	out := []recording.NotMeasured{{
		What: "calls, pool waits and on_cpu of requests that change their thread or share it",
		Why:  "a request is followed on the thread that reads it",
	}}
	switch r.Kind {
	case target.Golang:
		return append(out, recording.NotMeasured{
			What: "endpoint of CPU samples",
			Why:  "goroutines move from thread to thread, and which of them runs is not read; stacks are told for the whole process",
		})
	case target.NodeJS:
		return append(out, recording.NotMeasured{
			What: "endpoint of CPU samples after a handler has waited for something",
			Why:  "one event loop serves all requests, and which of them a callback is for is known to V8 alone; a sample is a request's where its handler runs as it is read",
		})
	case target.JVM:
		return append(out, recording.NotMeasured{
			What: "endpoint of CPU samples on threads that serve many requests at once",
			Why:  "event loops (Netty) and virtual threads have contexts that are not read; threads of a pool that serve one request at a time are followed",
		})
	}
	return append(out, recording.NotMeasured{
		What: "endpoint of CPU samples on threads that serve many requests at once",
		Why:  "what an event loop's callbacks work for is not read; threads that serve one request at a time are followed",
	})
}

// otherFindings is the doctor's view of the same.
func otherFindings(process, name string, r target.Runtime) []Finding {
	out := []Finding{{process, Works, name + " is " + r.String() + ": requests, calls of threads that wait for them, and stacks with the names of its functions", "", false}}
	for _, m := range missingOf(r) {
		out = append(out, Finding{process, Degraded, "not measured: " + m.What, m.Why, false})
	}
	return out
}

// otherRuntimes names the runtimes of processes that are not CPython. Called under mu.
func (w *Watcher) otherRuntimes(pids []int) string {
	var names []string
	for _, pid := range pids {
		if name := w.runtimes[uint32(pid)].String(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
