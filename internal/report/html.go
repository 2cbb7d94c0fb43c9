package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

var (
	//go:embed page/page.html
	pageText string
	//go:embed page/page.css
	pageStyle string
	//go:embed page/chart.css
	chartStyle string
	//go:embed page/palette.css
	palette string
)

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"svg":     func(s string) template.HTML { return template.HTML(s) }, // made by this package, every text in it escaped
	"frame":   frame,
	"aspect":  func(svg []byte) template.CSS { return template.CSS(aspect(svg)) },
	"badge":   badge,
	"lower":   strings.ToLower,
	"share":   recording.Share,
	"seconds": recording.Seconds,
	"kind":    kindName,
	"tied":    tied,
	"meter":   func(v float64) template.CSS { return template.CSS(fmt.Sprintf("%.1f%%", 100*v)) },
}).Parse(pageText))

// HTML renders the document as one page that needs nothing besides itself.
func HTML(w io.Writer, doc Document) error {
	type section struct {
		Section
		Groups []group
	}
	view := struct {
		Document
		Style    template.CSS
		Sections []section
	}{Document: doc, Style: template.CSS(palette + chartStyle + pageStyle)}
	for _, s := range doc.Sections {
		view.Sections = append(view.Sections, section{s, groups(s.Blocks)})
	}
	return page.Execute(w, view)
}

// group is a block, or half-width pictures side by side with one legend below.
type group struct {
	Pair   bool
	Blocks []Block
	Legend []Legend
}

func groups(blocks []Block) (out []group) {
	for _, b := range blocks {
		half := b.Picture != nil && b.Picture.Half
		if half && len(out) > 0 && out[len(out)-1].Pair {
			out[len(out)-1].Blocks = append(out[len(out)-1].Blocks, b)
			continue
		}
		g := group{Pair: half, Blocks: []Block{b}}
		if half {
			g.Legend = b.Picture.Legend
		}
		out = append(out, g)
	}
	return out
}

var unit = regexp.MustCompile(`(\d|[<>≥×]) (ms|s|µs|min|%|B|kB|MB|GB|/s|\d)`)
var minus = regexp.MustCompile(`(^|[ (])-(\d)`)

// tied sets a figure and its unit so that no line breaks between them, and a true minus sign.
func tied(s string) string {
	return minus.ReplaceAllString(unit.ReplaceAllString(s, "$1\u00a0$2"), "$1−$2")
}

// badge says whether a cell is drawn as a badge: statuses and priorities.
func badge(mark, text string) bool {
	switch mark {
	case "pass", "fail", "p0", "p1", "p2":
		return true
	case "none":
		return text == string(none)
	default:
		return false
	}
}

// frame wraps a foreign SVG as a page for a sandboxed frame, so that its style and scripts
// cannot touch the report.
func frame(svg []byte) string {
	s := string(svg)
	if i := strings.Index(s, "<svg"); i > 0 {
		s = s[i:] // without the XML prologue
	}
	return "<!doctype html><meta charset=utf-8><style>html,body{margin:0}svg{display:block;width:100%;height:auto}</style>" + s
}

var viewBox = regexp.MustCompile(`viewBox="[-\d.]+[ ,]+[-\d.]+[ ,]+([\d.]+)[ ,]+([\d.]+)"`)

// aspect gives the frame the shape of the SVG.
func aspect(svg []byte) string {
	if m := viewBox.FindSubmatch(svg[:min(len(svg), 4096)]); m != nil {
		w, err1 := strconv.ParseFloat(string(m[1]), 64)
		h, err2 := strconv.ParseFloat(string(m[2]), 64)
		if err1 == nil && err2 == nil && w > 0 && h > 0 {
			return fmt.Sprintf("aspect-ratio:%g/%g", w, h)
		}
	}
	return "height:640px"
}
