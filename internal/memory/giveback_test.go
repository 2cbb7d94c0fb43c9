package memory

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestDroppable(t *testing.T) {
	for name, tt := range map[string]struct {
		mapping mapping
		want    bool
	}{
		"code":                {mapping{permissions: "r-xp", name: "/usr/bin/agent"}, true},
		"constants":           {mapping{permissions: "r--p", name: "/usr/bin/agent"}, true},
		"relocated constants": {mapping{permissions: "r--p", name: "/usr/bin/agent", anonymous: 4096}, true},
		"data":                {mapping{permissions: "rw-p", name: "/usr/bin/agent"}, false},
		"another file":        {mapping{permissions: "r-xp", name: "/usr/lib/libc.so.6"}, false},
		"the heap":            {mapping{permissions: "rw-p"}, false},
	} {
		if got := droppable(&tt.mapping, "/usr/bin/agent"); got != tt.want {
			t.Errorf("%s: droppable is %v", name, got)
		}
	}
}

// Of a mapping that was written to in places, the rest is given back.
func TestCleanPages(t *testing.T) {
	const present, swapped, ofFile = 1 << 63, 1 << 62, 1 << 61
	var words []byte
	for _, w := range []uint64{present | ofFile, 0, present, present | ofFile, swapped, present | ofFile} {
		words = binary.NativeEndian.AppendUint64(words, w)
	}
	want := []pageRun{{0x10000, 0x12000}, {0x13000, 0x14000}, {0x15000, 0x16000}}
	if got := clean(words, 0x10000, 0x1000); !slices.Equal(got, want) {
		t.Errorf("clean runs %x, want %x", got, want)
	}
}

// A page of code in which a trap was set stays as it is.
func TestGiveBackKeepsWhatWasWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, make([]byte, 4*os.Getpagesize()), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := unix.Mmap(int(f.Fd()), 0, 4*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(b) //nolint:errcheck // at the end
	_ = b[0] + b[3*os.Getpagesize()]
	b[os.Getpagesize()] = 1
	start := uint64(uintptr(unsafe.Pointer(&b[0])))
	page := uint64(os.Getpagesize())
	runs, err := cleanRuns(&mapping{start: start, end: start + 4*page})
	if want := []pageRun{{start, start + page}, {start + 2*page, start + 4*page}}; err != nil || !slices.Equal(runs, want) {
		t.Errorf("clean runs %x %v, want %x", runs, err, want)
	}
}

// What is given back comes again when it is needed: this program goes on.
func TestGiveBack(t *testing.T) {
	resident := func() (sum uint64) {
		for _, m := range own(t) {
			sum += m.rss
		}
		return sum
	}
	before := resident()
	if err := GiveBack(); err != nil {
		t.Fatal(err)
	}
	after := resident()
	t.Logf("%d kB of this program's own pages before, %d kB after", before>>10, after>>10)
	if before == 0 || after >= before {
		t.Errorf("%d bytes of this program are in memory, %d before", after, before)
	}
}

// own are the mappings of this program that it may give back.
func own(t *testing.T) (out []mapping) {
	t.Helper()
	all, program, err := ownMappings()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if droppable(&m, program) {
			out = append(out, m)
		}
	}
	return out
}
