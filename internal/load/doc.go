// Package load sends a scenario and measures what came back.
//
// In: a scenario.Scenario, a base URL, and sinks that want every sample. Out: a Result with
// latency distributions on two clocks: response, from the moment a request was meant to be
// sent, and service, from the moment it was sent. It never hides its own weakness: a run
// whose generator could not keep its schedule is marked invalid and says why, and a request
// that was stopped before its end is counted apart.
//
// The room in one look: a Plan is the load against time (plan.go), and may change while the run
// goes on (control.go); users follow it (closed.go), or a Pacer says when it makes requests due
// (pacer.go) and a dispatcher sends them (open.go), a Sender sends (sender.go, http.go, stream.go), every worker keeps
// its samples in a mailbox of its own (sample.go), and one goroutine gathers them, adds them
// up (summary.go) and feeds the sinks (run.go).
package load
