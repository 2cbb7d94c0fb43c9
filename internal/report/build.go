package report

import (
	"fmt"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

// Build makes the document of the seven sections and its appendix.
func Build(in Input) Document {
	targets := readiness(in)
	b := builder{in: in, whole: in.Whole, targets: targets}
	doc := Document{Title: "Performance report", Subtitle: b.subtitle()}
	doc.Verdict, doc.Mark = verdict(targets)
	doc.Sections = []Section{
		b.summary(), b.environment(), b.load(), b.memory(), b.bottlenecks(), b.recommendations(), b.readiness(), b.trust(),
	}
	return doc
}

// builder holds what the sections draw on.
type builder struct {
	in      Input
	whole   *recording.Recording
	targets []checked
}

func (b *builder) subtitle() string {
	w := b.whole.Window
	service := b.whole.Target.Service
	if service == "" {
		service = b.whole.Target.Address
	}
	if service == "" {
		service = "unknown target"
	}
	return strings.TrimSpace(fmt.Sprintf("%s · %s · %s watched", service, w.Start.UTC().Format("2 January 2006, 15:04 UTC"), recording.Seconds(w.Seconds)))
}

// verdict says in a sentence how the targets stand.
func verdict(list []checked) (text, mark string) {
	pass, fail, none := tally(list)
	measured := pass + fail
	switch {
	case measured == 0:
		return fmt.Sprintf("None of the %d targets could be measured.", len(list)), "none"
	case fail == 0 && none == 0:
		return fmt.Sprintf("Ready: all %d targets are met.", len(list)), "pass"
	case fail == 0:
		return fmt.Sprintf("All %d measured targets are met; %d could not be measured.", pass, none), "pass"
	default:
		return fmt.Sprintf("Not ready: %d of %d measured targets fail%s.", fail, measured, unmeasured(none)), "fail"
	}
}

func unmeasured(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %d could not be measured", n)
}

func (b *builder) summary() Section {
	s := Section{Number: 1, ID: "summary", Title: "Executive summary", Short: "Summary"}
	s.Blocks = append(s.Blocks, Block{Tiles: b.tiles()})
	if found := b.whole.Bottlenecks; len(found) > 0 {
		top := found[0]
		s.text(fmt.Sprintf("The largest cause of waiting is %s (%s, %s). %s", top.Where, kindName(top.Kind), top.Priority, strings.Join(top.Evidence[:min(2, len(top.Evidence))], " ")))
		s.text("What to do first: " + top.Recommendation)
	} else {
		s.text("No cause of waiting stands out: the recording holds no stage with a share of 3 % or more.")
	}
	if list := failing(b.targets); list != "" {
		s.text("Targets that fail: " + list + ".")
	}
	for _, c := range b.in.Caveats {
		s.callout(c)
	}
	for _, r := range b.in.Scenarios {
		if r.Scenario != nil && r.Scenario.Invalid != "" {
			s.callout(fmt.Sprintf("Scenario %s is not a valid measurement of its load: %s", name(r), r.Scenario.Invalid))
		}
	}
	t := &Table{Caption: "The scenarios at a glance", Columns: columns("Scenario", "Requests,Throughput,p50,p95,p99,Failed")}
	t.Columns = append(t.Columns, Column{Title: "Largest cause of waiting"})
	for _, r := range b.in.Scenarios {
		t.row(scenarioRow(r)...)
	}
	t.Note = "Loader's clock, from the intended send time, all endpoints together."
	s.table(t)
	return s
}

// failing lists the targets that are missed, with what was measured.
func failing(list []checked) string {
	var out []string
	for _, c := range list {
		if c.status == fail {
			out = append(out, fmt.Sprintf("%s %s (%s)", c.target, c.measured, c.limit))
		}
	}
	return strings.Join(out, "; ")
}

func (b *builder) tiles() []Tile {
	best, at := 0.0, ""
	var agent, requests, failed int64
	for _, r := range b.in.Scenarios {
		if r.Scenario != nil && r.Scenario.RequestsPerSec > best {
			best, at = r.Scenario.RequestsPerSec, name(r)
		}
		c := clients(r)
		requests += c.Requests
		failed += c.Failures
	}
	for i := range b.whole.Endpoints {
		agent += b.whole.Endpoints[i].Requests
	}
	seen := recording.Number(requests)
	if requests == 0 {
		seen = missing
	}
	out := []Tile{{Label: "Requests sent", Value: seen, Note: recording.Number(agent) + " seen by the agent in all"}}
	if best > 0 {
		out = append(out, Tile{Label: "Highest throughput", Value: recording.Rate(best), Note: "in " + at})
	}
	if base := b.in.Scenarios[0]; clients(base).Response.Count > 0 {
		out = append(out, Tile{Label: "p95 in " + name(base), Value: recording.Seconds(clients(base).Response.Quantile(.95)), Note: "all endpoints, loader's clock"})
	}
	if requests > 0 {
		out = append(out, Tile{Label: "Failed requests", Value: recording.Share(float64(failed) / float64(requests)), Note: recording.Number(failed) + " of " + recording.Number(requests)})
	}
	if peak := peakRSS(b.whole); peak > 0 {
		out = append(out, Tile{Label: "Peak memory", Value: recording.Bytes(float64(peak)), Note: "RSS of all its processes"})
	}
	pass, fail, _ := tally(b.targets)
	out = append(out, Tile{Label: "Targets met", Value: fmt.Sprintf("%d of %d", pass, pass+fail), Note: fmt.Sprintf("%d more not measured", len(b.targets)-pass-fail)})
	return out
}

// scenarioRow is one scenario in one line, with the largest cause of waiting.
func scenarioRow(r *recording.Recording) []Cell {
	c := clients(r)
	rate, failed := missing, missing
	if r.Scenario != nil && r.Scenario.RequestsPerSec > 0 {
		rate = recording.Rate(r.Scenario.RequestsPerSec)
	}
	if c.Requests > 0 {
		failed = recording.Share(float64(c.Failures) / float64(c.Requests))
	}
	return append(plain(name(r), recording.Number(c.Requests), rate, quantile(c.Response, .5), quantile(c.Response, .95), quantile(c.Response, .99), failed), Cell{Text: topCause(r)})
}
