package flame

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ragscope/ragscope/internal/stack"
)

// head is what stands above the graph: a title, lines of facts, the legend. All but the title
// flows: as much in a row as it holds. The script lets it flow again in a narrow window.
type head struct {
	title  string
	facts  []string
	legend []palette
	height int

	factAt, keyAt []point
}

// Of the head, in pixels.
const (
	titleBase  = 32
	factBase   = 53 // of the first row
	factHeight = 17
	factGap    = 18
	keyHeight  = 18
	keyText    = 17  // from the colour to its name
	sansWidth  = 6.9 // of a character, on average, a little more than it needs
)

type point struct{ x, y float64 }

func headOf(p *stack.Profile, l layout, o Options) head {
	h := head{title: kindTitle(p.Kind), facts: facts(p, l.total, o.Subtitle), legend: legend(l)}
	if o.Title != "" {
		h.title = o.Title + " · " + h.title
	}
	var widths []float64
	for _, f := range h.facts {
		widths = append(widths, textWidth(f))
	}
	var rows int
	h.factAt, rows = flow(widths, factGap, factHeight)
	y := factBase + float64(rows)*factHeight - 4
	for i := range h.factAt {
		h.factAt[i].y += factBase
	}
	widths = nil
	for _, k := range h.legend {
		widths = append(widths, keyText+textWidth(k.label))
	}
	h.keyAt, rows = flow(widths, factGap, keyHeight)
	for i := range h.keyAt {
		h.keyAt[i].y += y
	}
	h.height = int(y) + rows*keyHeight + 12
	return h
}

func (h head) write(w writer) {
	w.f(`<text class="title" x="%d" y="%d">%s</text>`+"\n", margin, titleBase, escape(h.title))
	for i, f := range h.facts {
		w.f(`<text class="facts" x="%.0f" y="%.0f">%s</text>`+"\n", h.factAt[i].x, h.factAt[i].y, escape(f))
	}
	for i, k := range h.legend {
		w.f(`<g class="key" transform="translate(%.0f %.0f)"><rect class="%s0" width="12" height="12" rx="2"/><text x="%d" y="10">%s</text></g>`+"\n",
			h.keyAt[i].x, h.keyAt[i].y, k.class, keyText, escape(k.label))
	}
}

func textWidth(s string) float64 { return sansWidth * float64(utf8.RuneCountInString(s)) }

// flow places things of these widths in rows of the page.
func flow(widths []float64, gap, rowHeight float64) (at []point, rows int) {
	x, y := float64(margin), 0.
	for _, w := range widths {
		if x > margin && x+w > width-margin {
			x, y = margin, y+rowHeight
		}
		at = append(at, point{x, y})
		x += w + gap
		rows = int(y/rowHeight) + 1
	}
	return at, rows
}

// facts are what was measured, how long, how often.
func facts(p *stack.Profile, total *node, subtitle string) (facts []string) {
	if total.samples > 0 {
		facts = append(facts, quantity(p.Kind, total.value), fmt.Sprintf("%d samples", total.samples))
	}
	if covered := p.End.Sub(p.Start); covered > 0 {
		facts = append(facts, fmt.Sprintf("over %s from %s", quantity(stack.CPU, covered.Nanoseconds()), p.Start.UTC().Format("2006-01-02 15:04:05 UTC")))
	}
	if p.Period > 0 {
		rate := fmt.Sprintf("%.0f Hz", 1/p.Period.Seconds())
		if p.Longest > p.Period {
			rate = fmt.Sprintf("%.0f to %s", 1/p.Longest.Seconds(), rate)
		}
		facts = append(facts, rate)
	}
	if subtitle != "" {
		facts = append(facts, subtitle)
	}
	return facts
}

// legend is the palettes in use. That of other runtimes is named after those that are there.
func legend(l layout) (used []palette) {
	kinds := map[string][]string{}
	for _, b := range l.boxes {
		class := paletteOf(b.kind)
		if name := runtimeName(b.kind); !slices.Contains(kinds[class], name) {
			kinds[class] = append(kinds[class], name)
		}
	}
	for _, p := range palettes {
		names, ok := kinds[p.class]
		if !ok {
			continue
		}
		if p.class == otherKinds {
			slices.Sort(names)
			p.label = strings.Join(names, ", ")
		}
		used = append(used, p)
	}
	return used
}

// runtimeName is how people call a runtime that the unwinder calls so.
func runtimeName(kind string) string {
	switch kind {
	case "v8js":
		return "JavaScript"
	case "jvm":
		return "JVM"
	case "go":
		return "Go"
	case "dotnet":
		return ".NET"
	case "":
		return "other"
	}
	return kind
}
