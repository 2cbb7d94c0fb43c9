package watch

import (
	"log/slog"

	"github.com/ragscope/ragscope/internal/kernel"
)

// governor keeps the hooks' cost inside the budget: it lowers the precision when the cost of
// the last seconds is above it, and tries the dearer step again after a while, each time it
// proves too dear after a longer one.
type governor struct {
	budget float64 // of the target's CPU
	most   kernel.Precision
	kernel *kernel.Kernel
	log    *slog.Logger
	over   int // seconds in a row above the budget
	under  int // seconds at a lower step, inside the budget
	wait   int // seconds until the next try
}

const (
	overFor   = 5       // seconds: shorter peaks are start-ups
	firstWait = 30      // seconds
	lastWait  = 15 * 60 // seconds
	idleBelow = 0.01    // cores: the share of an idle target says nothing
)

// see judges one second: what the hooks took and what the target used, in CPU seconds. It says
// whether it changed the precision.
func (g *governor) see(hooks, used, seconds float64) (changed bool) {
	if g.budget <= 0 || used/seconds < idleBelow {
		return false
	}
	share := hooks / used
	at := g.kernel.Precision()
	if share > g.budget {
		g.over, g.under = g.over+1, 0
	} else {
		g.over, g.under = 0, g.under+1
	}
	switch {
	case g.over >= overFor && at < kernel.Sockets:
		g.over = 0
		g.wait = min(max(firstWait, 2*g.wait), lastWait)
		g.kernel.SetPrecision(at + 1)
		g.log.Warn("the overhead budget is exceeded, precision is lowered", "share", share, "budget", g.budget, "precision", (at + 1).String())
		return true
	case at > g.most && g.under >= g.wait:
		g.under = 0
		g.kernel.SetPrecision(at - 1)
		g.log.Info("precision is raised, to see whether it fits the budget now", "precision", (at - 1).String())
		return true
	}
	return false
}
