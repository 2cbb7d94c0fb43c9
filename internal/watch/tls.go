package watch

import (
	"slices"
	"time"

	"github.com/ragscope/ragscope/internal/target"
)

// tlsLook is when the TLS libraries of a process were last looked for, and which were found.
type tlsLook struct {
	at    time.Time
	names []string
}

// tlsAgain is how long to wait before a process with TLS connections that cannot be read is looked at again.
const tlsAgain = 10 * time.Second

// followTLS attaches to the TLS libraries of a process. Probes on functions that nobody calls cost
// nothing, and libssl is mapped wherever asyncio is; so it is not waited for the first ciphertext.
// Called at the start, then by the goroutine that ticks.
func (w *Watcher) followTLS(pid int) {
	libraries, notes, err := target.InspectTLS(pid)
	if err != nil {
		w.log.Debug("the TLS libraries of a process could not be looked for", "pid", pid, "error", err)
		return
	}
	for _, n := range notes {
		w.note("requests and calls inside TLS", n)
	}
	var names []string
	for _, l := range libraries {
		names = append(names, l.Name)
	}
	old := w.tls[pid]
	w.tls[pid] = tlsLook{time.Now(), names}
	if !slices.Equal(names, old.names) {
		w.kernel.FollowTLS(pid, libraries)
	}
}

// lookForTLS follows libraries that were loaded after their process was attached to, where
// ciphertext says that there are any.
func (w *Watcher) lookForTLS() {
	w.mu.Lock()
	pids := w.tracker.Opaque()
	w.mu.Unlock()
	for _, pid := range pids {
		if look, watched := w.tls[int(pid)]; watched && time.Since(look.at) >= tlsAgain {
			w.followTLS(int(pid))
		}
	}
}
