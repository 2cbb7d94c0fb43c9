package watch

import "github.com/ragscope/ragscope/internal/kernel"

// governor keeps the hooks' cost inside the budget. What the target's CPU use allows is saved up; the dearest
// step is taken for stretches that the savings pay for, and between them the dearest step that fits the budget on
// its own. So on a target that can afford it everything is measured all the time, and on a busy one everything a part
// of the time. It is pure: it is told each second and says which step the next one has.
type governor struct {
	budget float64          // of the target's CPU; 0: no limit
	most   kernel.Precision // the dearest step to take

	saved float64                     // CPU seconds that may still be spent; below 0: overdrawn
	price [kernel.Sockets + 1]float64 // share of the target's CPU that each step last took, 0: not known
	tried [kernel.Sockets + 1]int     // seconds since it was known
	over  int                         // seconds in a row that a resting step was above the budget
	spent float64                     // CPU seconds that the hooks took in all
	own   float64                     // … and that the target took without them
}

const (
	stretch   = 3       // seconds of the dearest step at least: in the last one the requests that began before end
	savings   = 10      // seconds of budget are saved up at most, or what one stretch takes
	overFor   = 5       // seconds: shorter peaks are start-ups
	knownFor  = 10 * 60 // seconds until a price is forgotten, as the load may have changed
	idleBelow = 0.01    // cores: the share of an idle target says nothing
	free      = 0.002   // cores that are always allowed: a share of what a service that mostly waits uses is next to nothing
)

// next judges one second at a step: what the hooks took and what the target used, with them, in CPU seconds. The budget
// is a share of what the target would have used without, as the overhead of a recording is, and free at least.
func (g *governor) next(at kernel.Precision, hooks, used, seconds float64) kernel.Precision {
	own := max(used-hooks, used/10) // the two are not read in one instant, and the first is partly sampled
	g.spent, g.own = g.spent+hooks, g.own+own
	if g.budget <= 0 || used/seconds < idleBelow {
		return at
	}
	share := max(g.budget, free*seconds/own)
	allowed := share * own
	g.learn(at, hooks/own)
	excess := max(0, (g.price[g.most]-share)*own/seconds) // of a second at the dearest step
	overdraft := excess * stretch
	g.saved = min(g.saved+allowed-hooks, max(savings*allowed/seconds, overdraft))
	if at == g.most {
		if g.saved >= 2*excess || at == kernel.Sockets { // the next second and the one in which it ends
			return at
		}
		return g.resting(share)
	}
	if hooks <= allowed {
		g.over = 0
	} else if g.over++; g.over >= overFor && at < kernel.Sockets {
		g.over = 0
		return at + 1
	}
	if g.saved >= overdraft && g.saved > 0 {
		return g.most
	}
	return at
}

// pay takes CPU seconds that something took which no step is to blame for: somebody asked for it.
func (g *governor) pay(seconds float64) {
	g.spent += seconds
	g.saved -= seconds
}

// hopeless says whether the cheapest step has been above the budget for long enough.
func (g *governor) hopeless() bool {
	return g.budget > 0 && g.tried[kernel.Sockets] == 0 && g.over >= overFor
}

// average is the share of CPU that the hooks added to the target since it is watched.
func (g *governor) average() float64 {
	if g.own <= 0 {
		return 0
	}
	return g.spent / g.own
}

func (g *governor) learn(at kernel.Precision, share float64) {
	for p := range g.tried {
		if g.tried[p]++; g.tried[p] > knownFor {
			g.price[p] = 0
		}
	}
	if g.price[at] == 0 {
		g.price[at] = share
	}
	g.price[at] += (share - g.price[at]) / 4
	g.tried[at] = 0
}

// resting is the dearest step below the dearest of all that leaves something to save of a share of the target's CPU.
func (g *governor) resting(share float64) kernel.Precision {
	for p := g.most + 1; p < kernel.Sockets; p++ {
		if g.price[p] < 0.8*share {
			return p
		}
	}
	return kernel.Sockets
}
