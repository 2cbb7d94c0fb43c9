package locust

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

type point struct{ x, y float64 }

type line struct {
	name, colour string
	points       []point
}

// Size of a chart in pixels, and the room for its axes.
const (
	chartWidth, chartHeight = 720.0, 200.0
	left, right, top, below = 56.0, 12.0, 26.0, 22.0
)

// chart draws lines over seconds as one SVG picture. Names and units are this program's own
// words, so nothing needs escaping.
func chart(title, unit string, lines ...line) template.HTML {
	xMax, yMax := 1.0, 0.0
	for _, l := range lines {
		for _, p := range l.points {
			xMax, yMax = max(xMax, p.x), maxKnown(yMax, p.y)
		}
	}
	yMax = niceAbove(yMax)
	x := func(v float64) float64 { return left + v/xMax*(chartWidth-left-right) }
	y := func(v float64) float64 { return chartHeight - below - v/yMax*(chartHeight-top-below) }

	var sb strings.Builder
	fmt.Fprintf(&sb, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s"><text x="%g" y="14" class="title">%s</text>`, chartWidth, chartHeight, title, left, title)
	for i := range 5 {
		v := yMax * float64(i) / 4
		fmt.Fprintf(&sb, `<line x1="%g" x2="%g" y1="%.1f" y2="%.1f" class="grid"/><text x="%g" y="%.1f" class="y">%g %s</text>`, left, chartWidth-right, y(v), y(v), left-6, y(v)+4, v, unit)
		t := xMax * float64(i) / 4
		fmt.Fprintf(&sb, `<text x="%.1f" y="%g" class="x">%.0f s</text>`, x(t), chartHeight-6, t)
	}
	legend := chartWidth - right
	for _, l := range lines {
		var path []string
		draw := func() {
			if len(path) > 0 {
				fmt.Fprintf(&sb, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.8" stroke-linecap="round"/>`, strings.Join(path, " "), l.colour)
			}
			path = nil
		}
		for _, p := range l.points {
			if math.IsNaN(p.y) { // nothing was measured: a gap
				draw()
				continue
			}
			path = append(path, fmt.Sprintf("%.1f,%.1f", x(p.x), y(p.y)))
		}
		draw()
		fmt.Fprintf(&sb, `<text x="%g" y="14" style="fill:%s" class="legend">%s</text>`, legend, l.colour, l.name)
		legend -= 74
	}
	sb.WriteString("</svg>")
	return template.HTML(sb.String())
}

func maxKnown(a, b float64) float64 {
	if math.IsNaN(b) {
		return a
	}
	return max(a, b)
}

// niceAbove is the smallest of 1, 2, 4, 8 × 10ⁿ that is not below v.
func niceAbove(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 4, 8} {
		if m*unit >= v {
			return m * unit
		}
	}
	return 10 * unit
}
