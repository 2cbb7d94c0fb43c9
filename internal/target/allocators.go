package target

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// None is the place of a figure that no register holds.
const None = -1

// Allocator is an instruction that a process comes by where it asks for memory, and where the number of bytes is
// found there. Registers are the numbers of their words in the kernel's struct pt_regs.
type Allocator struct {
	Probe
	Size, Times int    // registers whose product it is, or None
	Plus        uint32 // added to it: all of it where Size is None

	Small   bool // only sizes up to 512 bytes count: the allocator has what is larger from another one
	NotNull int  // counts where this register is not 0, None: always; a realloc of nothing is a malloc
	Aligned int  // counts where this register is above 16, None: always; what is less is a malloc
}

// Allocators are where memory is asked for in a process.
type Allocators struct {
	List  []Allocator
	Notes []string // what is not seen, as sentences for the user
}

// InspectAllocators looks for the allocators of a process: those of the C library or that replace it, and
// CPython's own for small objects.
func InspectAllocators(pid int) (*Allocators, error) {
	maps, err := readMaps(pid)
	if err != nil {
		return nil, err
	}
	a := &Allocators{}
	seen := map[string]bool{}
	for {
		l, err := openLibrary(pid, maps, func(base string) bool { return !seen[base] && isAllocator(base, executable(pid)) }, func(m *image) bool {
			return m.symbols["malloc"].address != 0 && m.symbols["free"].address != 0
		})
		if l == nil {
			if len(a.List) == 0 && err != nil {
				return nil, err
			}
			break
		}
		seen[filepath.Base(l.name)] = true
		a.addLibrary(l)
		l.close()
	}
	if interpreter, err := openInterpreter(pid, maps); err == nil {
		defer interpreter.close()
		a.addPython(pid, interpreter)
	}
	if len(a.List) == 0 {
		return nil, fmt.Errorf("process %d has no allocator that is exported", pid)
	}
	return a, nil
}

// isAllocator knows the objects that bring a malloc of their own: the C library, what is loaded to replace it,
// and an executable into which one was linked.
func isAllocator(base, exe string) bool {
	for _, name := range []string{"libjemalloc", "libtcmalloc", "libmimalloc"} {
		if strings.HasPrefix(base, name) {
			return true
		}
	}
	return isLibc(base) || exe != "" && base == filepath.Base(exe)
}

// addLibrary adds the functions of C. One that calls another of them is told by NotNull and Aligned.
func (a *Allocators) addLibrary(l *library) {
	known := map[uint64]bool{} // names may be aliases
	arg := func(n int) int { return l.code.argument(n) }
	for _, f := range []struct {
		name                          string
		size, times, notNull, aligned int // arguments; 0: none
	}{
		{"malloc", 1, 0, 0, 0},
		{"calloc", 1, 2, 0, 0},
		{"realloc", 2, 0, 1, 0},
		{"memalign", 2, 0, 0, 1},
		{"aligned_alloc", 2, 0, 0, 1},
		{"posix_memalign", 3, 0, 0, 2},
		{"valloc", 1, 0, 0, 0},
		{"pvalloc", 1, 0, 0, 0},
	} {
		s := l.symbols[f.name]
		if s.address == 0 || known[s.address] {
			continue
		}
		known[s.address] = true
		only := 0
		if f.times+f.notNull+f.aligned == 0 {
			only = f.size
		}
		if p := l.probe(f.name, s.address, only); p != nil {
			a.List = append(a.List, Allocator{Probe: *p, Size: arg(f.size), Times: arg(f.times), NotNull: arg(f.notNull), Aligned: arg(f.aligned)})
		}
	}
}

// addPython adds CPython's allocator of objects up to 512 bytes. The exported function calls it through a table,
// or has a copy of it built in, as many others have.
func (a *Allocators) addPython(pid int, l *library) {
	const table = 3 // malloc, calloc, realloc
	at, ok := l.code.slotBehind(l.image, l.symbols["PyObject_Malloc"].address)
	if !ok {
		a.note("how CPython's objects are allocated was not found in %s: those of up to 512 bytes are not seen", l.name)
		return
	}
	var entry [table]uint64
	for i := range entry {
		live, err := readWord(pid, l.bias+at+uint64(8*i))
		if err != nil {
			a.note("CPython's table of allocators could not be read (%v): objects of up to 512 bytes are not seen", err)
			return
		}
		entry[i] = live - l.bias
		if entry[i] != l.pointer(at+uint64(8*i)) {
			a.note("CPython's objects have another allocator than its own (PYTHONMALLOC, tracemalloc): they are seen where it asks the C library")
			return
		}
	}
	add := func(name string, address uint64, only, size, times, notNull int) {
		if p := l.probe(name, address, only); p != nil {
			arg := l.code.argument
			a.List = append(a.List, Allocator{Probe: *p, Small: true, Size: arg(size), Times: arg(times), NotNull: arg(notNull), Aligned: None})
		}
	}
	add("PyObject_Malloc", entry[0], 2, 2, 0, 0) // the first argument is the allocator's own
	add("PyObject_Calloc", entry[1], 0, 2, 3, 0)
	if !l.growsBy(entry[2], entry[0]) {
		add("PyObject_Realloc", entry[2], 0, 3, 0, 2)
	}
	sites, blind := l.code.inlined(l.image, entry[0])
	for _, s := range sites {
		if offset, ok := l.fileOffset(s.address); ok {
			p := Probe{Name: "PyObject_Malloc, built in", Path: l.path, Offset: offset, Emulated: true}
			a.List = append(a.List, Allocator{Probe: p, Small: true, Size: s.register, Times: None, Plus: s.plus, NotNull: None, Aligned: None})
		}
	}
	if blind > 0 {
		a.note("of %d places where %s has its allocator built in, the size is not known at %d: objects made there are not seen", len(sites)+blind, l.name, blind)
	}
}

// growsBy says whether a realloc has more than one way into malloc: that of a block that grows, beside that of none.
func (l *library) growsBy(realloc, malloc uint64) bool {
	ways := 0
	for _, to := range l.code.calls(l.image, realloc, maxBody) {
		if to == malloc {
			ways++
		}
	}
	return ways > 1
}

func (a *Allocators) note(format string, args ...any) {
	a.Notes = append(a.Notes, fmt.Sprintf(format, args...))
}

// readWord reads 8 bytes of a process's memory.
func readWord(pid int, address uint64) (uint64, error) {
	f, err := os.Open(procPath(pid, "mem"))
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // read only
	var b [8]byte
	if _, err := f.ReadAt(b[:], int64(address)); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}
