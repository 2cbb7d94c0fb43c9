package stack

import (
	"bytes"
	"cmp"
	"debug/elf"
	"hash/crc32"
	"io"
	"path"
	"slices"
)

// Symbols that were stripped from an object lie in a file beside it, or compressed within it, see minidebug.go.
const maxDebugBytes = 512 << 20 // of a separate file, all of which its checksum covers

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
