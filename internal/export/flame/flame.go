// Package flame draws stack profiles as flame graphs.
//
// In: stack.Profile. Out: one self-contained SVG, root at the top: a row of endpoints, below
// them what they ran. As a plain image it is complete, 1,200 px wide, in light and in dark
// surroundings. In a browser it takes the width of the window, a phone's too, and zooms (click,
// touch, Enter), searches (/ or Ctrl-F, then n) and explains (pointer, arrow keys); on paper it is
// the whole graph, black on white.
// It loads nothing from anywhere, and every text in it is escaped.
package flame

import (
	"io"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/stack"
)

// Options of a flame graph.
type Options struct {
	Title    string // "uvicorn app:app", else the kind of profile
	Subtitle string // behind the facts that the profile itself knows
	Empty    string // why there is nothing, where the profile is empty
}

// Write draws p.
func Write(w io.Writer, p *stack.Profile, o Options) error {
	root := grow(p)
	return render(w, p, layOut(root), o)
}

// WriteFile draws p into a file that no reader sees half-written.
func WriteFile(path string, p *stack.Profile, o Options) error {
	return recording.WriteFile(path, func(w io.Writer) error { return Write(w, p, o) })
}
