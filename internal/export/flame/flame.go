// Package flame draws stack profiles as flame graphs.
//
// In: stack.Profile. Out: one self-contained SVG, 1,200 px wide, root at the top: a row of
// endpoints, below them what they ran. In a browser it zooms (click), searches and explains
// (hover); as a plain image it is complete, in light and in dark surroundings.
// It loads nothing from anywhere, and every text in it is escaped.
package flame

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

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
func WriteFile(path string, p *stack.Profile, o Options) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write flame graph: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write flame graph %s: %w", path, err), os.Remove(tmp.Name()))
		}
	}()
	if err := errors.Join(Write(tmp, p, o), tmp.Chmod(0o644), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
