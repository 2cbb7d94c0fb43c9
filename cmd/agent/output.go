package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// output is a file that is written under a temporary name beside its own and takes that when it
// is kept; until then an older file of the name stays as it was. What is no regular file, as
// /dev/stdout, is written in place.
type output struct {
	*os.File
	path string // to be taken; "" when it has been, or the file is written in place
}

func createOutput(path string) (*output, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		return &output{File: f}, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	return &output{f, path}, err
}

// keep gives the file its name. It can be written on.
func (o *output) keep() error {
	if o.path == "" {
		return nil
	}
	path := o.path
	o.path = ""
	if err := errors.Join(o.Chmod(0o644), os.Rename(o.Name(), path)); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(o.Name()))
	}
	return nil
}

// Close ends the file and removes it unless it was kept.
func (o *output) Close() error {
	err := o.File.Close()
	if o.path != "" {
		err = errors.Join(err, os.Remove(o.Name()))
	}
	return err
}

// makeFolder makes a folder for results unless it is there, and makes sure that it can be
// written to. undo removes what this made, as long as there is nothing in it.
func makeFolder(path string) (undo func(), err error) {
	var missing []string // innermost first
	for p := filepath.Clean(path); ; p = filepath.Dir(p) {
		if _, err := os.Lstat(p); !errors.Is(err, os.ErrNotExist) {
			break
		}
		missing = append(missing, p)
	}
	undo = func() {
		for _, p := range missing {
			_ = os.Remove(p) // fails where there is something in it
		}
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return undo, err
	}
	f, err := os.CreateTemp(path, ".writable.*")
	if err != nil {
		return undo, err
	}
	return undo, errors.Join(f.Close(), os.Remove(f.Name()))
}
