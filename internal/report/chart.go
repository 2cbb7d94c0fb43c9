package report

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

// Charts over time. Widths are per cent and heights are pixels, so that text keeps its size
// on a phone; curves are drawn in an inner SVG that stretches. Colours are classes, which the
// page (or, in a file of its own, an embedded style) gives their meaning.

const (
	panelTitle = 24 // pixels above a panel for its title
	panelGap   = 14
	axisRoom   = 22
	maxColumns = 240 // readings drawn; more are joined, the largest of each group stays
)

// point is a reading at t seconds.
type point struct{ t, v float64 }

// series is a curve of a panel.
type series struct {
	name   string
	class  string
	area   bool // fill down to zero
	step   bool
	dashed bool
	points []point
}

// panel is a plot with an axis of its own.
type panel struct {
	title  string
	height float64
	log    bool
	format func(float64) string
	series []series
	ruler  float64 // a dashed line across, such as a limit; 0: none
	ruled  string
}

// band is a span of time with a name, a scenario.
type band struct {
	from, to float64
	name     string
}

// timeChart draws panels over a common axis of so many seconds.
func timeChart(alt string, seconds float64, bands []band, panels ...panel) string {
	if seconds <= 0 {
		seconds = 1
	}
	var s strings.Builder
	height := axisRoom + bandRoom(bands)
	for _, p := range panels {
		height += panelTitle + p.height + panelGap
	}
	fmt.Fprintf(&s, `<svg class="chart time" role="img" aria-label="%s" width="100%%" height="%.0f">`, html.EscapeString(alt), height)
	drawBands(&s, bands, seconds, height-axisRoom)
	y := bandRoom(bands)
	for _, p := range panels {
		p.draw(&s, y, seconds)
		y += panelTitle + p.height + panelGap
	}
	drawTimeAxis(&s, seconds, height)
	s.WriteString("</svg>")
	return s.String()
}

func bandRoom(bands []band) float64 {
	if len(bands) == 0 {
		return 0
	}
	return 22
}

func drawBands(s *strings.Builder, bands []band, seconds, height float64) {
	for i, b := range bands {
		x, w := 100*b.from/seconds, 100*(b.to-b.from)/seconds
		fmt.Fprintf(s, `<rect class="band band-%d" x="%.3f%%" y="0" width="%.3f%%" height="%.0f"/>`, i%2, x, w, height)
		fmt.Fprintf(s, `<svg x="%.3f%%" y="0" width="%.3f%%" height="20"><text class="band-name" x="4" y="14">%s</text></svg>`, x, w, html.EscapeString(b.name))
	}
}

func drawTimeAxis(s *strings.Builder, seconds, height float64) {
	step := niceStep(seconds/6, []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200})
	for t := 0.0; t <= seconds; t += step {
		x := 100 * t / seconds
		anchor := "middle"
		if x < 2 {
			anchor = "start"
		} else if x > 97 {
			anchor = "end"
		}
		fmt.Fprintf(s, `<text class="tick" x="%.3f%%" y="%.0f" text-anchor="%s">%s</text>`, x, height-6, anchor, clock(t))
	}
}

// clock writes seconds since the start as m:ss.
func clock(t float64) string { return fmt.Sprintf("%d:%02d", int(t)/60, int(t)%60) }

func niceStep(least float64, steps []float64) float64 {
	for _, s := range steps {
		if s >= least {
			return s
		}
	}
	return steps[len(steps)-1] * math.Ceil(least/steps[len(steps)-1])
}

func (p panel) draw(s *strings.Builder, top, seconds float64) {
	fmt.Fprintf(s, `<text class="panel" x="4" y="%.0f">%s</text>`, top+13, html.EscapeString(p.title))
	top += panelTitle
	scale, lines := p.scale()
	fmt.Fprintf(s, `<svg x="0" y="%.0f" width="100%%" height="%.0f" viewBox="0 0 1000 %.0f" preserveAspectRatio="none">`, top, p.height, p.height)
	for _, r := range p.series {
		r.draw(s, seconds, p.height, scale)
	}
	s.WriteString(`</svg>`)
	for _, v := range lines {
		y := top + p.height*(1-scale(v))
		fmt.Fprintf(s, `<line class="grid" x1="0" x2="100%%" y1="%.1f" y2="%.1f"/><text class="tick" x="-8" y="%.1f" text-anchor="end">%s</text>`, y, y, y+4, html.EscapeString(p.format(v)))
	}
	if p.ruler > 0 {
		y := top + p.height*(1-scale(p.ruler))
		fmt.Fprintf(s, `<line class="ruler" x1="0" x2="100%%" y1="%.1f" y2="%.1f"/><text class="ruled halo" x="100%%" y="%.1f" text-anchor="end">%s</text>`, y, y, y-4, html.EscapeString(p.ruled))
	}
	p.hits(s, top, seconds)
}

// scale returns the map from a value to 0..1 and the values of the grid's lines.
func (p panel) scale() (func(float64) float64, []float64) {
	low, high := math.Inf(1), p.ruler
	for _, r := range p.series {
		for _, q := range r.points {
			high = math.Max(high, q.v)
			if q.v > 0 {
				low = math.Min(low, q.v)
			}
		}
	}
	if high <= 0 {
		high, low = 1, 1
	}
	if p.log {
		a, b := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
		b = math.Max(b, a+1)
		var lines []float64
		for e := a; e <= b; e++ {
			lines = append(lines, math.Pow(10, e))
		}
		return func(v float64) float64 {
			if v <= 0 {
				return 0
			}
			return math.Max(0, (math.Log10(v)-a)/(b-a))
		}, lines
	}
	magnitude := math.Pow(10, math.Floor(math.Log10(high)))
	step := niceStep(high/3/magnitude, []float64{.1, .2, .25, .5, 1, 2, 2.5, 5}) * magnitude
	top := math.Ceil(high/step*1.02) * step
	var lines []float64
	for v := 0.0; v <= top+step/2; v += step {
		lines = append(lines, v)
	}
	return func(v float64) float64 { return v / top }, lines
}

func (r series) draw(s *strings.Builder, seconds, height float64, scale func(float64) float64) {
	points := thin(r.points)
	if len(points) == 0 {
		return
	}
	var path strings.Builder
	at := func(q point) (float64, float64) { return 1000 * q.t / seconds, height * (1 - scale(q.v)) }
	gap := usualGap(points)
	from := 0
	for i := range points { // a pause between scenarios breaks the curve
		if i+1 == len(points) || points[i+1].t-points[i].t > 4*gap {
			r.run(&path, points[from:i+1], height, at)
			from = i + 1
		}
	}
	kind := "line"
	if r.area {
		kind = "area"
	}
	dash := ""
	if r.dashed {
		dash = " dashed"
	}
	fmt.Fprintf(s, `<path class="%s%s %s" d="%s"/>`, kind, dash, r.class, path.String())
}

// run draws an unbroken part of a curve.
func (r series) run(path *strings.Builder, points []point, height float64, at func(point) (float64, float64)) {
	x0, y0 := at(points[0])
	if r.area {
		fmt.Fprintf(path, "M%.1f %.1fL%.1f %.1f", x0, height, x0, y0)
	} else {
		fmt.Fprintf(path, "M%.1f %.1f", x0, y0)
	}
	x := x0
	for _, q := range points[1:] {
		var y float64
		x, y = at(q)
		if r.step {
			fmt.Fprintf(path, "H%.1fV%.1f", x, y)
		} else {
			fmt.Fprintf(path, "L%.1f %.1f", x, y)
		}
	}
	if r.area {
		fmt.Fprintf(path, "L%.1f %.1fZ", x, height)
	}
}

// thin joins neighbouring readings until at most maxColumns are left; the largest stays.
func thin(points []point) []point {
	group := (len(points) + maxColumns - 1) / maxColumns
	if group <= 1 {
		return points
	}
	var out []point
	for i := 0; i < len(points); i += group {
		q := points[i]
		for _, o := range points[i:min(i+group, len(points))] {
			q.v = math.Max(q.v, o.v)
		}
		out = append(out, q)
	}
	return out
}

// usualGap is the median distance of the readings in seconds.
func usualGap(points []point) float64 {
	if len(points) < 2 {
		return 1
	}
	gaps := recording.Dist{}
	for i := 1; i < len(points); i++ {
		gaps.Observe(points[i].t - points[i-1].t)
	}
	return math.Max(gaps.Quantile(.5), .1)
}

// hits lays an invisible column over each reading, whose title tells its figures.
func (p panel) hits(s *strings.Builder, top, seconds float64) {
	if len(p.series) == 0 {
		return
	}
	lead := thin(p.series[0].points)
	gap := usualGap(lead)
	for i, q := range lead {
		var says []string
		for _, r := range p.series {
			if t := thin(r.points); i < len(t) && t[i].t == q.t {
				says = append(says, r.name+" "+p.format(t[i].v))
			}
		}
		fmt.Fprintf(s, `<rect class="hit" x="%.3f%%" y="%.0f" width="%.3f%%" height="%.0f"><title>%s  %s</title></rect>`,
			100*math.Max(0, q.t-gap/2)/seconds, top, 100*gap/seconds, p.height, clock(q.t), html.EscapeString(strings.Join(says, " · ")))
	}
}
