// Package watch puts the rooms together for one target: it finds the processes, attaches the
// hooks, and lets events flow from the ring buffer through the heart into collectors and
// metrics.
//
// In: a selector. Out: recordings of any stretch of time, metrics, profiles; it is the Source
// of the agent's pages. It computes no figure itself. All of its goroutines end with Run,
// except one that loads the stack sampler, which the kernel does not let go: it closes what it
// loaded, or ends with the process.
package watch
