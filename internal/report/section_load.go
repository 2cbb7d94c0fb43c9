package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

func (b *builder) load() Section {
	s := Section{Number: 3, ID: "load", Title: "Load test results", Short: "Load"}
	if p := latencyPicture(b.whole, b.in.Scenarios); p != nil {
		s.picture(p)
	} else {
		s.text("Latency over time: not measured, because the recordings hold no timeline.")
	}
	for _, r := range b.in.Scenarios {
		s.heading(fmt.Sprintf("Scenario %s", name(r)))
		s.text(scenarioSentence(r))
		s.table(endpointTable(r))
		if t := splitTable(r); t != nil {
			s.table(t)
		}
		if t := taskTable(r); t != nil {
			s.table(t)
		}
		if list := errorList(r); len(list) > 0 {
			s.text("Failed requests by cause:")
			s.list(list)
		}
	}
	return s
}

func scenarioSentence(r *recording.Recording) string {
	text := "No loader took part; only the agent's clock is shown."
	if c := r.Scenario; c != nil {
		text = fmt.Sprintf("%s for %s: %s requests, %s, %s failed.", sentence(loadModel(c)), recording.Seconds(r.Window.Seconds), recording.Number(c.Requests), recording.Rate(c.RequestsPerSec), recording.Number(c.Failures))
		if c.Invalid != "" {
			text += " Not a valid measurement of this load: " + c.Invalid + "."
		}
	}
	if e := latencyTrend(r); e == nil {
		text += fmt.Sprintf(" Trend of the p95: not measured, fewer than %d seconds with requests.", minPoints)
	} else {
		text += fmt.Sprintf(" Trend of the p95 within the scenario: %s (%s a minute, 95 %% interval %s to %s).", direction(e),
			recording.Seconds(e.Estimate*60), recording.Seconds(e.Low*60), recording.Seconds(e.High*60))
	}
	return text
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// endpointTable puts both counts and both clocks side by side.
func endpointTable(r *recording.Recording) *Table {
	t := &Table{Caption: "By endpoint: loader and agent side by side",
		Columns: columns("Endpoint", "Loader,Agent,Failed,Response p50,p95,p99,Service p95,Agent p50,Agent p95,Agent p99"),
		Note:    "Response: loader's clock from the intended send time. Service: loader's clock from the actual send. Agent: the target host's kernel clock, from the request's arrival to its last byte."}
	for i := range r.Endpoints {
		e := &r.Endpoints[i]
		row := plain(e.Endpoint, "–", recording.Number(e.Requests), "–", "–", "–", "–", "–")
		if c := e.Client; c != nil {
			row = plain(e.Endpoint, recording.Number(c.Requests), recording.Number(e.Requests), recording.Number(c.Failures),
				quantile(c.Response, .5), quantile(c.Response, .95), quantile(c.Response, .99), quantile(c.Service, .95))
		}
		t.row(append(row, plain(quantile(e.Latency, .5), quantile(e.Latency, .95), quantile(e.Latency, .99))...)...)
	}
	return t
}

// taskTable shows the tasks where several share an endpoint; nil where none do.
func taskTable(r *recording.Recording) *Table {
	t := &Table{Caption: "By task, where several share an endpoint", Columns: columns("Task", "Requests,Failed,Response p50,p95,p99,Service p95")}
	for i := range r.Endpoints {
		c := r.Endpoints[i].Client
		if c == nil || len(c.Tasks) < 2 {
			continue
		}
		for _, k := range c.Tasks {
			t.row(plain(k.Name, recording.Number(k.Requests), recording.Number(k.Failures), quantile(k.Response, .5), quantile(k.Response, .95), quantile(k.Response, .99), quantile(k.Service, .95))...)
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return t
}

// errorList is the failures by cause, the most frequent first.
func errorList(r *recording.Recording) (out []string) {
	type failed struct {
		endpoint string
		recording.Failure
	}
	var all []failed
	for i := range r.Endpoints {
		if c := r.Endpoints[i].Client; c != nil {
			for _, f := range c.Errors {
				all = append(all, failed{r.Endpoints[i].Endpoint, f})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b failed) int { return cmp.Compare(b.Count, a.Count) })
	for _, f := range all[:min(10, len(all))] {
		out = append(out, fmt.Sprintf("%s × %s: %s", recording.Number(f.Count), f.endpoint, f.Error))
	}
	if len(all) > 10 {
		out = append(out, fmt.Sprintf("and %d more kinds, in recording.json", len(all)-10))
	}
	return out
}
