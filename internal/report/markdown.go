package report

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

// Markdown renders the document in GitHub's Markdown. Pictures that have a file beside the
// report are linked; the others are on the page.
func Markdown(w io.Writer, doc Document) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "# %s\n\n%s\n\n**%s**\n", doc.Title, prose(doc.Subtitle), doc.Verdict)
	for _, s := range doc.Sections {
		title := s.Title
		if s.Number > 0 {
			title = fmt.Sprintf("%d. %s", s.Number, s.Title)
		}
		fmt.Fprintf(b, "\n## %s\n", title)
		for _, block := range s.Blocks {
			markdownBlock(b, doc, block)
		}
	}
	fmt.Fprintf(b, "\n---\nMade by ragscope from recordings. Every figure was measured; what was not says so.\n")
	return b.Flush()
}

func markdownBlock(w io.Writer, doc Document, b Block) {
	switch {
	case b.Heading != "":
		fmt.Fprintf(w, "\n### %s\n", prose(b.Heading))
	case b.Text != "":
		fmt.Fprintf(w, "\n%s\n", prose(b.Text))
	case b.Callout != "":
		fmt.Fprintf(w, "\n> %s\n", prose(b.Callout))
	case b.List != nil:
		fmt.Fprintln(w)
		for _, item := range b.List {
			fmt.Fprintf(w, "- %s\n", prose(item))
		}
	case b.Tiles != nil:
		fmt.Fprintln(w)
		for _, t := range b.Tiles {
			fmt.Fprintf(w, "- %s: **%s** (%s)\n", prose(t.Label), t.Value, prose(t.Note))
		}
	case b.Facts != nil:
		t := &Table{Columns: columns(",", "")}
		for _, f := range b.Facts {
			t.row(plain(f.Name, f.Value)...)
		}
		markdownTable(w, t)
	case b.Table != nil:
		markdownTable(w, b.Table)
	case b.Picture != nil && b.Picture.File != "":
		fmt.Fprintf(w, "\n![%s](%s/%s)\n", b.Picture.Alt, doc.Assets, b.Picture.File)
	case b.Picture != nil:
		fmt.Fprintf(w, "\n*Picture on the HTML page: %s.*\n", b.Picture.Caption)
	case b.Flame != nil:
		fmt.Fprintf(w, "\n![CPU flame graph](%s/%s)\n", doc.Assets, b.FlameURL)
	case b.Finding != nil:
		markdownFinding(w, b.Finding)
	}
}

func markdownFinding(w io.Writer, f *recording.Bottleneck) {
	fmt.Fprintf(w, "\n#### %d. %s %s: %s of all waiting (%s)\n\n", f.Rank, f.Priority, prose(f.Where), recording.Share(f.Share), recording.Seconds(f.WaitedSeconds))
	fmt.Fprintf(w, "%s; endpoints: %s\n\n", sentence(kindName(f.Kind)), prose(strings.Join(f.Endpoints, ", ")))
	for _, e := range f.Evidence {
		fmt.Fprintf(w, "- %s\n", prose(e))
	}
	gain := "not predicted yet"
	if p := f.Prediction; p != nil {
		gain = fmt.Sprintf("%s: p95 of %s from %s to %s (%s to %s)", p.Change, p.Endpoint, recording.Seconds(p.P95Before), recording.Seconds(p.P95After), recording.Seconds(p.Low), recording.Seconds(p.High))
	}
	fmt.Fprintf(w, "\n**Do:** %s\n\nExpected gain: %s.\n", prose(f.Recommendation), prose(gain))
}

func markdownTable(w io.Writer, t *Table) {
	fmt.Fprintln(w)
	if t.Caption != "" {
		fmt.Fprintf(w, "**%s**\n\n", prose(t.Caption))
	}
	line := func(cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }
	var head, rule []string
	for _, c := range t.Columns {
		head = append(head, cell(c.Title))
		if c.Right {
			rule = append(rule, "---:")
		} else {
			rule = append(rule, "---")
		}
	}
	line(head)
	line(rule)
	for _, r := range t.Rows {
		var cells []string
		for _, c := range r {
			text := cell(c.Text)
			switch {
			case text == "":
			case c.Mark == "sub":
				text = "– " + text
			case c.Mark == "over":
				text += " (over)"
			case badge(c.Mark, c.Text), c.Mark == "total":
				text = "**" + text + "**"
			}
			cells = append(cells, text)
		}
		line(cells)
	}
	if t.Note != "" {
		fmt.Fprintf(w, "\n*%s*\n", prose(t.Note))
	}
}

// opens is what begins a tag; a "<" before a space is one that is read.
var opens = regexp.MustCompile(`<([A-Za-z/!?])`)

// prose keeps foreign text from becoming markup.
func prose(s string) string {
	return opens.ReplaceAllString(strings.ReplaceAll(s, "\n", " "), "&lt;$1")
}

// cell keeps a text inside its field.
func cell(s string) string {
	return strings.ReplaceAll(prose(s), "|", `\|`)
}
