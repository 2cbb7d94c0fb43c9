package stack

import (
	"bytes"
	"cmp"
	"debug/elf"
	"errors"
	"hash/crc32"
	"io"
	"path"
	"slices"

	"github.com/ulikunitz/xz"
)

// Symbols that were stripped from an object lie in a file beside it, or compressed within it.
const (
	maxDebugBytes = 512 << 20 // of a separate file, all of which its checksum covers
	maxMiniBytes  = 16 << 20  // of .gnu_debugdata unpacked: tables alone, libpython's take 1 MB
	maxDictionary = 8 << 20   // of its compression, which is allocated at once; xz's default
)

// debugLink is what .gnu_debuglink says: the name and the checksum of the file with the symbols.
type debugLink struct {
	name string
	crc  uint32
}

// linkOf reads it: a name that ends in a zero byte, padding to four bytes, the checksum.
func linkOf(file *elf.File) debugLink {
	section := file.Section(".gnu_debuglink")
	if section == nil || section.Size > 4096 {
		return debugLink{}
	}
	raw, err := section.Data()
	if err != nil || len(raw) < 8 {
		return debugLink{}
	}
	name, _, ok := bytes.Cut(raw[:len(raw)-4], []byte{0})
	if !ok || len(name) == 0 || bytes.ContainsRune(name, '/') {
		return debugLink{}
	}
	return debugLink{string(name), file.ByteOrder.Uint32(raw[len(raw)-4:])}
}

// places are where GDB looks for it, in the file system of the process and in the host's.
func (l debugLink) places(root, object string) []string {
	if l.name == "" || object == "" {
		return nil
	}
	dir := path.Dir(object)
	return []string{
		root + path.Join(dir, l.name), root + path.Join(dir, ".debug", l.name),
		root + path.Join("/usr/lib/debug", dir, l.name), path.Join("/usr/lib/debug", dir, l.name),
	}
}

// matches says whether a file is the one that is meant, and not of another build.
func (l debugLink) matches(r io.ReaderAt) bool {
	sum := crc32.NewIEEE()
	n, err := io.Copy(sum, io.NewSectionReader(r, 0, maxDebugBytes+1))
	return err == nil && n <= maxDebugBytes && sum.Sum32() == l.crc
}

var errMiniDebug = errors.New("no .gnu_debugdata that can be read")

// miniDebug reads .gnu_debugdata, an xz-compressed object with the functions that .dynsym does
// not have; Fedora and its relatives keep it in what they strip.
func miniDebug(file *elf.File) (*symbolTable, error) {
	section := file.Section(".gnu_debugdata")
	if section == nil || section.Size > maxMiniBytes {
		return nil, errMiniDebug
	}
	packed, err := section.Data()
	if err != nil {
		return nil, err
	}
	if dictionaryOf(packed) > maxDictionary {
		return nil, errMiniDebug
	}
	r, err := xz.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxMiniBytes+1))
	if err != nil {
		return nil, err
	}
	if len(plain) > maxMiniBytes {
		return nil, errMiniDebug
	}
	inner, err := elf.NewFile(bytes.NewReader(plain))
	if err != nil {
		return nil, err
	}
	if inner.Class != elf.ELFCLASS64 {
		return nil, errMiniDebug
	}
	return readSection(inner, elf.SHT_SYMTAB)
}

// dictionaryOf is what the first block of an xz file will take, from its header: a size, flags
// (of which none may be set here), filter 0x21 with one byte of properties.
// See https://tukaani.org/xz/xz-file-format.txt, 3.1 and 5.3.1.
func dictionaryOf(packed []byte) uint64 {
	const header = 12 // of the stream
	if len(packed) < header+5 || packed[header+1] != 0 || packed[header+2] != 0x21 || packed[header+3] != 1 {
		return 1 << 63 // something else than xz makes of its own accord
	}
	bits := packed[header+4]
	return (2 | uint64(bits&1)) << (bits/2 + 11)
}

// merge adds the functions of another table of the same object.
func (t *symbolTable) merge(o *symbolTable) {
	shift := uint32(len(t.names))
	t.names = append(slices.Clip(t.names), o.names...)
	for _, e := range o.entries {
		e.name += shift
		t.entries = append(t.entries, e)
	}
	t.order()
}

// order sorts the entries, and of several names for one address keeps the one with the largest
// size.
func (t *symbolTable) order() {
	slices.SortStableFunc(t.entries, func(a, b symbolEntry) int {
		return cmp.Or(cmp.Compare(a.address, b.address), cmp.Compare(b.size, a.size))
	})
	t.entries = slices.Clip(slices.CompactFunc(t.entries, func(a, b symbolEntry) bool { return a.address == b.address }))
}
