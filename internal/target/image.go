package target

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
)

// errNotELF marks a file that is no executable image this package can read.
var errNotELF = errors.New("not a readable 64-bit little-endian ELF file")

// image is one executable or shared library as the dynamic linker sees it, before it is loaded:
// addresses are the file's own (add the load bias for those of a process). It needs no symbol
// table beyond .dynsym and works on untrusted files: whatever is absent or broken reads as zero.
type image struct {
	machine  elf.Machine
	fixed    bool // ET_EXEC: loaded at its own addresses
	segments []*segment
	symbols  map[string]symbol
	// pointers holds the value each relocated word has at load bias 0.
	pointers map[uint64]uint64
	// imports names the symbol behind a slot of the global offset table.
	imports map[uint64]string

	window window
	file   io.Closer // nil: somebody else's
}

// maxAddress bounds the addresses a file may claim, so that sums with a file's size cannot wrap.
const maxAddress = 1 << 56

type symbol struct{ address, size uint64 }

// segment is a PT_LOAD.
type segment struct {
	address, offset, size uint64 // size: bytes in the file
	writable, executable  bool
}

// openImage reads the headers, symbols and relocations of the file at path. What lies in its segments is read when it
// is asked for, until close: always from the file that was opened, whatever its path leads to then.
func openImage(path string) (*image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	if !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, errNotELF)
	}
	m, err := readImage(f, info.Size())
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m.file = f
	return m, nil
}

// close ends the reading of the file.
func (m *image) close() {
	if m.file != nil {
		_ = m.file.Close() // it was read only
	}
}

// readImage parses size bytes of r. Segment bytes are still read from r later.
func readImage(r io.ReaderAt, size int64) (*image, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotELF, err)
	}
	if f.Class != elf.ELFCLASS64 || f.Data != elf.ELFDATA2LSB {
		return nil, fmt.Errorf("%w: %v %v", errNotELF, f.Class, f.Data)
	}
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return nil, fmt.Errorf("%w: %v", errNotELF, f.Type)
	}
	m := &image{
		machine:  f.Machine,
		fixed:    f.Type == elf.ET_EXEC,
		symbols:  map[string]symbol{},
		pointers: map[uint64]uint64{},
		imports:  map[uint64]string{},
		window:   window{source: r},
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD || p.Off >= uint64(size) || p.Vaddr > maxAddress {
			continue
		}
		m.segments = append(m.segments, &segment{
			address: p.Vaddr, offset: p.Off, size: min(p.Filesz, uint64(size)-p.Off),
			writable: p.Flags&elf.PF_W != 0, executable: p.Flags&elf.PF_X != 0,
		})
	}
	if len(m.segments) == 0 {
		return nil, fmt.Errorf("%w: nothing to load", errNotELF)
	}
	sort.Slice(m.segments, func(i, j int) bool { return m.segments[i].address < m.segments[j].address })
	m.readSymbols(f)
	return m, nil
}

func (m *image) segmentOf(address uint64) *segment {
	for _, s := range m.segments {
		if address >= s.address && address-s.address < s.size {
			return s
		}
	}
	return nil
}

// at returns up to n bytes at address; fewer, or none, at the end of a segment.
func (m *image) at(address uint64, n int) []byte {
	s := m.segmentOf(address)
	if s == nil {
		return nil
	}
	from := address - s.address
	return m.window.at(s.offset+from, int(min(uint64(n), s.size-from)))
}

// scan hands out the bytes of a segment part by part, see window.scan.
func (m *image) scan(s *segment, overlap int, each func(address uint64, bytes []byte) bool) {
	m.window.scan(s.offset, s.size, overlap, func(at uint64, bytes []byte) bool { return each(s.address+at, bytes) })
}

// word reads 8 bytes as they stand in the file, 0 where there are none.
func (m *image) word(address uint64) uint64 {
	b := m.at(address, 8)
	if len(b) < 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// pointer reads the word that the dynamic linker leaves at address, at load bias 0.
func (m *image) pointer(address uint64) uint64 {
	if v, ok := m.pointers[address]; ok {
		return v
	}
	return m.word(address)
}

// maxText bounds the strings read: method names are short.
const maxText = 64

// text reads the C string at address, "" when there is none shorter than maxText.
func (m *image) text(address uint64) string {
	b := m.at(address, maxText)
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return ""
	}
	return string(b[:i])
}

// fileOffset is where the byte at address stands in the file, which is what a uprobe needs.
func (m *image) fileOffset(address uint64) (uint64, bool) {
	s := m.segmentOf(address)
	if s == nil {
		return 0, false
	}
	return address - s.address + s.offset, true
}

// isCode says whether address lies in an executable segment.
func (m *image) isCode(address uint64) bool {
	s := m.segmentOf(address)
	return s != nil && s.executable
}
