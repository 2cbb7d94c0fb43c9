package stack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
)

// Bounds of the caches; when one is full it starts anew.
const (
	maxObjects     = 4096     // objects (executables, libraries) that may be asked about
	maxTablesBytes = 64 << 20 // symbol tables in memory
	maxNameless    = 16       // objects whose names are told to be missing
)

// object is an executable or library that some watched process has mapped.
type object struct {
	name    string // base name
	path    string // as the process sees it
	buildID string // GNU build id in hexadecimal, "" if it has none
	open    func() (io.ReaderAt, io.Closer, error)
}

// onDisk is false for the kernel's vDSO, whose path is no path.
func (o object) onDisk() bool { return o.path == "" || o.path[0] == '/' }

type objectID [16]byte

// file is one that symbols may be read from.
type file interface {
	io.ReaderAt
	io.ReadSeeker
	io.Closer
}

// symbols names native code. A table is read when the first address of its object is asked
// for, so that the hundred libraries of a process that never run cost nothing.
type symbols struct {
	openPath func(path string) (file, error)
	identify func(io.ReadSeeker) objectID // zero for what is no object

	mu         sync.Mutex
	objects    map[objectID]object
	tables     map[objectID]*symbolTable // nil: it was read, and there are none in it
	failed     map[objectID]uint32       // could not be opened, with the process that was tried last
	unreadable uint64                    // objects that no process had a file of, as often as one was asked
	nameless   []string                  // objects without symbols
	refused    uint64                    // objects whose compressed symbols were not unpacked
	log        *slog.Logger
	bytes      int // in tables
}

func newSymbols(openPath func(string) (file, error), identify func(io.ReadSeeker) objectID) *symbols {
	return &symbols{openPath: openPath, identify: identify, objects: map[objectID]object{}, tables: map[objectID]*symbolTable{}, failed: map[objectID]uint32{}, log: slog.New(slog.DiscardHandler)}
}

// add makes an object known.
func (s *symbols) add(id objectID, o object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.objects) >= maxObjects {
		clear(s.objects)
		clear(s.tables)
		clear(s.failed)
		s.bytes = 0
	}
	s.objects[id] = o
}

// name returns the function at an address of an object as mapped by process pid, or
// "base+0xaddress" where no symbol covers it. It is not final where the object's file could not be
// opened, which another process may make possible.
func (s *symbols) name(pid uint32, id objectID, base string, address uint64) (name string, final bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	table, final := s.table(pid, id)
	if table != nil {
		if name := table.find(address); name != "" {
			return name, true
		}
	}
	return fmt.Sprintf("%s+0x%x", base, address), final
}

func (s *symbols) table(pid uint32, id objectID) (table *symbolTable, final bool) {
	if table, ok := s.tables[id]; ok {
		return table, true
	}
	o, ok := s.objects[id]
	if !ok {
		return nil, false // the object may still be reported
	}
	if last, ok := s.failed[id]; ok && last == pid {
		return nil, false
	}
	table, opened := s.read(pid, id, o)
	if !opened {
		s.unreadable++
		s.failed[id] = pid
		return nil, false
	}
	delete(s.failed, id)
	if table == nil {
		if len(s.nameless) < maxNameless && !slices.Contains(s.nameless, o.name) && o.onDisk() {
			s.nameless = append(s.nameless, o.name)
		}
	} else {
		if s.bytes+table.bytes() > maxTablesBytes {
			clear(s.tables)
			s.bytes = 0
		}
		s.bytes += table.bytes()
	}
	s.tables[id] = table
	return table, true
}

// missing is how often an object's file could not be opened, how often its compressed symbols were not unpacked, and
// which objects have no symbols.
func (s *symbols) missing() (unreadable, refused uint64, nameless []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unreadable, s.refused, slices.Clone(s.nameless)
}

// read looks for separate debug symbols first, in the process's own file system and in the
// host's, because they are complete where the object itself is stripped.
func (s *symbols) read(pid uint32, id objectID, o object) (table *symbolTable, opened bool) {
	if !o.onDisk() {
		return nil, true
	}
	root := fmt.Sprintf("/proc/%d/root", pid)
	if len(o.buildID) > 2 {
		debug := "/usr/lib/debug/.build-id/" + o.buildID[:2] + "/" + o.buildID[2:] + ".debug"
		for _, path := range []string{root + debug, debug} {
			if f, err := s.openPath(path); err == nil {
				if table, _ := s.readTable(path, f, f); table != nil {
					return table, true
				}
			}
		}
	}
	r, closer, err := s.openObject(pid, id, o)
	if err != nil {
		return nil, false
	}
	table, link := s.readTable(o.path, r, closer)
	for _, path := range link.places(root, o.path) {
		if linked := s.readLinked(path, link); linked != nil {
			return linked, true
		}
	}
	return table, true
}

// openObject opens the object's own file. Where the process that first mapped it is gone, pid has it
// too; what lies under its name now may be another file, so it is believed only if it is the same.
func (s *symbols) openObject(pid uint32, id objectID, o object) (io.ReaderAt, io.Closer, error) {
	if o.open != nil {
		if r, closer, err := o.open(); err == nil {
			return r, closer, nil
		}
	}
	for _, path := range s.elsewhere(pid, o.path) {
		f, err := s.openPath(path)
		if err != nil {
			continue
		}
		if s.identify(f) == id {
			return f, f, nil
		}
		_ = f.Close()
	}
	return nil, nil, fmt.Errorf("%s: %w", o.path, os.ErrNotExist)
}

// elsewhere are the files under which a process may have the object that it maps from a path: its
// mapping, which is there when the file was deleted, and the path in its own file system.
func (s *symbols) elsewhere(pid uint32, path string) []string {
	if path == "" {
		return nil
	}
	proc := fmt.Sprintf("/proc/%d/", pid)
	var out []string
	if maps, err := s.openPath(proc + "maps"); err == nil {
		defer maps.Close()
		for lines := bufio.NewScanner(maps); lines.Scan(); {
			if f := strings.Fields(lines.Text()); len(f) > 5 && f[5] == path {
				out = append(out, proc+"map_files/"+f[0])
				break
			}
		}
	}
	return append(out, proc+"root"+path, proc+"exe")
}

func (s *symbols) readTable(path string, r io.ReaderAt, closer io.Closer) (*symbolTable, debugLink) {
	defer closer.Close()
	table, link, err := readSymbols(r)
	if errors.Is(err, errRefused) {
		s.refused++
		s.log.Warn("compressed symbols of an object are not used", "object", path, "error", err)
	}
	return table, link
}

// readLinked reads a file that a stripped object names, if it is that file.
func (s *symbols) readLinked(path string, link debugLink) *symbolTable {
	f, err := s.openPath(path)
	if err != nil {
		return nil
	}
	if !link.matches(f) {
		_ = f.Close()
		return nil
	}
	table, _ := s.readTable(path, f, f)
	return table
}

// openFile opens a file for symbols.
func openFile(path string) (file, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return f, nil
}
