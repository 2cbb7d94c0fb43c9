package diagnose

import (
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

// elsewhere is where a cause inside the target sits, and what to do, where the target is not
// CPython: it may have no event loop, and certainly has no asyncio. An unknown runtime counts as CPython.
func elsewhere(cause string, rec *recording.Recording) (where, recommendation string, ok bool) {
	if r := rec.Target.Runtime; r == "" || strings.HasPrefix(r, "CPython") {
		return "", "", false
	}
	switch cause {
	case "code":
		return "the target's own code", "Open the CPU flame graph of these endpoints and cut the widest functions; add workers or threads while cores are idle.", true
	case "blocked":
		return "the threads that serve requests", "Find the blocking call in the code of these endpoints: shorten it, or let more threads or workers serve requests while it sleeps.", true
	case "busy":
		return "the threads that serve requests", "No thread read these bytes for so long: add workers or threads while cores are idle, else cut what the busy ones run.", true
	case "accept":
		return "the listening socket of " + rec.Target.Address, "Nobody accepts for so long: add workers, and let clients keep their connections.", true
	case "unexplained":
		if mode := rec.Overhead.PrecisionMode; mode == "" || mode == "full" {
			return "the target", "Look at what these endpoints wait for besides their calls: sleeps, locks, semaphores, queues; this share also bounds how far the other findings can be trusted.", true
		}
	}
	return "", "", false
}
