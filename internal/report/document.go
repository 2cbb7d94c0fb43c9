package report

import "github.com/ragscope/ragscope/internal/recording"

// Document is the report before it is rendered: Markdown and HTML are two forms of it.
type Document struct {
	Title    string
	Subtitle string
	Verdict  string // one sentence
	Mark     string // pass, fail or none: the verdict's colour
	Sections []Section
	Assets   string // relative path from the report to the files beside it
}

// Section is a numbered part; Number 0 is an appendix.
type Section struct {
	Number int
	ID     string
	Title  string
	Short  string // in the page's navigation
	Blocks []Block
}

// Block is a piece of a section; exactly one field is set.
type Block struct {
	Heading  string
	Text     string
	List     []string
	Tiles    []Tile
	Facts    []Fact
	Table    *Table
	Picture  *Picture
	Finding  *recording.Bottleneck
	Callout  string
	Flame    []byte // an SVG document of its own
	FlameURL string // beside the report, for Markdown
}

// Tile is a key figure.
type Tile struct{ Label, Value, Note, Mark string }

// Fact is a name and its value.
type Fact struct{ Name, Value string }

// Table is a table with a caption and a note on how to read it.
type Table struct {
	Caption string
	Columns []Column
	Rows    [][]Cell
	Note    string
}

// Column is a table's column. Figures stand right, names left.
type Column struct {
	Title string
	Right bool
}

// Cell is a table's field. Mark is "", pass, fail, none, p0, p1, p2, total or sub.
type Cell struct{ Text, Mark string }

// Picture is an SVG that is part of the page; it takes its colours from the page.
type Picture struct {
	Caption string
	SVG     string
	Legend  []Legend
	Alt     string // what the picture shows, in words
	File    string // the same beside the report, "" where there is none
	Half    bool   // may stand beside another picture
}

// Legend explains a colour.
type Legend struct{ Class, Label string }

func (s *Section) text(t string)       { s.Blocks = append(s.Blocks, Block{Text: t}) }
func (s *Section) heading(t string)    { s.Blocks = append(s.Blocks, Block{Heading: t}) }
func (s *Section) picture(p *Picture)  { s.Blocks = append(s.Blocks, Block{Picture: p}) }
func (s *Section) facts(f ...Fact)     { s.Blocks = append(s.Blocks, Block{Facts: f}) }
func (s *Section) callout(t string)    { s.Blocks = append(s.Blocks, Block{Callout: t}) }
func (s *Section) list(items []string) { s.Blocks = append(s.Blocks, Block{List: items}) }
func (t *Table) row(cells ...Cell)     { t.Rows = append(t.Rows, cells) }

// table adds a table; one without rows is a sentence, since an empty grid says nothing.
func (s *Section) table(t *Table) {
	if len(t.Rows) == 0 {
		s.text(t.Caption + ": not measured, the recordings hold nothing of it.")
		return
	}
	s.Blocks = append(s.Blocks, Block{Table: t})
}

// plain makes cells of texts.
func plain(texts ...string) []Cell {
	out := make([]Cell, len(texts))
	for i, t := range texts {
		out[i] = Cell{Text: t}
	}
	return out
}
