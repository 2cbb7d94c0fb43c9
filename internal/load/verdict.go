package load

import (
	"fmt"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/scenario"
)

// Verdict is a threshold and what was measured.
type Verdict struct {
	Threshold scenario.Threshold
	Kept      bool
	Measured  string // "0.812 s"; "not measured: no requests"
}

// Check judges the run by its scenario's thresholds. A threshold whose figure was not measured
// is not kept.
func (r *Result) Check() []Verdict {
	var out []Verdict
	for _, th := range r.Scenario.Thresholds {
		names := map[string]bool{} // of the tasks that it applies to
		for _, t := range r.Scenario.Tasks {
			if th.Applies(t.Method, t.Name, t.Pattern) {
				names[t.Method+" "+t.Name] = true
			}
		}
		total := r.Total(func(t *TaskResult) bool { return names[t.Method+" "+t.Name] })
		out = append(out, r.judge(th, &total))
	}
	return out
}

func (r *Result) judge(th scenario.Threshold, t *TaskResult) Verdict {
	v := Verdict{Threshold: th, Measured: "not measured: no requests"}
	var figure float64
	switch th.Metric {
	case "quantile", "mean", "max":
		d := clockOf(t, th.Clock)
		if d.Count == 0 {
			if t.Requests > 0 {
				v.Measured = "not measured: no request had a " + string(th.Clock)
			}
			return v
		}
		figure = latency(d, th)
		v.Measured = fmt.Sprintf("%.3f s", figure)
	case "error_rate", "limited_rate":
		if t.Requests == 0 {
			return v
		}
		count := t.Failures
		if th.Metric == "limited_rate" {
			count = t.Limited
		}
		figure = float64(count) / float64(t.Requests)
		v.Measured = fmt.Sprintf("%.2f %%", figure*100)
	case "rps":
		if t.Requests == 0 && r.Elapsed <= 0 {
			return v
		}
		figure = float64(t.Requests) / r.Elapsed.Seconds()
		v.Measured = fmt.Sprintf("%.2f/s", figure)
	case "requests", "failures":
		figure = float64(t.Requests)
		if th.Metric == "failures" {
			figure = float64(t.Failures)
		}
		v.Measured = fmt.Sprintf("%.0f", figure)
	}
	v.Kept = th.Holds(figure)
	return v
}

func clockOf(t *TaskResult, c scenario.Clock) recording.Dist {
	switch c {
	case scenario.Service:
		return t.Service
	case scenario.FirstToken:
		return t.FirstToken
	}
	return t.Response
}

func latency(d recording.Dist, th scenario.Threshold) float64 {
	switch th.Metric {
	case "mean":
		return d.Mean()
	case "max":
		return d.Max
	}
	return d.Quantile(th.Q)
}
