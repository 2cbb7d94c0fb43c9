package locust

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"time"

	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/recording"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"ms": func(seconds float64) string { return fmt.Sprintf("%.1f", seconds*1000) },
}).Parse(pageText))

type pageData struct {
	Result   *load.Result
	Facts    recording.Scenario
	Verdicts []load.Verdict
	Start    string
	Duration time.Duration

	BusyPercent float64
	Requests    []pageRow
	Columns     []string
	Quantiles   any // of the two-clock table
	Clocks      []clockRow
	Failures    []*Failure
	Charts      []template.HTML
}

type pageRow struct {
	*Entry
	Average, RPS, FPS string
	Min, Max, Median  int
	Percentiles       []int
}

type clockRow struct {
	Name string
	load.TaskResult
	Rows []load.NamedDist
}

// HTML is the page of --html: one file with tables and pictures and nothing to load from
// elsewhere. The compatible tables follow Locust's rounding; the two-clock table is HdrHistogram's.
func HTML(s *Stats, r *load.Result) ([]byte, error) {
	d := pageData{
		Result: r, Facts: r.Facts(), Verdicts: r.Check(), Start: r.Start.Format(time.RFC3339), Duration: r.Elapsed.Round(10 * time.Millisecond),
		Columns: percentileNames, Quantiles: load.Quantiles, Failures: s.Failures(), Charts: s.charts(),
		BusyPercent: r.Usage.HostBusy * 100,
	}
	for _, e := range s.withTotal() {
		row := pageRow{
			Entry: e, Average: fmt.Sprintf("%.1f", e.Average()), RPS: fmt.Sprintf("%.2f", s.perSecond(e.Requests)), FPS: fmt.Sprintf("%.2f", s.perSecond(e.Failures)),
			Min: properRound(e.Min), Max: properRound(e.Max), Median: properRound(e.Median()),
		}
		for _, p := range percentiles {
			row.Percentiles = append(row.Percentiles, e.Percentile(p))
		}
		d.Requests = append(d.Requests, row)
	}
	for _, t := range r.Tasks {
		d.Clocks = append(d.Clocks, newClockRow(t.Method+" "+t.Name, t))
	}
	d.Clocks = append(d.Clocks, newClockRow("all", r.All()))
	var out bytes.Buffer
	if err := page.Execute(&out, d); err != nil {
		return nil, fmt.Errorf("write the HTML page: %w", err)
	}
	return out.Bytes(), nil
}

func newClockRow(name string, t load.TaskResult) clockRow {
	return clockRow{Name: name, TaskResult: t, Rows: t.Clocks()}
}

func (s *Stats) charts() []template.HTML {
	h := s.History
	series := func(name, colour string, of func(Moment) float64) line {
		l := line{name: name, colour: colour}
		for _, m := range h {
			l.points = append(l.points, point{m.Seconds, of(m)})
		}
		return l
	}
	return []template.HTML{
		chart("Requests per second", "1/s",
			series("requests", "#2b8a3e", func(m Moment) float64 { return m.RPS }),
			series("failures", "#c92a2a", func(m Moment) float64 { return m.FailuresPerSecond })),
		chart("Response time (service clock)", "ms",
			series("p50", "#1864ab", func(m Moment) float64 { return m.P50 }),
			series("p95", "#e8590c", func(m Moment) float64 { return m.P95 })),
		chart("Users", "", series("users", "#5f3dc4", func(m Moment) float64 { return float64(m.Users) })),
	}
}
