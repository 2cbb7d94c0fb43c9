package web

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
)

// Sparklines are drawn in a box of this size and stretched by the page.
const boxWidth, boxHeight = 300, 48

// sparkline draws values as an area with a line on it, the largest one at the upper edge;
// mark draws a dashed line at a value, none when 0. It returns nothing when there are fewer than
// two values.
func sparkline(values []float64, mark float64) template.HTML {
	if len(values) < 2 {
		return ""
	}
	top := max(slices.Max(values), mark)
	if top == 0 {
		top = 1
	}
	y := func(v float64) float64 { return boxHeight - 2 - v/top*(boxHeight-6) }
	var points strings.Builder
	for i, v := range values {
		fmt.Fprintf(&points, "%.1f,%.1f ", float64(i)*boxWidth/float64(len(values)-1), y(v))
	}
	line := strings.TrimSpace(points.String())
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="spark" viewBox="0 0 %d %d" preserveAspectRatio="none" aria-hidden="true">`, boxWidth, boxHeight)
	fmt.Fprintf(&b, `<polygon class="area" points="0,%d %s %d,%d"/>`, boxHeight, line, boxWidth, boxHeight)
	fmt.Fprintf(&b, `<polyline class="line" points="%s"/>`, line)
	if mark > 0 {
		fmt.Fprintf(&b, `<line class="mark" x1="0" x2="%d" y1="%.1f" y2="%.1f"/>`, boxWidth, y(mark), y(mark))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) // numbers only, nothing that came from outside
}
