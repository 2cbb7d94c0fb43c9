package truth

import "fmt"

// sleeps writes the runs that hold off-CPU profiles to the truth.
func (r *Results) sleeps(p *page) {
	if len(r.Sleeps) == 0 {
		return
	}
	p.head("Truth: off-CPU profiles by endpoint")
	p.line("Each endpoint sleeps in one function: on the event loop, in a thread, for a lock, for the GIL, for the disk. True: by the kernel's")
	p.line("counts for the thread, from its time asleep to the same with all its waits for a CPU, of which a sleep has the one at its end. Seen:")
	p.line("in that function, for that endpoint; outside of the limits by so much of the upper one. Elsewhere: in that function for another")
	p.line("endpoint or none. Idle: sleeps of threads without anything to do, which no profile has. By chance: the deviation that short")
	p.line("sleeps have, of which each is sampled in its share of the period; twice as much is exceeded in a case of 20. Sleeps longer than")
	p.line("the period are always sampled, and have less.\n")
	p.table("run", "endpoint", "requests", "true s", "seen s", "outside of it", "by chance, at most", "elsewhere s", "idle s", "failed / sent", "losses")
	for _, f := range r.Sleeps {
		idle := 0.0
		for _, s := range f.Sleeps.Idle {
			idle += s.Seconds
		}
		for _, x := range f.Rows {
			p.row(f.String(), x.Path, fmt.Sprint(x.Requests), fmt.Sprintf("%.3f – %.3f", x.Least, x.Most), fmt.Sprintf("%.3f", x.Seen),
				fmt.Sprintf("%.1f %%", 100*x.off()), fmt.Sprintf("%.1f %%", 100*x.chance(f.Sleeps.PeriodSeconds)), fmt.Sprintf("%.3f", x.Elsewhere), fmt.Sprintf("%.1f", idle), fmt.Sprintf("%d / %d", f.Failed, f.Sent), lossesOf(f.Lost))
		}
	}
}
