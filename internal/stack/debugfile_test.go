package stack

import (
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// compiled is a library built from two functions, of which only one is exported, with its address.
func compiled(t *testing.T, dir string) (path string, hidden uint64) {
	t.Helper()
	for _, tool := range []string{"gcc", "objcopy", "strip", "xz"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	source, path := filepath.Join(dir, "x.c"), filepath.Join(dir, "libx.so")
	code := "__attribute__((noinline)) static int hidden(int a) { return a * 7 + 1; }\nint shown(int a) { return hidden(a) + hidden(a + 1); }\n"
	if err := os.WriteFile(source, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	sh(t, dir, "gcc -O1 -g -shared -fPIC -Wl,--build-id=none -o libx.so x.c")
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Name == "hidden" {
			hidden = s.Value
		}
	}
	if hidden == 0 {
		t.Fatal("the compiler has inlined hidden")
	}
	return path, hidden
}

func sh(t *testing.T, dir, script string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// nameIn asks for a name in a library whose process has the root of dir.
func nameIn(dir string, address uint64) string {
	root := func(path string) (file, error) {
		const of = "/proc/7/root"
		if len(path) < len(of) || path[:len(of)] != of {
			return nil, os.ErrNotExist // nothing of this host
		}
		return openFile(dir + path[len(of):])
	}
	s := newSymbols(root, func(io.ReadSeeker) objectID { return objectID{1} })
	s.add(objectID{1}, object{name: "libx.so", path: "/libx.so"})
	name, _ := s.name(7, objectID{1}, "libx.so", address)
	return name
}

func TestSymbolsOfStrippedObjects(t *testing.T) {
	// As find-debuginfo makes .gnu_debugdata: the functions that .dynsym does not have.
	const mini = `nm -D libx.so --format=posix --defined-only | awk '{print $1}' | sort >dynsyms
nm libx.so --format=posix --defined-only | awk '{if ($2 == "T" || $2 == "t") print $1}' | sort >funcsyms
comm -13 dynsyms funcsyms >keep
objcopy --only-keep-debug libx.so all
objcopy -S --remove-section .gdb_index --remove-section .comment --keep-symbols=keep all mini
strip -s libx.so
`
	for _, test := range []struct {
		name, script string
		named        bool
	}{
		{"not stripped", "true", true},
		{"stripped", "strip -s libx.so", false},
		{"debug link beside it", "objcopy --only-keep-debug libx.so libx.debug; strip -s libx.so; objcopy --add-gnu-debuglink=libx.debug libx.so", true},
		{"debug link in .debug", "mkdir .debug; objcopy --only-keep-debug libx.so .debug/libx.debug; strip -s libx.so; objcopy --add-gnu-debuglink=.debug/libx.debug libx.so", true},
		{"debug link under /usr/lib/debug", "mkdir -p usr/lib/debug; objcopy --only-keep-debug libx.so usr/lib/debug/libx.debug; strip -s libx.so; objcopy --add-gnu-debuglink=usr/lib/debug/libx.debug libx.so", true},
		{"debug file of another build", "objcopy --only-keep-debug libx.so libx.debug; strip -s libx.so; objcopy --add-gnu-debuglink=libx.debug libx.so; printf x >>libx.debug", false},
		{"debug file that is gone", "objcopy --only-keep-debug libx.so libx.debug; strip -s libx.so; objcopy --add-gnu-debuglink=libx.debug libx.so; rm libx.debug", false},
		{"mini debug data", mini + "xz mini; objcopy --add-section .gnu_debugdata=mini.xz libx.so", true},
		{"mini debug data that would take 64 MB", mini + "xz --lzma2=dict=64MiB mini; objcopy --add-section .gnu_debugdata=mini.xz libx.so", false},
		{"mini debug data that is broken", mini + "head -c 200 /dev/urandom >mini.xz; objcopy --add-section .gnu_debugdata=mini.xz libx.so", false},
		{"mini debug data that unpacks to much", mini + "head -c 20000000 /dev/zero | xz >mini.xz; objcopy --add-section .gnu_debugdata=mini.xz libx.so", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path, hidden := compiled(t, dir)
			sh(t, dir, test.script)
			got := nameIn(dir, hidden+1)
			if named := got == "hidden"; named != test.named {
				t.Errorf("the function that is not exported is %q", got)
			}
			f, err := elf.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			dynamic, err := f.DynamicSymbols()
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range dynamic {
				if s.Name == "shown" && nameIn(dir, s.Value) != "shown" {
					t.Errorf("the exported function is %q", nameIn(dir, s.Value))
				}
			}
		})
	}
}
