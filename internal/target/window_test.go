package target

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// What lies across two blocks is found whole, whether it is asked for or looked for, and each once.
func TestWindowAcrossBlocks(t *testing.T) {
	data := make([]byte, 2*blockSize+100)
	for _, at := range []int{0, blockSize - 2, 2*blockSize - 2, len(data) - 4} {
		copy(data[at:], "here")
	}
	w := &window{source: bytes.NewReader(data)}
	for _, at := range []uint64{blockSize - 2, 2*blockSize - 2, 0, uint64(len(data)) - 4} {
		if got := string(w.at(at, 4)); got != "here" {
			t.Errorf("at %#x is %q", at, got)
		}
	}
	if got := w.at(uint64(len(data))-2, 4); string(got) != "re" {
		t.Errorf("at the end is %q", got)
	}
	if got := w.at(uint64(len(data))+blockSize, 4); got != nil {
		t.Errorf("behind the end is %q", got)
	}
	found := map[uint64]bool{}
	w.scan(0, uint64(len(data)), 3, func(at uint64, part []byte) bool {
		for from := 0; ; from++ {
			n := bytes.Index(part[from:], []byte("here"))
			if n < 0 {
				return true
			}
			from += n
			found[at+uint64(from)] = true
		}
	})
	if len(found) != 4 {
		t.Errorf("found at %v", found)
	}
}

// A window keeps a bounded part of the file, and the same bytes when it reads a part again.
func TestWindowKeepsFewBlocks(t *testing.T) {
	data := make([]byte, (keptBlocks+4)*blockSize)
	for i := range keptBlocks + 4 {
		data[i*blockSize] = byte(i + 1)
	}
	w := &window{source: bytes.NewReader(data)}
	for range 2 {
		for i := range keptBlocks + 4 {
			if got := w.at(uint64(i*blockSize), 1); len(got) != 1 || got[0] != byte(i+1) {
				t.Errorf("block %d begins with %v", i, got)
			}
		}
	}
	if len(w.recent) != keptBlocks {
		t.Errorf("%d blocks are kept", len(w.recent))
	}
}

// A copy that a compiler built in is found where its comparison lies across two blocks, and once.
func TestInlinedAcrossBlocks(t *testing.T) {
	const function = 0x1000
	code := bytes.Repeat([]byte{0x90}, blockSize+64)
	code[0] = 0xc3
	at := blockSize - 4
	copy(code[at:], []byte{0x48, 0x3d, 0, 0x10, 0, 0, 0x90}) // cmp $0x1000, %rax, and no jump behind it
	m := &image{fixed: true, window: window{source: bytes.NewReader(code)}, segments: []*segment{{address: 0x1000, size: uint64(len(code)), executable: true}}}
	if found, blind := (x86{}).inlined(m, function); len(found) != 0 || blind != 1 {
		t.Errorf("found %v, %d without a jump", found, blind)
	}
}

// To open an executable of 200 MB takes a small part of that, in all.
func TestOpenImageIsSmall(t *testing.T) {
	small := builtImage(elf.EM_X86_64, []byte{0xc3}, words(0x1000))
	const size = 200 << 20
	for _, field := range []int{32, 40} { // the code's p_filesz and p_memsz; the data's segment lies elsewhere
		binary.LittleEndian.PutUint64(small[64+field:], size-0x1000)
	}
	binary.LittleEndian.PutUint64(small[64+56+16:], size) // p_vaddr of the data
	path := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(path, small, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := openImage(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	if m.at(0x1000, 1)[0] != 0xc3 || m.contains("no such text") {
		t.Error("the file is not read right")
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 {
		t.Errorf("it took %d bytes", took)
	}
}

func TestSymbolsOfC(t *testing.T) {
	for name, want := range map[string]bool{"SSL_read_ex": true, "_PyRuntime": true, "_ZN4node5StartEv": false, "_RNvCs1234_7mycrate3foo": false, "main.main": false, "": false} {
		if isC([]byte(name)) != want {
			t.Errorf("isC(%q) is %v", name, !want)
		}
	}
}
