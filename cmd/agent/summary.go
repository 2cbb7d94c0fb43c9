package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/ragscope/ragscope/internal/recording"
)

// summary prints what a person wants to know first.
func summary(out io.Writer, r *recording.Recording) {
	fmt.Fprintf(out, "%s  %s  %s  %.1f s\n\n", r.Target.Service, r.Target.Address, r.Target.Runtime, r.Window.Seconds)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "endpoint\trequests\tp50 ms\tp95 ms\tp99 ms\tCPU ms\tunexplained\twhere the time went\t")
	for _, e := range r.Endpoints {
		followed, _ := e.Basis()
		fmt.Fprintf(t, "%s\t%d\t%.1f\t%.1f\t%.1f\t%.2f\t%.1f %%\t%s\t\n", e.Endpoint, e.Requests,
			e.Latency.Quantile(.5)*1e3, e.Latency.Quantile(.95)*1e3, e.Latency.Quantile(.99)*1e3,
			1e3*e.CPUSeconds/float64(max(1, followed)), 100*stageShare(e, "unexplained"), topStages(e))
	}
	t.Flush()
	if len(r.Pools) > 0 {
		fmt.Fprintln(out)
		t = tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "pool\tunit\topen\tin use\tlimit\tacquisitions\twaited\twait p95 ms\twaiters max\t")
		for _, p := range r.Pools {
			var all recording.Dist
			var got, waited int64
			for _, w := range p.Waits {
				all.Merge(w.Dist)
				got, waited = got+w.Acquisitions, waited+w.Waited
			}
			limit := "not reached"
			if p.Limit > 0 {
				limit = fmt.Sprint(p.Limit)
			}
			fmt.Fprintf(t, "%s %s\t%s\t%d\t%d\t%s\t%d\t%d\t%.1f\t%d\t\n", p.Peer, p.Address, p.Unit, p.OpenMax, p.InUseMax, limit, got, waited, all.Quantile(.95)*1e3, p.WaitersMax)
		}
		t.Flush()
	}
	if m := r.Memory; m.Verdict != "" {
		fmt.Fprintf(out, "\nmemory: %s: %s\n", m.Verdict, m.Reason)
	}
	fmt.Fprintf(out, "\n%s\n", price(r.Overhead))
	for _, n := range r.NotMeasured {
		if n.What == recording.CPUProfile || strings.HasPrefix(n.What, recording.StacksBefore) {
			fmt.Fprintf(out, "not measured: %s: %s\n", n.What, n.Why)
		}
	}
	lost := uint64(0)
	for _, l := range r.Losses {
		if l.Count > 0 {
			fmt.Fprintf(out, "lost: %s: %s: %d\n", l.Source, l.Reason, l.Count)
		}
		lost += l.Count
	}
	if lost == 0 {
		fmt.Fprintln(out, "nothing was lost")
	}
	for _, b := range r.Bottlenecks {
		fmt.Fprintf(out, "%s %s: %s\n", b.Priority, b.Where, b.Recommendation)
	}
}

// price says what watching cost. Its figures are read once a second: a recording that ends
// before has none.
func price(o recording.Overhead) string {
	target := fmt.Sprintf("cost to the target on average %.2f %% of its CPU, %.1f µs a request", 100*o.TargetRatio, 1e6*o.SecondsPerRequest)
	if why, not := strings.CutPrefix(o.Basis, "not measured: "); not {
		target = "cost to the target not measured: " + why
	}
	agent := fmt.Sprintf("agent %.1f %% of a core, %d MB", 100*o.AgentCPURatio, o.AgentRSSBytes>>20)
	if o.Basis == "" {
		target, agent = "cost to the target not measured: it was watched for less than a second", "agent's own cost neither"
	}
	precision := o.PrecisionMode
	if o.PrecisionShare > 0 && o.PrecisionShare < 1 {
		precision += " in " + recording.Share(o.PrecisionShare) + " of the time"
	}
	if rate := o.StackRateText(); rate != "" {
		precision += "; CPU stacks at " + rate
	}
	return fmt.Sprintf("precision %s; %s; %s", precision, target, agent)
}

func stageShare(e recording.Endpoint, stage string) float64 {
	_, basis := e.Basis()
	if basis == 0 {
		return 0
	}
	var sum float64
	for _, s := range e.Stages {
		if s.Stage == stage {
			sum += s.Sum
		}
	}
	return sum / basis
}

// topStages names the three largest stages with their share.
func topStages(e recording.Endpoint) string {
	_, basis := e.Basis()
	stages := slices.Clone(e.Stages)
	slices.SortFunc(stages, func(a, b recording.Stage) int { return cmp.Compare(b.Sum, a.Sum) })
	out := ""
	for _, s := range stages[:min(3, len(stages))] {
		if basis > 0 && s.Sum/basis >= 0.01 {
			name := s.Stage
			if s.Peer != "" {
				name += " " + s.Peer
			}
			out += fmt.Sprintf("  %s %.0f %%", name, 100*s.Sum/basis)
		}
	}
	return out
}
