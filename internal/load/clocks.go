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

// namedTask is a row of the table of clocks.
type namedTask struct {
	name string
	TaskResult
}

// ClockTable shows both clocks of every task and of all, in milliseconds.
func (r *Result) ClockTable() string {
	var rows []namedTask
	for i := range r.Tasks {
		rows = append(rows, namedTask{r.Tasks[i].Method + " " + r.Tasks[i].Name, r.Tasks[i]})
	}
	return clockTable(rows)
}

// RecordingClocks is the table of clocks of a recording's client figures.
func RecordingClocks(r *recording.Recording) string {
	var rows []namedTask
	for _, e := range r.Endpoints {
		if c := e.Client; c != nil {
			rows = append(rows, namedTask{e.Endpoint, TaskResult{Response: c.Response, Service: c.Service, FirstToken: c.FirstToken, TokenGap: c.TokenGap}})
		}
	}
	return clockTable(rows)
}

func clockTable(tasks []namedTask) string {
	var sb strings.Builder
	w, all := len("Name"), namedTask{"all", TaskResult{Status: map[int]int64{}, Errors: map[Failure]int64{}}}
	for _, t := range tasks {
		w = max(w, len([]rune(t.name)))
		all.merge(&t.TaskResult)
	}
	fmt.Fprintf(&sb, "Both clocks in ms: response counts from the intended send, service from the actual one (Locust's)\n%-*s %-11s %9s", w, "Name", "Clock", "# reqs")
	for _, q := range Quantiles {
		fmt.Fprintf(&sb, " %9s", q.Name)
	}
	fmt.Fprintf(&sb, " %9s\n", "max")
	line := strings.Repeat("-", w+21+10*(len(Quantiles)+1)+2) + "\n"
	sb.WriteString(line)
	for _, t := range tasks {
		t.rows(&sb, w)
	}
	if len(tasks) > 1 {
		sb.WriteString(line)
		all.rows(&sb, w)
	}
	return sb.String()
}

func (t *namedTask) rows(sb *strings.Builder, width int) {
	for i, c := range t.Clocks() {
		name := t.name
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(sb, "%-*s %-11s %9d", width, name, c.Name, c.Count)
		for _, q := range Quantiles {
			fmt.Fprintf(sb, " %9.1f", c.Quantile(q.Q)*1e3)
		}
		fmt.Fprintf(sb, " %9.1f\n", c.Max*1e3)
	}
}
