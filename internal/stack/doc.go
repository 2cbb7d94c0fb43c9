// Package stack turns a CPU clock's ticks into symbolised stacks, and stacks into profiles by
// endpoint.
//
// Culprits picks from them the function that held a thread up.
//
// In: the processes to watch (Sampler.SetPIDs) and somebody who knows which endpoint a thread
// served at an instant (Labeler). Out: Sample values with Python, native and kernel frames,
// and Profile values: how often each stack of each endpoint was seen. Everything it could not
// sample, unwind or keep is counted (Sampler.Lost, Profile.Folded).
//
// It is the only room that imports the unwinder, go.opentelemetry.io/ebpf-profiler, whose API
// changes from month to month; all of it is in sampler.go, unwinder.go, frames.go, losses.go and the
// triggers: entry.go, clock.go, offcpu.go, chain.go, asleep.go, faults.go, allocs.go, probechain.go.
// Sampler is the only part with goroutines and a kernel behind it. Joiner, Profile and the
// folding of interpreter frames are pure.
//
// It never writes to a watched process and never stops one.
package stack
