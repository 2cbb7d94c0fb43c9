package watch

import "github.com/ragscope/ragscope/internal/target"

// followTLS attaches to the TLS libraries of a process. Probes on functions that nobody calls cost
// nothing, and libssl is mapped wherever asyncio is; so it is not waited for the first ciphertext.
func (w *Watcher) followTLS(pid int) {
	libraries, notes, err := target.InspectTLS(pid)
	if err != nil {
		w.log.Debug("the TLS libraries of a process could not be looked for", "pid", pid, "error", err)
		return
	}
	for _, n := range notes {
		w.note("requests and calls inside TLS", n)
	}
	if len(libraries) == 0 {
		return
	}
	w.kernel.FollowTLS(pid, libraries)
}
