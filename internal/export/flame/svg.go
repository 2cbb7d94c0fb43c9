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
	h := headOf(p, l, o)
	height := h.height + max(l.rows, 3)*rowHeight + footHeight
	w.f(`<?xml version="1.0" encoding="UTF-8"?>`+"\n"+
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">`+"\n", width, height, width, height)
	w.f("<title>%s</title>\n<style>\n%s%s</style>\n", escape(h.title), style, stylesheet())
	w.f(`<rect class="page" width="%d" height="%d"/>`+"\n", width, height)
	h.write(w)
	frames(w, p, l, h.height)
	foot(w, l, o, height)
	if len(l.boxes) > 0 {
		w.f("<script><![CDATA[\n%s]]></script>\n", script)
	}
	w.f("</svg>\n")
	return w.Flush()
}

func frames(w writer, p *stack.Profile, l layout, top int) {
	w.f(`<g id="frames" transform="translate(%d %d)">`+"\n", margin, top)
	for _, b := range l.boxes {
		x, pixels := b.x*graphWidth, b.width*graphWidth
		y := b.row * rowHeight
		own := ""
		if b.kind == kindEndpoint {
			own = ` class="own"`
		}
		w.f(`<g data-n="%s" data-p="%.8g %.8g %d"><title>%s</title>`, escape(b.label()), b.x, b.width, b.row, escape(tooltip(p.Kind, b, l.total)))
		w.f(`<rect class="%s" x="%.2f" y="%d" width="%.2f" height="%d" rx="2"/>`, class(b.node), x, y, pixels, rowHeight-1)
		w.f(`<text%s x="%.2f" y="%d">%s</text></g>`+"\n", own, x+4, y+12, escape(fit(b.label(), pixels)))
	}
	w.f("</g>\n")
	if len(l.boxes) == 0 {
		w.f(`<text class="facts" x="%d" y="%d">no samples</text>`+"\n", margin, top+rowHeight)
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
	lines := []string{b.label()}
	if place := b.place(); place != "" {
		lines = append(lines, place)
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
