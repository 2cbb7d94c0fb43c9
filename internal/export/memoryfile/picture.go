package memoryfile

import (
	"bufio"
	_ "embed" // the style
	"encoding/xml"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

// Names of the files.
const (
	PictureName = "memory_profile.svg"
	ReportName  = "memory_report.json"
)

//go:embed style.css
var style string

// Geometry in units of the picture, which is scaled to the width of the screen: at 640 units a
// phone shows the text at half its size, which can be read.
const (
	width  = 640
	margin = 20
	inner  = width - 2*margin
)

// picture writes from top to bottom; bufio keeps the first error.
type picture struct {
	body strings.Builder
	y    float64
}

func (p *picture) f(format string, args ...any) { fmt.Fprintf(&p.body, format, args...) }

// escape makes s harmless in text and in a quoted attribute.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}

// Draw draws what a recording says of memory. scenarios are stretches of it with names; nil: none.
func Draw(out io.Writer, r *recording.Recording, scenarios []*recording.Recording) error {
	p := &picture{y: 44}
	p.head(r)
	p.verdict(&r.Memory)
	if len(r.Memory.Timeline) > 1 {
		p.charts(r, scenarios)
	}
	p.limits(r.Memory.Limits)
	p.composition(r)
	p.containers(r.Memory.Containers)
	p.hotspots(r)
	p.missing(r)
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %.0f" role="img" aria-label="%s">`+"\n",
		width, p.y+margin, escape("memory of "+r.Target.Service+": "+r.Memory.Verdict))
	fmt.Fprintf(w, "<style>\n%s</style>\n<rect class=\"page\" width=\"100%%\" height=\"100%%\"/>\n%s</svg>\n", style, p.body.String())
	return w.Flush()
}

// text writes a line, or several where it is too long, and moves below.
func (p *picture) text(class string, size, indent float64, s string) {
	for _, line := range wrap(s, int((inner-indent)/(size*.56))) {
		p.f(`<text class="%s" x="%.0f" y="%.0f">%s</text>`+"\n", class, margin+indent, p.y, escape(line))
		p.y += size * 1.4
	}
}

// unit is what stays on the line of its number.
var unit = regexp.MustCompile(`(\d) (%|(?:s|min|h|[kMGT]?B)\b)`)

// wrap breaks a text between words into lines of at most so many characters; a longer word is cut.
func wrap(s string, most int) (lines []string) {
	line := ""
	for _, word := range strings.Split(unit.ReplaceAllString(strings.Join(strings.Fields(s), " "), "$1\u00a0$2"), " ") {
		for letters := []rune(word); len(letters) > most; letters = []rune(word) {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			lines, word = append(lines, string(letters[:most])), string(letters[most:])
		}
		switch {
		case line == "":
			line = word
		case len([]rune(line))+1+len([]rune(word)) > most:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

func (p *picture) head(r *recording.Recording) {
	service := r.Target.Service
	if service == "" {
		service = "the target"
	}
	p.text("title", 22, 0, "Memory of "+service)
	p.y -= 4
	facts := []string{}
	for _, s := range []string{r.Target.Address, r.Target.Runtime, r.Window.Start.UTC().Format("2006-01-02 15:04:05 UTC"), recording.Seconds(r.Window.Seconds)} {
		if s != "" {
			facts = append(facts, s)
		}
	}
	if n := NewReport(r).Requests; n > 0 {
		facts = append(facts, recording.Number(n)+" requests")
	}
	p.text("facts", 14, 0, strings.Join(facts, " · "))
}

// verdictClass is the colour of a verdict.
var verdictClass = map[string]string{"stable": "v-stable", "growing": "v-growing", "leak suspected": "v-leak"}

func (p *picture) verdict(m *recording.Memory) {
	verdict, class := m.Verdict, verdictClass[m.Verdict]
	if verdict == "" {
		verdict = "not measured"
	}
	if class == "" {
		class = "v-short"
	}
	p.f(`<rect class="%s" x="%d" y="%.0f" width="%.0f" height="30" rx="6"/><text class="verdict" x="%d" y="%.0f">%s</text>`+"\n",
		class, margin, p.y, float64(len(verdict))*11+28, margin+14, p.y+21, escape(verdict))
	p.y += 54
	reason := m.Reason
	if reason != "" {
		reason = strings.ToUpper(reason[:1]) + reason[1:] + "."
	}
	p.text("reason", 15, 0, reason)
	p.y += 6
}

func (p *picture) section(title string) {
	p.y += 24
	p.text("head", 15, 0, title)
	p.y += 2
}

func (p *picture) limits(limits []recording.MemoryLimit) {
	if len(limits) == 0 {
		return
	}
	p.section("Against its limits")
	for _, l := range limits {
		p.text("", 14, 0, fmt.Sprintf("%s: %s of %s (%s), by the largest %s", l.What, recording.Share(l.Share), size(l.Bytes), l.Basis, l.Of))
	}
}

func size(n uint64) string { return recording.Bytes(float64(n)) }

const shades = 8

// composition is a bar of the kinds of memory with their names below.
func (p *picture) composition(r *recording.Recording) {
	p.section("What it consists of")
	c := r.Memory.Composition
	if c == nil || c.RSS == 0 {
		p.text("note", 14, 0, "not measured: "+why(r, "what memory consists of", "no look at its mappings was taken"))
		return
	}
	x := float64(margin)
	for i, part := range c.Parts {
		w := inner * float64(part.Bytes) / float64(c.RSS)
		p.f(`<rect class="f%d" x="%.1f" y="%.0f" width="%.1f" height="22"><title>%s</title></rect>`+"\n", min(i, shades-1), x, p.y-8, w, escape(part.Kind+": "+part.Basis))
		x += w
	}
	p.y += 36
	for i, part := range c.Parts {
		p.f(`<rect class="f%d" x="%d" y="%.0f" width="12" height="12" rx="2"/>`, min(i, shades-1), margin, p.y-11)
		p.f(`<text x="%d" y="%.0f">%s</text><text x="%d" y="%.0f" text-anchor="end">%s</text><text x="%d" y="%.0f" text-anchor="end">%s</text>`+"\n",
			margin+20, p.y, escape(part.Kind), width-margin-70, p.y, size(part.Bytes), width-margin, p.y, escape(recording.Share(float64(part.Bytes)/float64(c.RSS))))
		p.y += 20
	}
	p.text("note", 14, 0, fmt.Sprintf("RSS %s: anonymous %s, files %s, shared %s; PSS %s; swapped out %s; read %s after the begin",
		size(c.RSS), size(c.Anonymous), size(c.File), size(c.Shared), size(c.PSS), size(c.Swap), clock(c.T)))
}

// why is the recording's reason for what is missing.
func why(r *recording.Recording, what, otherwise string) string {
	for _, n := range r.NotMeasured {
		if strings.Contains(n.What, what) {
			return n.Why
		}
	}
	return otherwise
}

// drawn is how many hot spots a picture has room for.
const drawn = 10

func (p *picture) hotspots(r *recording.Recording) {
	p.section("Where new memory was first touched, by stack and endpoint")
	spots := r.Memory.Hotspots
	if len(spots) == 0 {
		p.text("note", 14, 0, "not measured: "+why(r, Hotspots, "the recording holds no allocation stacks"))
		return
	}
	for _, h := range spots[:min(drawn, len(spots))] {
		function := h.Function
		if function == "" && len(h.Stack) > 0 {
			function = h.Stack[len(h.Stack)-1]
		}
		p.f(`<text class="strong" x="%d" y="%.0f" text-anchor="end">%s</text>`+"\n", margin+76, p.y, recording.Bytes(float64(h.Bytes)))
		p.text("", 14, 90, function)
		p.text("note", 14, 90, h.Endpoint)
		p.y += 4
	}
}

// containers are those that grew.
func (p *picture) containers(list []recording.Container) {
	if len(list) == 0 {
		return
	}
	p.section("Which of Python's containers grew")
	for _, c := range list[:min(drawn, len(list))] {
		name := c.Name
		if name == "" {
			name = "(no known name)"
		}
		p.f(`<text class="strong" x="%d" y="%.0f" text-anchor="end">+%s</text>`+"\n", margin+76, p.y, recording.Number(c.After-c.Before))
		p.text("", 14, 90, fmt.Sprintf("%s: %s of process %d, from %s to %s entries", name, c.Type, c.PID, recording.Number(c.Before), recording.Number(c.After)))
		if len(c.Users) > 0 {
			p.text("note", 14, 90, "used in "+strings.Join(c.Users, ", "))
		}
	}
}

func (p *picture) missing(r *recording.Recording) {
	list := NewReport(r).NotMeasured
	if len(list) == 0 {
		return
	}
	p.section("Not measured")
	for _, n := range list {
		p.text("note", 14, 0, n.What+": "+n.Why)
	}
}
