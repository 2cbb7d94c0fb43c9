package truth

import (
	"fmt"
	"os"
	"time"
)

// neighbourEnv, when set, makes a process of this program a busy neighbour.
const neighbourEnv = "RAGSCOPE_TRUTH_NEIGHBOUR"

// A neighbour works this long every so often, as the agent does that empties its ring buffer
// every 10 ms, and walks through a few MiB: about a fifth of a core.
const (
	neighbourWork  = 2 * time.Millisecond
	neighbourEvery = 10 * time.Millisecond
	neighbourBytes = 8 << 20
)

// startNeighbour starts a process that has nothing to do with the target. What it adds to the
// target's CPU is the machine's doing: cores that share caches or execution units, a host that
// shares its cores. Where that is
// clearly above "off again", as much of the agent's price is that of any process as busy.
func (s *Stand) startNeighbour() (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start a neighbour: %w", err)
	}
	return s.start("neighbour", false, []string{neighbourEnv + "=1"}, self)
}

// serveNeighbour makes this process a neighbour if it was started as one, and then does not
// return.
func serveNeighbour() {
	if os.Getenv(neighbourEnv) == "" {
		return
	}
	memory := make([]byte, neighbourBytes)
	tick := time.NewTicker(neighbourEvery)
	at := 0
	for range tick.C {
		for end := time.Now().Add(neighbourWork); time.Now().Before(end); {
			for range 500 {
				memory[at]++
				at = (at + 64) % len(memory)
			}
		}
	}
}
