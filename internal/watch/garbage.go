package watch

import (
	"os"
	"runtime/debug"
)

const (
	// memoryLimit keeps the garbage collector busy before the agent gets big; maps and caches are
	// bounded on their own.
	memoryLimit = 256 << 20
	// gcPercent: what an agent keeps is 15 to 20 MB, so that garbage of as much again would be 10 % of its
	// resident memory, while to collect it twice as often costs less CPU than can be measured.
	gcPercent = 50
)

// BoundMemory sets how this process collects its garbage, where its environment does not (GOMEMLIMIT, GOGC).
func BoundMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
