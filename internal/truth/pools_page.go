package truth

import "fmt"

// pools writes the table of the pools.
func (r *Results) pools(p *page) {
	if len(r.Pools) == 0 {
		return
	}
	p.head("Truth: waits, time-outs, leaks and creation of pools")
	p.line("Pools of two connections: a mixture of waits and of what only looks like one (sleeps, locks, semaphores, conditions, queues,")
	p.line("threads, CPU), a load beyond the pool, and a leak. Wait: per request, absolute error in ms; false and missed as above; unsure: of the seconds waited")
	p.line("those marked so, and false waits that are. Time-outs and leaks: told / those that there were. Lock: requests that stood at one, with the reason told.\n")
	p.table("client", "seen / sent", "wait p50", "p99", "unsure, %", "false", "missed / waits", "time-outs", "false", "locks told", "locks not there", "locks taken for the pool", "leaks", "false", "made", "made in, p50 ms")
	for _, f := range r.Pools {
		for _, g := range f.By {
			p.row(fmt.Sprintf("%s (%s)", g.Client, f.Target), fmt.Sprintf("%d / %d", g.Seen, g.Sent), ms(g.Wait.Error.Median), ms(g.Wait.Error.P99),
				fmt.Sprintf("%.1f", 100*ratio(g.Wait.Doubts, g.Wait.Seen)), g.Wait.falses(), fmt.Sprintf("%d / %d", g.Wait.Missed, g.Wait.Waited), fmt.Sprintf("%d / %d", g.Timeouts.Seen, g.Timeouts.Known), fmt.Sprint(g.Timeouts.False),
				fmt.Sprintf("%d / %d", g.Locks.Named, g.Locks.Known), fmt.Sprint(g.Locks.False), fmt.Sprint(g.Locks.AsPool), fmt.Sprintf("%d / %d", g.Leaks.Named, g.Leaks.Known), fmt.Sprint(g.Leaks.False),
				g.made(), fmt.Sprintf("%s (application %s)", ms(g.Creates.SeenTook), ms(g.Creates.Took)))
		}
	}
}

// made compares the connections; urllib3 does not tell when it makes one.
func (g *PoolFigures) made() string {
	if g.Creates.Known == 0 {
		return fmt.Sprint(g.Creates.Seen)
	}
	return fmt.Sprintf("%d / %d", g.Creates.Seen, g.Creates.Known)
}
