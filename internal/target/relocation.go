package target

import (
	"debug/elf"
	"encoding/binary"
)

// shtRELR is SHT_RELR, packed relative relocations; debug/elf has no name for it.
const shtRELR elf.SectionType = 19

// relocationKind is what the few relocations that matter here mean, whatever the machine.
type relocationKind int

const (
	relocOther    relocationKind = iota
	relocRelative                // word = addend
	relocSymbol                  // word = symbol + addend
	relocSlot                    // word = symbol, in the global offset table
)

// kindOf names a relocation type of the x86-64 and AArch64 ABIs.
func kindOf(machine elf.Machine, t uint32) relocationKind {
	switch machine {
	case elf.EM_X86_64:
		switch elf.R_X86_64(t) {
		case elf.R_X86_64_RELATIVE:
			return relocRelative
		case elf.R_X86_64_64:
			return relocSymbol
		case elf.R_X86_64_GLOB_DAT, elf.R_X86_64_JMP_SLOT:
			return relocSlot
		}
	case elf.EM_AARCH64:
		switch elf.R_AARCH64(t) {
		case elf.R_AARCH64_RELATIVE:
			return relocRelative
		case elf.R_AARCH64_ABS64:
			return relocSymbol
		case elf.R_AARCH64_GLOB_DAT, elf.R_AARCH64_JUMP_SLOT:
			return relocSlot
		}
	}
	return relocOther
}

// relocate reads Elf64_Rela entries: offset, info (symbol index << 32 | type), addend.
func (m *image) relocate(data []byte, symbols *symbolTable) {
	const size = 24
	for ; len(data) >= size; data = data[size:] {
		offset := binary.LittleEndian.Uint64(data)
		info := binary.LittleEndian.Uint64(data[8:])
		addend := binary.LittleEndian.Uint64(data[16:])
		index := info >> 32
		kind := kindOf(m.machine, uint32(info))
		if kind == relocOther || m.segmentOf(offset) == nil { // the latter also bounds the maps
			continue
		}
		if kind == relocRelative {
			m.pointers[offset] = addend
			continue
		}
		name, s, ok := symbols.at(index)
		if index == 0 || !ok {
			continue
		}
		if kind == relocSlot {
			m.imports[offset] = string(name)
			addend = 0
		}
		if s.address != 0 {
			m.pointers[offset] = s.address + addend
		}
	}
}

// relocatePacked reads SHT_RELR: an even word is the address of a relocated word, an odd one a
// bitmap of the 63 words after the last. The addends stand in the words themselves.
func (m *image) relocatePacked(data []byte) {
	var next uint64
	for ; len(data) >= 8; data = data[8:] {
		entry := binary.LittleEndian.Uint64(data)
		if entry&1 == 0 {
			m.relocateInPlace(entry)
			next = entry + 8
			continue
		}
		for bit := uint64(0); bit < 63; bit++ {
			if entry>>(bit+1)&1 != 0 {
				m.relocateInPlace(next + 8*bit)
			}
		}
		next += 63 * 8
	}
}

func (m *image) relocateInPlace(at uint64) {
	if m.segmentOf(at) != nil {
		m.pointers[at] = m.word(at)
	}
}
