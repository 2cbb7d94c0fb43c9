package bpf

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// compiler made the committed objects; another version makes other bytes of the same source.
const compiler = "clang version 14."

// TestGeneratedIsCurrent makes the bpf2go output again and compares it with what is committed.
func TestGeneratedIsCurrent(t *testing.T) {
	version, err := exec.Command("clang", "--version").Output()
	if err != nil {
		t.Skipf("no clang: %v", err)
	}
	if !bytes.Contains(version, []byte(compiler)) {
		t.Skipf("the objects were made by %s, this is %s", compiler, bytes.SplitN(version, []byte("\n"), 2)[0])
	}
	if _, err := os.Stat("/usr/include/bpf/bpf_helpers.h"); err != nil {
		t.Skipf("no libbpf headers: %v", err)
	}
	dir := t.TempDir()
	run := func(args ...string) {
		run := exec.Command("go", args...)
		run.Env = append(os.Environ(), "GOPACKAGE=bpf")
		if out, err := run.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	for _, command := range directives(t) {
		run(append([]string{"tool", "bpf2go", "-output-dir", dir, "-go-package", "bpf"}, command...)...)
	}
	run("run", "unwind_gen.go", "-output-dir", dir, "-go-package", "bpf")
	made, err := filepath.Glob(filepath.Join(dir, "*_bpfel.*"))
	if err != nil || len(made) == 0 {
		t.Fatalf("nothing was generated: %v", err)
	}
	for _, path := range made {
		name := filepath.Base(path)
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Errorf("%s is not committed: run make generate", name)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s is not what its source says: run make generate", name)
		}
	}
}

var (
	directive = regexp.MustCompile(`(?m)^//go:generate go tool bpf2go (.*)$`)
	word      = regexp.MustCompile(`"[^"]*"|\S+`)
)

// directives returns the arguments of the go:generate lines of this package.
func directives(t *testing.T) [][]string {
	var out [][]string
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range directive.FindAllStringSubmatch(string(b), -1) {
			var args []string
			for _, w := range word.FindAllString(m[1], -1) {
				args = append(args, strings.Trim(w, `"`))
			}
			out = append(out, args)
		}
	}
	if len(out) == 0 {
		t.Fatal("no go:generate line found")
	}
	return out
}
