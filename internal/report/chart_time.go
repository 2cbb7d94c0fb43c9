package report

import (
	"fmt"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

// bandsOf places the scenarios on the whole run's axis.
func bandsOf(whole *recording.Recording, scenarios []*recording.Recording) (out []band) {
	for _, r := range scenarios {
		from := r.Window.Start.Sub(whole.Window.Start).Seconds()
		to := min(from+r.Window.Seconds, whole.Window.Seconds)
		from = max(0, from)
		if to > from {
			out = append(out, band{from, to, name(r)})
		}
	}
	return out
}

func integer(v float64) string { return recording.Number(int64(v + .5)) }

func tight(f func(float64) string) func(float64) string {
	return func(v float64) string {
		number, unit, _ := strings.Cut(f(v), " ")
		if strings.Contains(number, ".") {
			number = strings.TrimRight(strings.TrimRight(number, "0"), ".")
		}
		if v == 0 {
			return "0"
		}
		return number + " " + unit
	}
}

// latencyPicture is latency and throughput over time; nil without a timeline.
func latencyPicture(whole *recording.Recording, scenarios []*recording.Recording) *Picture {
	if len(whole.Timeline) == 0 {
		return nil
	}
	var p50, p95, longest, rate, errors []point
	for _, t := range whole.Timeline {
		rate, errors = append(rate, point{t.T, float64(t.Requests)}), append(errors, point{t.T, float64(t.Errors)})
		if t.Requests > 0 {
			p50, p95, longest = append(p50, point{t.T, t.P50}), append(p95, point{t.T, t.P95}), append(longest, point{t.T, t.Max})
		}
	}
	alt := "Latency and requests a second over the run"
	return &Picture{
		Caption: "Latency and throughput over time, every second of the run (agent's clock; logarithmic)",
		Alt:     alt,
		Legend:  []Legend{{"c-p50", "p50"}, {"c-p95", "p95"}, {"c-max", "longest"}, {"c-rate", "requests"}, {"c-error", "errors"}},
		SVG: timeChart(alt, whole.Window.Seconds, bandsOf(whole, scenarios),
			panel{title: "Latency", height: 200, log: true, format: tight(recording.Seconds), series: []series{
				{name: "longest", class: "c-max", points: longest}, {name: "p95", class: "c-p95", points: p95}, {name: "p50", class: "c-p50", points: p50}}},
			panel{title: "Requests answered each second", height: 84, format: integer, series: []series{
				{name: "requests", class: "c-rate", area: true, points: rate}, {name: "errors", class: "c-error", area: true, points: errors}}}),
	}
}

// poolPicture is the occupancy of each pool over time; nil when there is none.
func poolPicture(whole *recording.Recording, scenarios []*recording.Recording) *Picture {
	var panels []panel
	for i := range whole.Pools {
		p := &whole.Pools[i]
		if len(p.Timeline) == 0 {
			continue
		}
		var used, waiting []point
		for _, t := range p.Timeline {
			used, waiting = append(used, point{t.T, float64(t.InUse)}), append(waiting, point{t.T, float64(t.Waiting)})
		}
		q := panel{title: poolName(p), height: 96, format: integer, series: []series{
			{name: "waiting", class: "c-waiting", step: true, area: true, points: waiting}, {name: "in use", class: "c-inuse", step: true, points: used}}}
		if p.Limit > 0 {
			q.ruler, q.ruled = float64(p.Limit), fmt.Sprintf("limit %d", p.Limit)
		}
		panels = append(panels, q)
	}
	if len(panels) == 0 {
		return nil
	}
	alt := "Connections in use and requests waiting for one, by pool, over the run"
	return &Picture{Caption: "Pool occupancy over time, the largest figures of each second", Alt: alt,
		Legend: []Legend{{"c-inuse", "in use"}, {"c-waiting", "requests waiting"}, {"c-limit", "limit reached"}},
		SVG:    timeChart(alt, whole.Window.Seconds, bandsOf(whole, scenarios), panels...)}
}

// memoryChart is the memory timeline.
func memoryChart(whole *recording.Recording, scenarios []*recording.Recording) string {
	var rss, heap, vms, threads []point
	for _, t := range whole.Memory.Timeline {
		rss, heap = append(rss, point{t.T, float64(t.RSS)}), append(heap, point{t.T, float64(t.Heap)})
		vms, threads = append(vms, point{t.T, float64(t.VMS)}), append(threads, point{t.T, float64(t.Threads)})
	}
	size := tight(recording.Bytes)
	return timeChart("Memory of the target over the run", whole.Window.Seconds, bandsOf(whole, scenarios),
		panel{title: "RSS and heap", height: 150, format: size, series: []series{{name: "RSS", class: "c-rss", points: rss}, {name: "heap", class: "c-heap", points: heap}}},
		panel{title: "VMS", height: 60, format: size, series: []series{{name: "VMS", class: "c-vms", points: vms}}},
		panel{title: "Threads", height: 60, format: integer, series: []series{{name: "threads", class: "c-threads", step: true, points: threads}}})
}

func memoryPicture(whole *recording.Recording, scenarios []*recording.Recording) *Picture {
	return &Picture{Caption: "Memory over time, all processes of the target added up", Alt: "RSS, heap, VMS and threads over the run", File: "memory_profile.svg",
		Legend: []Legend{{"c-rss", "RSS"}, {"c-heap", "heap"}, {"c-vms", "VMS"}, {"c-threads", "threads"}},
		SVG:    memoryChart(whole, scenarios)}
}
