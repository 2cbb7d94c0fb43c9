package load

import (
	"fmt"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

// Quantiles are those of every table of clocks, with their names.
var Quantiles = []struct {
	Name string
	Q    float64
}{{"p50", .5}, {"p90", .9}, {"p95", .95}, {"p99", .99}, {"p99.9", .999}, {"p99.99", .9999}}

// NamedDist is a distribution with its clock's name.
type NamedDist struct {
	Name string
	recording.Dist
}

// Clocks are the task's distributions that hold anything.
func (t *TaskResult) Clocks() []NamedDist {
	var out []NamedDist
	for _, d := range []NamedDist{{"response", t.Response}, {"service", t.Service}, {"first token", t.FirstToken}, {"token gap", t.TokenGap}} {
		if d.Count > 0 {
			out = append(out, d)
		}
	}
	return out
}

// ClockTable shows both clocks of every task and of all, in milliseconds.
func (r *Result) ClockTable() string {
	var sb strings.Builder
	w := len("Name")
	for i := range r.Tasks {
		w = max(w, len([]rune(r.Tasks[i].Method+" "+r.Tasks[i].Name)))
	}
	fmt.Fprintf(&sb, "Both clocks in ms: response counts from the intended send, service from the actual one (Locust's)\n%-*s %-11s %9s", w, "Name", "Clock", "# reqs")
	for _, q := range Quantiles {
		fmt.Fprintf(&sb, " %9s", q.Name)
	}
	fmt.Fprintf(&sb, " %9s\n", "max")
	line := strings.Repeat("-", w+21+10*(len(Quantiles)+1)+2) + "\n"
	sb.WriteString(line)
	rows := func(name string, t *TaskResult) {
		for i, c := range t.Clocks() {
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(&sb, "%-*s %-11s %9d", w, name, c.Name, c.Count)
			for _, q := range Quantiles {
				fmt.Fprintf(&sb, " %9.1f", c.Quantile(q.Q)*1e3)
			}
			fmt.Fprintf(&sb, " %9.1f\n", c.Max*1e3)
		}
	}
	for i := range r.Tasks {
		rows(r.Tasks[i].Method+" "+r.Tasks[i].Name, &r.Tasks[i])
	}
	all := r.All()
	if len(r.Tasks) > 1 {
		sb.WriteString(line)
		rows("all", &all)
	}
	return sb.String()
}
