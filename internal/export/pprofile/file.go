package pprofile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ragscope/ragscope/internal/stack"
)

// WriteFile writes p as a gzip-compressed pprof file, conventionally named *.pb.gz. A reader
// never sees a half-written file.
func WriteFile(path string, p *stack.Profile) (err error) {
	out := Build(p)
	if err := out.CheckValid(); err != nil {
		return fmt.Errorf("build the profile for %s: %w", path, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write profile: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write profile %s: %w", path, err), os.Remove(tmp.Name()))
		}
	}()
	if err := errors.Join(out.Write(tmp), tmp.Chmod(0o644), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
