package watch

import (
	"log/slog"

	"github.com/ragscope/ragscope/internal/kernel"
)

// governor keeps the hooks' cost inside the budget: it lowers the precision when the cost of
// the last seconds is above it, and raises it again when the dearer step would fit for a while.
type governor struct {
	budget float64 // of the target's CPU
	kernel *kernel.Kernel
	log    *slog.Logger
	over   int     // seconds in a row above the budget
	under  int     // … well below it
	dear   float64 // the share that the step above cost when it was left
}

const (
	overFor   = 3    // seconds: shorter peaks are start-ups
	underFor  = 30   // seconds: so that it does not swing
	idleBelow = 0.01 // cores: the share of an idle target says nothing
)

// see judges one second: what the hooks took and what the target used, in CPU seconds.
func (g *governor) see(hooks, used, seconds float64) {
	if g.budget <= 0 || used/seconds < idleBelow {
		return
	}
	share := hooks / used
	at := g.kernel.Precision()
	switch {
	case share > g.budget:
		g.over, g.under = g.over+1, 0
	case at < kernel.Full && share < g.budget/2:
		g.over, g.under = 0, g.under+1
	default:
		g.over, g.under = 0, 0
	}
	if g.over >= overFor && at > kernel.Sockets {
		g.dear, g.over = share, 0
		g.kernel.SetPrecision(at - 1)
		g.log.Warn("the overhead budget is exceeded, precision is lowered", "share", share, "budget", g.budget, "precision", (at - 1).String())
	}
	if g.under >= underFor && at < kernel.Full && (g.dear == 0 || share*g.dear/g.budget < g.budget) {
		g.under = 0
		g.kernel.SetPrecision(at + 1)
		g.log.Info("precision is raised", "precision", (at + 1).String())
	}
}
