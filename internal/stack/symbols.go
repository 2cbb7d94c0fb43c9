package stack

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// Bounds of the caches; when one is full it starts anew.
const (
	maxObjects     = 4096     // objects (executables, libraries) that may be asked about
	maxTablesBytes = 64 << 20 // symbol tables in memory
)

// object is an executable or library that some watched process has mapped.
type object struct {
	name    string // base name
	path    string // as the process sees it
	buildID string // GNU build id in hexadecimal, "" if it has none
	open    func() (io.ReaderAt, io.Closer, error)
}

type objectID [16]byte

// symbols names native code. A table is read when the first address of its object is asked
// for, so that the hundred libraries of a process that never run cost nothing.
type symbols struct {
	openPath func(path string) (io.ReaderAt, io.Closer, error)

	mu      sync.Mutex
	objects map[objectID]object
	tables  map[objectID]*symbolTable // nil: tried, and there is none
	bytes   int                       // in tables
}

func newSymbols(openPath func(string) (io.ReaderAt, io.Closer, error)) *symbols {
	return &symbols{openPath: openPath, objects: map[objectID]object{}, tables: map[objectID]*symbolTable{}}
}

// add makes an object known.
func (s *symbols) add(id objectID, o object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.objects) >= maxObjects {
		clear(s.objects)
		clear(s.tables)
		s.bytes = 0
	}
	s.objects[id] = o
}

// name returns the function at an address of an object as mapped by process pid, or
// "base+0xaddress" where no symbol covers it.
func (s *symbols) name(pid uint32, id objectID, base string, address uint64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if table := s.table(pid, id); table != nil {
		if name := table.find(address); name != "" {
			return name
		}
	}
	return fmt.Sprintf("%s+0x%x", base, address)
}

func (s *symbols) table(pid uint32, id objectID) *symbolTable {
	if table, ok := s.tables[id]; ok {
		return table
	}
	o, ok := s.objects[id]
	if !ok {
		return nil // not remembered: the object may still be reported
	}
	table := s.read(pid, o)
	if table != nil {
		if s.bytes+table.bytes() > maxTablesBytes {
			clear(s.tables)
			s.bytes = 0
		}
		s.bytes += table.bytes()
	}
	s.tables[id] = table
	return table
}

// read looks for separate debug symbols first, in the process's own file system and in the
// host's, because they are complete where the object itself is stripped.
func (s *symbols) read(pid uint32, o object) *symbolTable {
	root := fmt.Sprintf("/proc/%d/root", pid)
	if len(o.buildID) > 2 {
		debug := "/usr/lib/debug/.build-id/" + o.buildID[:2] + "/" + o.buildID[2:] + ".debug"
		for _, path := range []string{root + debug, debug} {
			if table, _ := s.readFrom(func() (io.ReaderAt, io.Closer, error) { return s.openPath(path) }); table != nil {
				return table
			}
		}
	}
	table, link := s.readFrom(o.open)
	if table == nil && link.name == "" {
		// The process that first mapped the object is gone; this one has it too.
		table, link = s.readFrom(func() (io.ReaderAt, io.Closer, error) {
			if o.path == "" {
				return nil, nil, errors.New("no path")
			}
			return s.openPath(root + o.path)
		})
	}
	for _, path := range link.places(root, o.path) {
		if linked := s.readLinked(path, link); linked != nil {
			return linked
		}
	}
	return table
}

func (s *symbols) readFrom(open func() (io.ReaderAt, io.Closer, error)) (*symbolTable, debugLink) {
	if open == nil {
		return nil, debugLink{}
	}
	r, closer, err := open()
	if err != nil {
		return nil, debugLink{}
	}
	defer closer.Close()
	table, link, err := readSymbols(r)
	if err != nil {
		return nil, link
	}
	return table, link
}

// readLinked reads a file that a stripped object names, if it is that file.
func (s *symbols) readLinked(path string, link debugLink) *symbolTable {
	r, closer, err := s.openPath(path)
	if err != nil {
		return nil
	}
	defer closer.Close()
	if !link.matches(r) {
		return nil
	}
	table, _, err := readSymbols(r)
	if err != nil {
		return nil
	}
	return table
}
