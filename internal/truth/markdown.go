package truth

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/ragscope/ragscope/internal/kernel"
)

// WriteMarkdown writes the results as a page.
func (r *Results) WriteMarkdown(w io.Writer) error {
	p := &page{w: w}
	p.line("# What watching costs, and how true it is")
	p.line("")
	p.line("Made by `make bench`. Figures are medians [quartiles] of paired windows on one machine, which other work may")
	p.line("share: compare columns, not absolute times. `off again` is off compared with off: what no difference looks like. `a busy")
	p.line("neighbour` is a process on a fifth of a core that has nothing to do with the target: what it adds is the machine's doing.")
	p.line("The same figures, unrounded: `results.json`.")
	r.machine(p)
	for _, c := range r.Costs {
		c.markdown(p)
	}
	r.others(p)
	r.itself(p)
	r.truth(p)
	r.rows(p)
	r.timings(p)
	r.pools(p)
	r.memory(p)
	r.allocations(p)
	r.touched(p)
	r.profiles(p)
	r.stackCosts(p)
	r.sleeps(p)
	r.names(p)
	if len(r.Missing) > 0 {
		p.head("Not measured")
		for _, what := range slices.Sorted(maps.Keys(r.Missing)) {
			p.line("- %s: %s", what, r.Missing[what])
		}
	}
	return p.err
}

// page keeps the first error of its writes.
type page struct {
	w   io.Writer
	err error
}

func (p *page) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *page) head(format string, args ...any) { p.line("\n## "+format+"\n", args...) }

// table starts a table; the first column is text, the rest are figures.
func (p *page) table(columns ...string) {
	p.line("| %s |", strings.Join(columns, " | "))
	p.line("|---%s|", strings.Repeat("|--:", len(columns)-1))
}

func (p *page) row(cells ...string) { p.line("| %s |", strings.Join(cells, " | ")) }

func micro(q Quartiles) string {
	return fmt.Sprintf("%.1f [%.1f … %.1f]", q.Median*1e6, q.Low*1e6, q.High*1e6)
}

func added(q Quartiles) string {
	return fmt.Sprintf("%+.1f [%+.1f … %+.1f]", q.Median*1e6, q.Low*1e6, q.High*1e6)
}

func percent(q Quartiles) string {
	return fmt.Sprintf("%+.1f [%+.1f … %+.1f]", q.Median*100, q.Low*100, q.High*100)
}

func milli(q Quartiles) string { return fmt.Sprintf("%.2f", q.Median*1e3) }

func mib(n uint64) string { return fmt.Sprintf("%.0f", float64(n)/(1<<20)) }

func (r *Results) machine(p *page) {
	m := r.Machine
	p.line("")
	p.line("%s, commit %s, Linux %s, %d × %s, load average %s at the start.", m.Date, m.Commit, m.Kernel, m.Cores, m.CPU, m.Load)
	if m.Kept != "" {
		p.line("%s.", strings.ToUpper(m.Kept[:1])+m.Kept[1:])
	}
	p.line("")
	for _, name := range slices.Sorted(maps.Keys(m.Versions)) {
		p.line("- %s: %s", name, m.Versions[name])
	}
}

func (c *Cost) markdown(p *page) {
	p.head("Cost: %s", c.Workload)
	offered := "as fast as it can"
	if c.Rate > 0 {
		offered = fmt.Sprintf("%.0f requests/s offered", c.Rate)
	}
	p.line("%s; %s; %d pairs of %.1f s; %s, load average %s.\n", c.Target, offered, c.Steps[0].CPU.N, c.Window, cmp.Or(c.Date, "no date of its own"), c.Load)
	p.table("step", "target CPU, µs a request", "added, µs", "added, %", "requests/s", "change, %", "p50 ms", "p95 ms", "p99 ms", "p95 change, %", "agent's CPU, µs a request", "agent RSS, MiB")
	for i, s := range c.Steps {
		cells := []string{s.Step, micro(s.CPU), added(s.AddedCPU), percent(s.CPURatio), fmt.Sprintf("%.0f", s.Rate.Median), percent(s.RateRatio), milli(s.P50), milli(s.P95), milli(s.P99), percent(s.P95Ratio), micro(s.AgentCPU), mib(s.AgentRSS)}
		if i == 0 {
			cells[2], cells[3], cells[5], cells[9] = "", "", "", ""
		}
		if s.AgentRSS == 0 {
			cells[10], cells[11] = "", ""
		}
		p.row(cells...)
	}
	p.line("\nRequests seen by the agent / sent while it was attached: %d / %d%s.\n", c.Seen, c.Sent, lossText(c.Lost))
	p.line("Where the added CPU goes (µs a request):\n")
	p.table("step", "measured", "the agent says", "programs", "traps", "price of a trap", "neither")
	for _, s := range c.Steps {
		if s.AgentRSS > 0 {
			p.row(s.Step, fmt.Sprintf("%+.1f", s.AddedCPU.Median*1e6), micro(s.Said), us(s.ProgramCPU), us(s.TrapCPU), fmt.Sprintf("%.2f", s.TrapPrice*1e6), fmt.Sprintf("%+.1f", (s.AddedCPU.Median-s.ProgramCPU-s.TrapCPU)*1e6))
		}
	}
	last := c.Steps[len(c.Steps)-1]
	p.line("\nBy program, step %q:\n", last.Step)
	p.table("program", "runs a request", "ns a run", "µs a request", "traps a request")
	hooks := slices.Clone(last.Hooks)
	sort.SliceStable(hooks, func(a, b int) bool { return hooks[a].Runs*hooks[a].Each > hooks[b].Runs*hooks[b].Each })
	for _, h := range hooks {
		p.row("`"+h.Program+"`", fmt.Sprintf("%.2f", h.Runs), fmt.Sprintf("%.0f", h.Each*1e9), us(h.Runs*h.Each), fmt.Sprintf("%.2f", h.Traps))
	}
}

func us(seconds float64) string { return fmt.Sprintf("%.2f", seconds*1e6) }

func lossText(lost map[string]uint64) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(lost)) {
		if lost[name] > 0 {
			out = append(out, fmt.Sprintf("%s %d", name, lost[name]))
		}
	}
	if len(out) == 0 {
		return ", no loss"
	}
	return "; losses: " + strings.Join(out, ", ")
}

func (r *Results) others(p *page) {
	if len(r.Others) == 0 {
		return
	}
	p.head("Cost to processes that are not watched, agent at full precision")
	p.table("work", "by", "off, ns", "full, ns", "change, %", "off with off, %")
	for _, o := range r.Others {
		p.row(o.What, o.Unit, fmt.Sprintf("%.0f", o.Off.Median*1e9), fmt.Sprintf("%.0f", o.Full.Median*1e9), percent(o.Ratio), percent(o.Noise))
	}
}

func (r *Results) itself(p *page) {
	a := r.Itself
	if a == nil {
		return
	}
	p.head("The agent itself")
	p.table("figure", "value")
	p.row("CPU while the target is idle, with stacks", fmt.Sprintf("%.2f %% of a core", a.IdleCores*100))
	p.row("… without stacks", fmt.Sprintf("%.2f %% of a core", a.IdleCoresBare*100))
	p.row("RSS idle, with stacks", mib(a.RSSIdle)+" MiB")
	p.row("RSS after the last run below", mib(a.RSSBusy)+" MiB")
	p.row("from its start to every hook attached", fmt.Sprintf("%.2f s", a.Startup))
	p.row("… until stacks are sampled too", fmt.Sprintf("%.2f s", a.WithStacks))
	p.line("\nWith the default budget of 2 %% at full speed:\n")
	p.table("workload", "for", "requests/s", "full for, % of the time", "target CPU, µs a request: off, on, off", "added, %", "the agent says, %", "agent, cores", "seen / sent", "losses")
	for _, g := range a.Governed {
		lost := map[string]uint64{}
		for _, l := range g.Losses {
			lost[l.Source+": "+l.Reason] = l.Count
		}
		full := 0.0
		if g.Precision == kernel.Full.String() {
			full = g.Overhead.PrecisionShare
		}
		p.row(g.Workload, fmt.Sprintf("%.0f s", g.Seconds), fmt.Sprintf("%.0f", g.Rate), fmt.Sprintf("%.0f", 100*full), fmt.Sprintf("%.1f, %.1f, %.1f", 1e6*g.Off[0], 1e6*g.On, 1e6*g.Off[1]),
			fmt.Sprintf("%+.1f", 100*g.added()), fmt.Sprintf("%.1f", g.Overhead.TargetRatio*100), fmt.Sprintf("%.2f", g.CoresUsed), fmt.Sprintf("%d / %d", g.Seen, g.Sent), strings.TrimLeft(lossText(lost), ",; "))
	}
}

func (r *Results) truth(p *page) {
	if len(r.Truth) == 0 {
		return
	}
	p.head("Truth: the wait for the one connection of a pool")
	p.line("Requests at random instants; each holds the connection for the given time. Mean waits in ms: what queueing theory says")
	p.line("(Pollaczek–Khinchine with the holds that occurred; one run's mean scatters around it), what the application's own")
	p.line("clock says, what the agent says.\n")
	p.table("run", "requests", "utilisation", "hold ms", "theory ms", "application ms", "agent ms", "agent / application")
	for _, t := range r.Truth {
		if q := t.Queue; q != nil {
			p.row(t.Name, fmt.Sprint(t.By[0].Sent), fmt.Sprintf("%.2f", q.Utilisation), ms(q.Hold), ms(q.Theory), ms(q.Known), ms(q.Seen), fmt.Sprintf("%.3f", q.Seen/q.Known))
		}
	}
	p.head("Truth: request by request")
	p.line("Error: absolute, of the pool wait per request that makes calls, in ms. False: above 2 ms where the truth is below 0.3 ms. Missed:")
	p.line("nothing seen where the truth is above 3 ms. Each endpoint makes other operations, so a call of another request shows.\n")
	p.table("run, endpoint", "seen / sent", "calls linked / made", "wrong", "error p50", "p90", "p99", "max", "correlation", "false", "missed / waits", "stage sums off", "unexplained, %", "agent's / client's seconds")
	for _, t := range r.Truth {
		for i, c := range t.By {
			name := c.Endpoint
			if i == 0 {
				name = fmt.Sprintf("**%s** (%s)", t.Name, t.Target)
			} else if len(t.By) == 2 {
				continue
			}
			p.row(name, fmt.Sprintf("%d / %d", c.Seen, c.Sent), fmt.Sprintf("%d / %d", c.CallsLinked, c.CallsMade), fmt.Sprint(c.CallsWrong),
				ms(c.Error.Median), ms(c.Error.P90), ms(c.Error.P99), ms(c.Error.Max), fmt.Sprintf("%.3f", c.Correlation), fmt.Sprint(c.FalseWaits),
				fmt.Sprintf("%d / %d", c.MissedWaits, c.TrueWaits), fmt.Sprint(c.SumViolations), fmt.Sprintf("%.2f", 100*ratio(c.Unexplained, c.Seconds)), fmt.Sprintf("%.3f", ratio(c.Seconds, c.ClientSeconds)))
		}
	}
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func ms(seconds float64) string { return fmt.Sprintf("%.2f", seconds*1e3) }
