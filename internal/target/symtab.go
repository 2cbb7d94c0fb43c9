package target

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// symbolTable is an ELF symbol table as it stands in the file: debug/elf's takes ten times its bytes, and Node has
// 185,000 symbols.
type symbolTable struct {
	entries []byte
	names   []byte
}

// maxSymbolName bounds the names that are kept: a broken file may claim one of megabytes for each of its symbols.
const maxSymbolName = 256

// tableOf reads the table of a kind; it is empty where there is none.
func tableOf(f *elf.File, kind elf.SectionType) (t symbolTable) {
	section := f.SectionByType(kind)
	if section == nil || int(section.Link) >= len(f.Sections) {
		return t
	}
	entries, err := section.Data()
	if err != nil {
		return t
	}
	names, err := f.Sections[section.Link].Data()
	if err != nil {
		return t
	}
	return symbolTable{entries, names}
}

// at returns the symbol of an index; ok is false where there is none. One that the file does not define has address 0.
func (t *symbolTable) at(index uint64) (name []byte, s symbol, ok bool) {
	if index >= uint64(len(t.entries)/elf.Sym64Size) {
		return nil, symbol{}, false
	}
	entry := t.entries[index*elf.Sym64Size:]
	from := binary.LittleEndian.Uint32(entry)
	if uint64(from) >= uint64(len(t.names)) {
		return nil, symbol{}, false
	}
	name = t.names[from:]
	if end := bytes.IndexByte(name[:min(len(name), maxSymbolName)], 0); end >= 0 {
		name = name[:end]
	} else {
		name = nil
	}
	if elf.SectionIndex(binary.LittleEndian.Uint16(entry[6:])) != elf.SHN_UNDEF {
		s = symbol{binary.LittleEndian.Uint64(entry[8:]), binary.LittleEndian.Uint64(entry[16:])}
	}
	return name, s, true
}

// addTo keeps the symbols that the file defines and C code can name: of Node's, one in ten.
func (t *symbolTable) addTo(symbols map[string]symbol) {
	for i := uint64(0); ; i++ {
		name, s, ok := t.at(i)
		if !ok && i*elf.Sym64Size >= uint64(len(t.entries)) {
			return
		}
		if s.address != 0 && isC(name) {
			symbols[string(name)] = s
		}
	}
}

// isC tells C's names from those of C++ and Rust, which begin so, and of Go, which have dots.
func isC(name []byte) bool {
	return len(name) > 0 && !bytes.HasPrefix(name, []byte("_Z")) && !bytes.HasPrefix(name, []byte("_R")) && !bytes.ContainsRune(name, '.')
}

// readSymbols keeps the defined symbols (.symtab first, so that .dynsym has the last word) and
// applies the relocations, which need the dynamic ones by index.
func (m *image) readSymbols(f *elf.File) {
	static := tableOf(f, elf.SHT_SYMTAB)
	static.addTo(m.symbols)
	dynamic := tableOf(f, elf.SHT_DYNSYM) // empty: nothing is exported, which the callers report
	dynamic.addTo(m.symbols)
	for _, s := range f.Sections {
		switch s.Type {
		case elf.SHT_RELA:
			if data, err := s.Data(); err == nil {
				m.relocate(data, &dynamic)
			}
		case shtRELR:
			if data, err := s.Data(); err == nil {
				m.relocatePacked(data)
			}
		}
	}
}
