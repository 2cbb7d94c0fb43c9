package flame

import (
	"bufio"
	_ "embed"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/ragscope/ragscope/internal/stack"
)

//go:embed style.css
var style string

//go:embed script.js
var script string

// writer writes SVG; bufio keeps the first error.
type writer struct{ *bufio.Writer }

func (w writer) f(format string, args ...any) { fmt.Fprintf(w, format, args...) }

// escape makes s harmless in text and in a quoted attribute. Control characters that XML
// cannot hold become U+FFFD.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}

func render(out io.Writer, p *stack.Profile, l layout, o Options) error {
	w := writer{bufio.NewWriter(out)}
	height := headHeight + max(l.rows, 3)*rowHeight + footHeight
	w.f(`<?xml version="1.0" encoding="UTF-8"?>`+"\n"+
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">`+"\n", width, height, width, height)
	w.f("<style>\n%s%s</style>\n", style, stylesheet())
	w.f(`<rect class="page" width="%d" height="%d"/>`+"\n", width, height)
	head(w, p, l, o)
	frames(w, p, l)
	foot(w, l, o, height)
	if len(l.boxes) > 0 {
		w.f("<script><![CDATA[\n%s]]></script>\n", script)
	}
	w.f("</svg>\n")
	return w.Flush()
}

func head(w writer, p *stack.Profile, l layout, o Options) {
	title := o.Title
	if title == "" {
		title = kindTitle(p.Kind)
	}
	w.f(`<text class="title" x="%d" y="32">%s</text>`+"\n", margin, escape(title))
	w.f(`<text class="facts" x="%d" y="53">%s</text>`+"\n", margin, escape(facts(p, l.total, o.Subtitle)))
	x := margin
	used := map[string]bool{}
	for _, b := range l.boxes {
		used[paletteOf(b.kind)] = true
	}
	for _, pal := range palettes {
		if !used[pal.class] {
			continue
		}
		w.f(`<rect class="%s0" x="%d" y="66" width="12" height="12" rx="2"/>`, pal.class, x)
		w.f(`<text class="legend" x="%d" y="76">%s</text>`+"\n", x+17, escape(pal.label))
		x += 17 + 7*len(pal.label) + 18
	}
	w.f(`<text class="reset" x="%d" y="76" text-anchor="end">Show all (Esc)</text>`+"\n", width-margin)
}

// facts is the line below the title: what was measured, how long, how often.
func facts(p *stack.Profile, total *node, subtitle string) string {
	parts := []string{}
	if total.samples > 0 {
		parts = append(parts, quantity(p.Kind, total.value), fmt.Sprintf("%d samples", total.samples))
	}
	if covered := p.End.Sub(p.Start); covered > 0 {
		parts = append(parts, fmt.Sprintf("over %s from %s", quantity(stack.CPU, covered.Nanoseconds()), p.Start.UTC().Format("2006-01-02 15:04:05 UTC")))
	}
	if p.Period > 0 {
		parts = append(parts, fmt.Sprintf("%.0f Hz", 1e9/float64(p.Period.Nanoseconds())))
	}
	if subtitle != "" {
		parts = append(parts, subtitle)
	}
	return strings.Join(parts, "  ·  ")
}

func frames(w writer, p *stack.Profile, l layout) {
	w.f(`<g id="frames" data-s="%d %d %g">`+"\n", margin, graphWidth, charWidth)
	for _, b := range l.boxes {
		x, pixels := margin+b.x*graphWidth, b.width*graphWidth
		y := headHeight + b.row*rowHeight
		own := ""
		if b.kind == kindEndpoint {
			own = ` class="own"`
		}
		w.f(`<g data-n="%s" data-p="%.8g %.8g %d"><title>%s</title>`, escape(b.name), b.x, b.width, b.row, escape(tooltip(p.Kind, b, l.total)))
		w.f(`<rect class="%s" x="%.2f" y="%d" width="%.2f" height="%d" rx="2"/>`, class(b.node), x, y, pixels, rowHeight-1)
		w.f(`<text%s x="%.2f" y="%d">%s</text></g>`+"\n", own, x+4, y+12, escape(fit(b.name, pixels)))
	}
	w.f("</g>\n")
	if len(l.boxes) == 0 {
		w.f(`<text class="facts" x="%d" y="%d">no samples</text>`+"\n", margin, headHeight+rowHeight)
	}
}

func foot(w writer, l layout, o Options, height int) {
	text := ""
	switch {
	case len(l.boxes) == 0:
		text = o.Empty
	case l.hidden > 0:
		text = fmt.Sprintf("%d frames narrower than %.1f px are not drawn", l.hidden, minWidth)
	}
	w.f(`<text class="foot" x="%d" y="%d">%s</text>`+"\n", margin, height-12, escape(text))
}

// tooltip is a name, where it is, and its shares.
func tooltip(kind stack.Kind, b box, total *node) string {
	lines := []string{b.name}
	if b.file != "" {
		lines = append(lines, b.file)
	}
	shares := fmt.Sprintf("%s, %.1f %% of all", quantity(kind, b.value), percent(b.value, total.value))
	if b.endpoint != b.node {
		shares += fmt.Sprintf(", %.1f %% of %s", percent(b.value, b.endpoint.value), b.endpoint.name)
	}
	return strings.Join(append(lines, shares, fmt.Sprintf("%d samples", b.samples)), "\n")
}

func percent(part, whole int64) float64 { return 100 * float64(part) / float64(whole) }

// fit is the part of name that a box of so many pixels can hold.
func fit(name string, pixels float64) string {
	letters := []rune(name)
	n := int((pixels - 6) / charWidth)
	switch {
	case n >= len(letters):
		return name
	case n < 3:
		return ""
	default:
		return string(letters[:n-1]) + "…"
	}
}
