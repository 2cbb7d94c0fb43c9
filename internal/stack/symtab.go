package stack

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/ianlancetaylor/demangle"
)

// maxSymbolBytes bounds the symbol and string tables read from one object; the symbols of the
// largest interpreters take 5 MB, those of debug builds of C++ libraries a hundred.
const maxSymbolBytes = 64 << 20

var errNoSymbols = errors.New("no symbols")

// symbolTable finds the function that covers an address of one ELF object. Names stay in the
// object's own string table, 24 bytes an entry beside it.
type symbolTable struct {
	entries []symbolEntry // ascending by address, one an address
	names   []byte
}

type symbolEntry struct {
	address uint64
	size    uint64 // 0: the object does not say
	name    uint32 // offset in names
	static  bool   // from .symtab, which is complete
}

// readSymbols reads .symtab, or where the object is stripped .dynsym and what was kept of the
// rest within it. Of a stripped object it also says where a file with all symbols may be. With a table
// too, the error may be errRefused.
func readSymbols(r io.ReaderAt) (*symbolTable, debugLink, error) {
	file, err := elf.NewFile(r)
	if err != nil {
		return nil, debugLink{}, err
	}
	if file.Class != elf.ELFCLASS64 {
		return nil, debugLink{}, errors.New("not a 64-bit object")
	}
	if table, err := readSection(file, elf.SHT_SYMTAB); err == nil && len(table.entries) > 0 {
		return table, debugLink{}, nil
	}
	table := &symbolTable{}
	if dynamic, err := readSection(file, elf.SHT_DYNSYM); err == nil {
		table = dynamic
	}
	more, err := miniDebug(file)
	if err == nil {
		table.merge(more)
	}
	if !errors.Is(err, errRefused) {
		err = nil
	}
	if len(table.entries) == 0 {
		return nil, linkOf(file), cmp.Or(err, errNoSymbols)
	}
	return table, linkOf(file), err
}

func readSection(file *elf.File, kind elf.SectionType) (*symbolTable, error) {
	section := file.SectionByType(kind)
	if section == nil || section.Type == elf.SHT_NOBITS || int(section.Link) >= len(file.Sections) {
		return nil, errNoSymbols
	}
	strings := file.Sections[section.Link]
	if section.Size+strings.Size > maxSymbolBytes {
		return nil, errNoSymbols
	}
	raw, err := section.Data()
	if err != nil {
		return nil, err
	}
	names, err := strings.Data()
	if err != nil {
		return nil, err
	}
	table := &symbolTable{entries: functions(raw, file.ByteOrder, kind == elf.SHT_SYMTAB), names: names}
	table.order()
	return table, nil
}

// functions keeps the functions that are defined in the object.
func functions(raw []byte, order binary.ByteOrder, static bool) []symbolEntry {
	var entries []symbolEntry
	for ; len(raw) >= elf.Sym64Size; raw = raw[elf.Sym64Size:] {
		kind := elf.ST_TYPE(raw[4])
		defined := elf.SectionIndex(order.Uint16(raw[6:])) != elf.SHN_UNDEF
		address := order.Uint64(raw[8:])
		if !defined || address == 0 || kind != elf.STT_FUNC && kind != elf.STT_GNU_IFUNC {
			continue
		}
		entries = append(entries, symbolEntry{address: address, size: order.Uint64(raw[16:]), name: order.Uint32(raw), static: static})
	}
	return entries
}

// find returns the demangled name of the function that covers address, "" if none is known
// to. A symbol without a size (assembly) reaches to the next one, and is believed only where
// the table is complete: in a stripped object the code that follows may be anything.
func (t *symbolTable) find(address uint64) string {
	i, exact := slices.BinarySearchFunc(t.entries, address, func(e symbolEntry, a uint64) int { return cmp.Compare(e.address, a) })
	if !exact {
		i--
	}
	if i < 0 {
		return ""
	}
	e := t.entries[i]
	if e.size == 0 && !e.static && !exact || e.size > 0 && address >= e.address+e.size {
		return ""
	}
	return readable(demangle.Filter(t.name(e), demangle.NoParams, demangle.NoTemplateParams))
}

func (t *symbolTable) name(e symbolEntry) string {
	if int(e.name) >= len(t.names) {
		return ""
	}
	name := t.names[e.name:]
	if end := bytes.IndexByte(name, 0); end >= 0 {
		name = name[:end]
	}
	return string(name)
}

// bytes is about what the table holds in memory.
func (t *symbolTable) bytes() int { return len(t.names) + 24*len(t.entries) }
