package pprofile

import (
	"fmt"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/stack"
)

// WriteFile writes p as a gzip-compressed pprof file, conventionally named *.pb.gz. A reader
// never sees a half-written file.
func WriteFile(path string, p *stack.Profile) error {
	out := Build(p)
	if err := out.CheckValid(); err != nil {
		return fmt.Errorf("build the profile for %s: %w", path, err)
	}
	return recording.WriteFile(path, out.Write)
}
