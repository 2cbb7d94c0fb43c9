package report

import (
	"fmt"
	"math"
	"slices"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

// trust is the appendix: how complete the measurement is, and what it lacks.
func (b *builder) trust() Section {
	s := Section{ID: "trust", Title: "How far to trust these figures", Short: "Trust"}
	s.table(b.countTable())
	s.table(stageTable(b.whole))
	s.facts(b.qualityFacts()...)
	if lost(b.whole) > 0 {
		t := &Table{Caption: "Losses: events that happened and were not seen or not understood", Columns: columns("Source,Reason", "Events")}
		for _, l := range b.whole.Losses {
			if l.Count > 0 {
				t.row(plain(l.Source, l.Reason, recording.Number(int64(l.Count)))...)
			}
		}
		s.table(t)
	}
	if list := detached(b.whole); len(list) > 0 {
		s.text("Probes that are not attached:")
		s.list(list)
	}
	s.heading("Not measured")
	if list := b.notMeasured(); len(list) > 0 {
		s.list(list)
	} else {
		s.text("Nothing: every part of this report has its source.")
	}
	return s
}

// countTable holds the agent's count against the loader's in the same windows.
func (b *builder) countTable() *Table {
	t := &Table{Caption: "Requests: agent against loader", Columns: columns("Endpoint", "Loader sent,Agent saw,Difference,Seen in part"),
		Note: "Over the scenarios' windows. Requests that other clients sent (health checks, scrapes) are seen by the agent only."}
	type counts struct{ sent, saw, part int64 }
	by := map[string]*counts{}
	var order []string
	for _, r := range b.in.Scenarios {
		for i := range r.Endpoints {
			e := &r.Endpoints[i]
			if by[e.Endpoint] == nil {
				by[e.Endpoint] = &counts{}
				order = append(order, e.Endpoint)
			}
			c := by[e.Endpoint]
			c.saw += e.Requests
			c.part += e.Incomplete
			if e.Client != nil {
				c.sent += e.Client.Requests
			}
		}
	}
	slices.Sort(order)
	var sum counts
	for _, n := range order {
		c := by[n]
		if c.sent == 0 {
			t.row(plain(n, "–", recording.Number(c.saw), "–", recording.Number(c.part))...)
			continue
		}
		sum.sent, sum.saw, sum.part = sum.sent+c.sent, sum.saw+c.saw, sum.part+c.part
		t.row(plain(n, recording.Number(c.sent), recording.Number(c.saw), difference(c.saw, c.sent), recording.Number(c.part))...)
	}
	t.row(Cell{"Endpoints that the loader used", "total"}, Cell{recording.Number(sum.sent), "total"}, Cell{recording.Number(sum.saw), "total"},
		Cell{difference(sum.saw, sum.sent), "total"}, Cell{recording.Number(sum.part), "total"})
	return t
}

func difference(saw, sent int64) string {
	switch {
	case sent == 0:
		return "–"
	case saw == sent:
		return "0"
	default:
		return fmt.Sprintf("%+d (%s)", saw-sent, recording.Share(math.Abs(float64(saw-sent))/float64(sent)))
	}
}

// stageTable holds the sum of the stages against the total, and shows what is unexplained.
func stageTable(r *recording.Recording) *Table {
	t := &Table{Caption: "Stages: their sum against the total", Columns: columns("Endpoint", "Requests followed,Total,Sum of stages,Sum ÷ total,Unexplained")}
	var total, sum, open float64
	for _, e := range busiest(r) {
		st, un := stageTotal(e), stageSum(e, request.Unexplained)
		n, seconds := e.Basis()
		total, sum, open = total+seconds, sum+st, open+un
		t.row(plain(e.Endpoint, recording.Number(n)+" of "+recording.Number(e.Requests), recording.Seconds(seconds), recording.Seconds(st), perCent2(ratio(st, seconds)), perCent2(ratio(un, st)))...)
	}
	t.row(Cell{"All endpoints", "total"}, Cell{"", "total"}, Cell{recording.Seconds(total), "total"}, Cell{recording.Seconds(sum), "total"}, Cell{perCent2(ratio(sum, total)), "total"}, Cell{perCent2(ratio(open, sum)), "total"})
	return t
}

func perCent2(v float64) string { return fmt.Sprintf("%.2f %%", v*100) }

func (b *builder) qualityFacts() []Fact {
	o := b.whole.Overhead
	attached := 0
	for _, p := range b.whole.Probes {
		if p.Attached {
			attached++
		}
	}
	probes := fmt.Sprintf("%d of %d", attached, len(b.whole.Probes))
	if len(b.whole.Probes) == 0 {
		probes = missing
	}
	price := missing
	if o.Basis != "" || o.TargetRatio > 0 {
		price = fmt.Sprintf("%s of its CPU on average, %s a request%s", recording.Share(o.TargetRatio), recording.Seconds(o.SecondsPerRequest), suffix(" — ", o.Basis))
	}
	agent := missing
	if o.AgentRSSBytes > 0 {
		agent = fmt.Sprintf("%.3f cores, %s RSS", o.AgentCPURatio, recording.Bytes(float64(o.AgentRSSBytes)))
	}
	return []Fact{
		{"Events lost or not understood", recording.Number(int64(lost(b.whole)))},
		{"Probes attached", probes},
		{"Precision mode", precision(o)},
		{"CPU stacks sampled at", or(o.StackRateText())},
		{"Overhead in the target", price},
		{"The agent itself", agent},
	}
}

func precision(o recording.Overhead) string {
	if o.PrecisionShare > 0 && o.PrecisionShare < 1 {
		return fmt.Sprintf("%s in %s of the time, else a cheaper one", o.PrecisionMode, recording.Share(o.PrecisionShare))
	}
	return or(o.PrecisionMode)
}

// lost is the number of events that were not seen or not understood.
func lost(r *recording.Recording) (sum uint64) {
	for _, l := range r.Losses {
		sum += l.Count
	}
	return sum
}

func detached(r *recording.Recording) (out []string) {
	for _, p := range r.Probes {
		if !p.Attached {
			out = append(out, p.Probe+": "+or(p.Reason))
		}
	}
	return out
}

// notMeasured gathers what the recordings lack and what the report had to leave out.
func (b *builder) notMeasured() (out []string) {
	add := func(what, why string) {
		if line := what + ": " + why; !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	for _, r := range append([]*recording.Recording{b.whole}, b.in.Scenarios...) {
		for _, n := range r.NotMeasured {
			add(n.What, n.Why)
		}
	}
	for _, c := range b.targets {
		if c.status == none {
			add("target "+c.target, c.why)
		}
	}
	for _, f := range b.whole.Bottlenecks {
		if f.Prediction == nil {
			add("expected gain of the recommendations", "not predicted yet; this version does not compute a what-if from the trace")
		}
	}
	for _, p := range b.in.Profiles {
		if p.SVG == nil && p.Why != "" {
			add("flame graph of "+profileTitles[p.Kind], p.Why)
		}
	}
	return out
}
