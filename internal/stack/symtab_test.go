package stack

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// symbol appends an Elf64_Sym.
func symbol(raw []byte, name uint32, kind byte, section uint16, address, size uint64) []byte {
	raw = binary.LittleEndian.AppendUint32(raw, name)
	raw = append(raw, kind, 0)
	raw = binary.LittleEndian.AppendUint16(raw, section)
	raw = binary.LittleEndian.AppendUint64(raw, address)
	return binary.LittleEndian.AppendUint64(raw, size)
}

func TestFind(t *testing.T) {
	const function, variable, indirect = 2, 1, 10
	names := []byte("\x00alpha\x00beta\x00_start\x00_ZN3rag6Engine6searchEi\x00gamma.cold\x00")
	var raw []byte
	raw = symbol(raw, 0, 0, 0, 0, 0)                  // the null symbol
	raw = symbol(raw, 7, function, 1, 0x1000, 0x10)   // beta, inside:
	raw = symbol(raw, 1, function, 1, 0x1000, 0x40)   // alpha, same address, larger
	raw = symbol(raw, 1, variable, 1, 0x2000, 0x40)   // a variable
	raw = symbol(raw, 1, function, 0, 0x3000, 0x40)   // not defined here
	raw = symbol(raw, 12, function, 1, 0x4000, 0)     // _start, no size
	raw = symbol(raw, 19, indirect, 1, 0x5000, 0x20)  // C++
	raw = symbol(raw, 43, function, 1, 0x6000, 0x20)  // gamma.cold
	raw = symbol(raw, 9999, function, 1, 0x7000, 0x8) // a name outside the table
	tests := []struct {
		address          uint64
		static, stripped string // found in .symtab and in .dynsym
	}{
		{0x0fff, "", ""},
		{0x1000, "alpha", "alpha"},
		{0x103f, "alpha", "alpha"},
		{0x1040, "", ""},
		{0x2000, "", ""},
		{0x3000, "", ""},
		{0x4000, "_start", "_start"},
		{0x4800, "_start", ""},
		{0x5001, "rag::Engine::search", "rag::Engine::search"},
		{0x6001, "gamma", "gamma"},
		{0x7001, "", ""},
		{0xffff, "", ""},
	}
	static := symbolTable{functions(raw, binary.LittleEndian, true), names}
	stripped := symbolTable{functions(raw, binary.LittleEndian, false), names}
	static.order()
	stripped.order()
	for _, test := range tests {
		if got := static.find(test.address); got != test.static {
			t.Errorf("%#x is %q, want %q", test.address, got, test.static)
		}
		if got := stripped.find(test.address); got != test.stripped {
			t.Errorf("%#x of a stripped object is %q, want %q", test.address, got, test.stripped)
		}
	}
	if got := functions(raw[:30], binary.LittleEndian, true); len(got) != 0 {
		t.Errorf("a cut table gives %v", got)
	}
}

// elfObject is a 64-bit object with nothing but one symbol table of a type.
func elfObject(t *testing.T, kind elf.SectionType, symbols, names []byte) []byte {
	t.Helper()
	header := elf.Header64{Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: 64, Shentsize: 64, Shnum: 3, Shstrndx: 2}
	copy(header.Ident[:], "\x7fELF\x02\x01\x01")
	header.Shoff = 64 + uint64(len(symbols)+len(names))
	sections := []elf.Section64{
		{},
		{Type: uint32(kind), Off: 64, Size: uint64(len(symbols)), Link: 2, Entsize: elf.Sym64Size},
		{Type: uint32(elf.SHT_STRTAB), Off: 64 + uint64(len(symbols)), Size: uint64(len(names))},
	}
	var b bytes.Buffer
	for _, part := range []any{header, symbols, names, sections} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestReadSymbols(t *testing.T) {
	symbols := symbol(symbol(nil, 0, 0, 0, 0, 0), 1, 2, 1, 0x1000, 0)
	names := []byte("\x00alpha\x00")
	for kind, inside := range map[elf.SectionType]string{elf.SHT_SYMTAB: "alpha", elf.SHT_DYNSYM: ""} {
		table, _, err := readSymbols(bytes.NewReader(elfObject(t, kind, symbols, names)))
		if err != nil {
			t.Fatalf("%v: %v", kind, err)
		}
		if at, in := table.find(0x1000), table.find(0x1001); at != "alpha" || in != inside {
			t.Errorf("%v: at its address %q, inside %q; want alpha, %q", kind, at, in, inside)
		}
	}
	if _, _, err := readSymbols(bytes.NewReader(elfObject(t, elf.SHT_NOTE, symbols, names))); !errors.Is(err, errNoSymbols) {
		t.Errorf("an object without symbols gives %v", err)
	}
}

func TestReadSymbolsRefusesNonsense(t *testing.T) {
	for _, text := range []string{"", "#!/bin/sh\n", "\x7fELF\x02\x01\x01" + strings.Repeat("\xff", 200)} {
		if _, _, err := readSymbols(strings.NewReader(text)); err == nil {
			t.Errorf("%.10q was read as an object", text)
		}
	}
}

func TestSymbolsSearchInOrder(t *testing.T) {
	var tried []string
	id := objectID{1}
	s := newSymbols(func(path string) (file, error) {
		tried = append(tried, path)
		return nil, os.ErrNotExist
	}, identify)
	if got, final := s.name(7, id, "libx.so", 0x10); got != "libx.so+0x10" || final || len(tried) != 0 {
		t.Errorf("an unknown object gives %q, final %v, after %v", got, final, tried)
	}
	s.add(id, object{name: "libx.so", path: "/usr/lib/libx.so", buildID: "abcdef"})
	for range 2 { // the second time nothing is opened
		if got, final := s.name(7, id, "libx.so", 0x10); got != "libx.so+0x10" || final {
			t.Errorf("an object that cannot be read gives %q, final %v", got, final)
		}
	}
	want := "/proc/7/root/usr/lib/debug/.build-id/ab/cdef.debug /usr/lib/debug/.build-id/ab/cdef.debug /proc/7/maps /proc/7/root/usr/lib/libx.so /proc/7/exe"
	if got := strings.Join(tried, " "); got != want {
		t.Errorf("tried %s\nwant %s", got, want)
	}
	if unreadable, _, nameless := s.missing(); unreadable != 1 || len(nameless) != 0 {
		t.Errorf("%d unreadable, %v without symbols; want one that could not be opened", unreadable, nameless)
	}
}

// A file that has taken the place of the one that a process runs gives no names for it, nor does one that could
// not be opened in one process keep another from giving them.
func TestSymbolsOfTheSameFile(t *testing.T) {
	old := elfObject(t, elf.SHT_SYMTAB, symbol(symbol(nil, 0, 0, 0, 0, 0), 1, 2, 1, 0x1000, 0x10), []byte("\x00alpha\x00"))
	now := elfObject(t, elf.SHT_SYMTAB, symbol(symbol(nil, 0, 0, 0, 0, 0), 1, 2, 1, 0x1000, 0x10), []byte("\x00gamma\x00"))
	bare := elfObject(t, elf.SHT_NOTE, nil, nil)
	files := map[string][]byte{
		"/proc/8/maps":                    []byte("1000-2000 r-xp 00000000 fe:00 1234    /usr/lib/libx.so (deleted)\n"),
		"/proc/8/map_files/1000-2000":     old,
		"/proc/8/root/usr/lib/libx.so":    now,
		"/proc/7/root/usr/lib/libx.so":    now,
		"/proc/8/root/usr/lib/libbare.so": bare,
	}
	s := newSymbols(func(path string) (file, error) {
		content, ok := files[path]
		if !ok {
			return nil, os.ErrNotExist
		}
		return struct {
			*bytes.Reader
			io.Closer
		}{bytes.NewReader(content), io.NopCloser(nil)}, nil
	}, identify)
	id, without := identify(bytes.NewReader(old)), identify(bytes.NewReader(bare))
	s.add(id, object{name: "libx.so", path: "/usr/lib/libx.so"})
	s.add(without, object{name: "libbare.so", path: "/usr/lib/libbare.so"})
	for _, test := range []struct {
		pid   uint32
		id    objectID
		want  string
		final bool
	}{
		{7, id, "lib+0x1000", false}, // there is another file
		{8, id, "alpha", true},
		{7, id, "alpha", true},
		{8, without, "lib+0x1000", true},
	} {
		if got, final := s.name(test.pid, test.id, "lib", 0x1000); got != test.want || final != test.final {
			t.Errorf("in process %d it is %q, final %v; want %q, %v", test.pid, got, final, test.want, test.final)
		}
	}
	if unreadable, _, nameless := s.missing(); unreadable != 1 || len(nameless) != 1 || nameless[0] != "libbare.so" {
		t.Errorf("%d unreadable, %v without symbols", unreadable, nameless)
	}
}
