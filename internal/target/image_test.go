package target

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"testing"
)

// builtImage makes a small ELF file: one segment of code at 0x1000 (file offset 0x1000) and one
// of data at 0x3000 (file offset 0x2000).
func builtImage(machine elf.Machine, code, data []byte) []byte {
	var b bytes.Buffer
	const header, program, codeAt, dataAt = 64, 56, 0x1000, 0x2000
	_ = binary.Write(&b, binary.LittleEndian, elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_DYN), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Phoff: header, Ehsize: header, Phentsize: program, Phnum: 2,
	})
	for _, p := range []elf.Prog64{
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Off: codeAt, Vaddr: 0x1000, Filesz: uint64(len(code)), Memsz: uint64(len(code))},
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: dataAt, Vaddr: 0x3000, Filesz: uint64(len(data)), Memsz: uint64(len(data))},
	} {
		_ = binary.Write(&b, binary.LittleEndian, p)
	}
	b.Write(make([]byte, codeAt-b.Len()))
	b.Write(code)
	b.Write(make([]byte, dataAt-b.Len()))
	b.Write(data)
	return b.Bytes()
}

func mustRead(t *testing.T, file []byte) *image {
	t.Helper()
	m, err := readImage(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func words(w ...uint64) []byte {
	var b []byte
	for _, v := range w {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

func TestReadImageRefuses(t *testing.T) {
	good := builtImage(elf.EM_X86_64, []byte{0xc3}, words(1))
	is32 := bytes.Clone(good)
	is32[4] = byte(elf.ELFCLASS32)
	object := bytes.Clone(good)
	object[16] = byte(elf.ET_REL)
	for name, file := range map[string][]byte{
		"nothing": nil, "text": []byte("#!/bin/sh\n"), "32 bits": is32, "an object file": object,
		"a file cut in its headers": good[:80], "a file cut before its segments": good[:0x1000],
	} {
		if _, err := readImage(bytes.NewReader(file), int64(len(file))); !errors.Is(err, errNotELF) {
			t.Errorf("%s: got %v, want errNotELF", name, err)
		}
	}
}

func TestImageReads(t *testing.T) {
	m := mustRead(t, builtImage(elf.EM_X86_64, []byte("\xc3hello\x00"), words(0x1001, 7)))
	if got := m.text(m.pointer(0x3000)); got != "hello" {
		t.Errorf("text %q", got)
	}
	if got := m.word(0x300c); got != 0 {
		t.Errorf("a word across the end reads as %#x, want 0", got)
	}
	if off, ok := m.fileOffset(0x3008); !ok || off != 0x2008 {
		t.Errorf("file offset %#x %v, want 0x2008", off, ok)
	}
	if _, ok := m.fileOffset(0x9000); ok {
		t.Error("an address outside has a file offset")
	}
	if m.isCode(0x3000) || !m.isCode(0x1000) {
		t.Error("code and data are mixed up")
	}
}

func TestRelocations(t *testing.T) {
	m := mustRead(t, builtImage(elf.EM_X86_64, []byte{0xc3}, words(0, 0, 0x1000, 0, 0x1000, 0)))
	symbols := &symbolTable{names: []byte("\x00own\x00foreign\x00")}
	for _, s := range []elf.Sym64{{}, {Name: 1, Shndx: 1, Value: 0x1000}, {Name: 5}} {
		symbols.entries, _ = binary.Append(symbols.entries, binary.LittleEndian, s)
	}
	rela := func(offset uint64, kind elf.R_X86_64, symbol, addend uint64) []byte {
		return words(offset, symbol<<32|uint64(kind), addend)
	}
	m.relocate(bytes.Join([][]byte{
		rela(0x3000, elf.R_X86_64_RELATIVE, 0, 0x1000),
		rela(0x3008, elf.R_X86_64_64, 1, 4),
		rela(0x3018, elf.R_X86_64_JMP_SLOT, 2, 0),
		rela(0x3018, elf.R_X86_64_64, 99, 0),         // no such symbol
		rela(0x9000, elf.R_X86_64_RELATIVE, 0, 0x42), // outside
		{1, 2, 3}, // cut
	}, nil), symbols)
	m.relocatePacked(words(0x3010, 0b101)) // 0x3010, then the second word after it
	for address, want := range map[uint64]uint64{0x3000: 0x1000, 0x3008: 0x1004, 0x3010: 0x1000, 0x3020: 0x1000} {
		if got, ok := m.pointers[address]; address != 0x3020 && (!ok || got != want) {
			t.Errorf("%#x points to %#x, want %#x", address, got, want)
		}
	}
	if _, ok := m.pointers[0x3020]; !ok {
		t.Error("a packed relocation is missing")
	}
	if m.imports[0x3018] != "foreign" || len(m.pointers) != 4 {
		t.Errorf("imports %v, pointers %v", m.imports, m.pointers)
	}
}

func TestFindMethods(t *testing.T) {
	code := append([]byte{0xc3}, "call\x00watch\x00doc\x00"...)
	name := func(i uint64) uint64 { return 0x1001 + i }
	data := words(
		0xdead, // something else before the table
		name(5), 0x1000, 0x82, name(11),
		name(0), 0x1000, 0x01, 0,
		0, 0, 0, 0,
	)
	m := mustRead(t, builtImage(elf.EM_X86_64, code, data))
	table := m.findMethods("call", "watch")
	if table["call"] != (method{0x1000, 1}) || table["watch"].flags != 0x82 || len(table) != 2 {
		t.Errorf("table %v", table)
	}
	if got := m.findMethods("call", "nothing"); got != nil {
		t.Errorf("found %v", got)
	}
}

// FuzzImage holds everything that reads a file of a target to: an error or a value, no panic.
func FuzzImage(f *testing.F) {
	f.Add(builtImage(elf.EM_X86_64, append([]byte{0x55, 0xe8, 0, 0, 0, 0, 0xc3}, "call\x00"...), words(0x1007, 0x1000, 1, 0)))
	f.Add(builtImage(elf.EM_AARCH64, []byte{0x00, 0x00, 0x40, 0xf9, 0xc0, 0x03, 0x5f, 0xd6}, words(0x1000)))
	if self, err := os.ReadFile("/bin/true"); err == nil {
		f.Add(self) // a real file: dynamic symbols and relocations to damage
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := readImage(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		code := machineOf(m.machine)
		if code == nil {
			return
		}
		address := m.segments[0].address
		for _, name := range []string{"PyContext_Enter", "PyContext_Exit", "_PyRuntime", "PyContext_Type", "Py_Version", "PyThreadState_Next"} {
			if _, ok := m.symbols[name]; !ok {
				m.symbols[name] = symbol{address, 64}
			}
		}
		l := &library{image: m, code: code, path: "fuzz", name: "libpython3.12.so"}
		for minor := 7; minor <= 14; minor++ {
			_, _ = findOffsets(m, code, minor)
		}
		_, _, _ = version(m, l.name)
		p := &Python{}
		p.findContextProbes(l)
		m.findMethods("call", "watch")
		for _, s := range m.symbols {
			l.probe("", s.address, 1)
			l.entry("", s.address)
			code.stub(m, s.address)
			code.accessor(m, s.address)
		}
	})
}
