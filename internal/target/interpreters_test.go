package target

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// interpreters lists the CPythons of this machine: pyenv's, which are shared builds with symbols,
// the distribution's, which are static and stripped, and one that clang built.
func interpreters(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, pattern := range []string{"/root/.pyenv/versions/3.*/bin/python3", "/usr/bin/python3.*", "/usr/local/bin/python3.*", "/usr/lib/google-cloud-sdk/platform/*/bin/python3"} {
		found, _ := filepath.Glob(pattern)
		for _, f := range found {
			if !strings.HasSuffix(f, "-config") {
				list = append(list, f)
			}
		}
	}
	if len(list) == 0 {
		t.Skip("NO PYTHON INTERPRETER FOUND: the layouts of CPython are not verified on this machine")
	}
	return list
}

// needContexts skips the one version whose programs cannot tell the truth.
func needContexts(t *testing.T, python string) {
	t.Helper()
	if strings.Contains(python, "/3.6.") {
		t.Skip("3.6 has no contextvars")
	}
}

// program is a running Python whose standard output tells the truth, line by line.
type program struct {
	pid   int
	lines *bufio.Reader
	stdin io.WriteCloser
}

// start runs source, which must end when its standard input does.
func start(t *testing.T, python, source string, args ...string) *program {
	t.Helper()
	return launch(t, exec.Command(python, append([]string{"-c", source}, args...)...))
}

func launch(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	cmd.Env = append(os.Environ(), "PYTHONUNBUFFERED=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", cmd.Path, err, stderr.String())
		}
	})
	return &program{pid: cmd.Process.Pid, lines: bufio.NewReader(stdout), stdin: stdin}
}

// numbers reads one line of numbers.
func (p *program) numbers(t *testing.T, into ...any) {
	t.Helper()
	line, err := p.lines.ReadString('\n')
	if err != nil {
		t.Fatalf("the program said nothing: %v", err)
	}
	if _, err := fmt.Sscan(line, into...); err != nil {
		t.Fatalf("the program said %q: %v", line, err)
	}
}

// memory reads a process's memory, which only this test does.
type memory struct {
	t *testing.T
	f *os.File
}

func openMemory(t *testing.T, pid int) memory {
	t.Helper()
	f, err := os.Open(procPath(pid, "mem"))
	if err != nil {
		t.Skipf("MEMORY OF A CHILD NOT READABLE, layouts not verified: %v", err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return memory{t, f}
}

func (m memory) word(address uint64) uint64 {
	m.t.Helper()
	var b [8]byte
	if _, err := m.f.ReadAt(b[:], int64(address)); err != nil {
		m.t.Fatalf("read %#x: %v", address, err)
	}
	return binary.LittleEndian.Uint64(b[:])
}

// context walks the way BPF does: the Context that the thread of that pthread_t runs.
func (m memory) context(p *Python, thread uint64) uint64 {
	m.t.Helper()
	state := m.word(m.word(p.Runtime+uint64(p.Offsets.InterpHead)) + uint64(p.Offsets.Threads))
	for steps := 0; state != 0 && steps < 16; steps++ {
		if m.word(state+uint64(p.Offsets.ThreadID)) == thread {
			return m.word(state + uint64(p.Offsets.Context))
		}
		state = m.word(state + uint64(p.Offsets.Next))
	}
	m.t.Fatalf("thread %#x is not in the list", thread)
	return 0
}

const contextTruth = `
import contextvars, sys, threading
variable = contextvars.ContextVar("variable")
told = threading.Lock()
def tell(context):
    variable.set(1)
    with told:
        print(id(context), threading.get_ident(), flush=True)
    ended.wait()
ended = threading.Event()
outer = contextvars.copy_context()
other = contextvars.Context()
thread = threading.Thread(target=lambda: other.run(tell, other))
thread.start()
def main():
    inner = contextvars.copy_context()
    def stay():
        with told:
            print(id(inner), threading.get_ident(), flush=True)
        sys.stdin.read()
    inner.run(stay)
outer.run(main)
ended.set()
thread.join()
`

// TestOffsetsLeadToTheCurrentContext compares the walk through a process's memory with what the
// program says about itself, in two threads, on every interpreter of this machine.
func TestOffsetsLeadToTheCurrentContext(t *testing.T) {
	verified := map[int]bool{}
	for _, python := range interpreters(t) {
		t.Run(python, func(t *testing.T) {
			needContexts(t, python)
			truth := start(t, python, contextTruth)
			var contexts, threads [2]uint64
			for i := range contexts {
				truth.numbers(t, &contexts[i], &threads[i])
			}
			p, err := InspectPython(truth.pid)
			if errors.Is(err, ErrUnsupportedPython) && strings.Contains(python, "/3.7.") {
				t.Skipf("rightly unsupported: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			m := openMemory(t, truth.pid)
			for i, want := range contexts {
				if got := m.context(p, threads[i]); got != want {
					t.Errorf("thread %#x runs Context %#x, found %#x", threads[i], want, got)
				}
			}
			verified[p.Minor] = true
			t.Logf("%s: runtime %#x+%#x, %+v", p.Version, p.Runtime, p.RuntimeEnd-p.Runtime, p.Offsets)
		})
	}
	for minor := range layouts {
		if !verified[minor] {
			t.Logf("NOT VERIFIED HERE: CPython 3.%d is not installed", minor)
		}
	}
}

// TestDerivedContextOffset makes sure that the check of the table against the machine code really
// takes place on the interpreters at hand.
func TestDerivedContextOffset(t *testing.T) {
	for _, python := range interpreters(t) {
		t.Run(python, func(t *testing.T) {
			needContexts(t, python)
			truth := start(t, python, "import sys; print(0, flush=True); sys.stdin.read()")
			truth.numbers(t, new(int))
			maps, err := readMaps(truth.pid)
			if err != nil {
				t.Fatal(err)
			}
			lib, err := openInterpreter(truth.pid, maps)
			if err != nil {
				t.Fatal(err)
			}
			_, minor, err := version(lib.image, lib.name)
			if err != nil {
				t.Fatal(err)
			}
			want, known := layouts[minor]
			if !known {
				t.Skipf("no table for 3.%d", minor)
			}
			got, ok := contextOffset(lib.image, lib.code)
			if !ok || got != want.Context {
				t.Errorf("derived %d (%v), the table says %d", got, ok, want.Context)
			}
			for _, f := range []string{"PyInterpreterState_Head", "PyInterpreterState_ThreadHead", "PyThreadState_Next"} {
				if _, ok := lib.code.accessor(lib.image, lib.symbols[f].address); !ok {
					t.Errorf("%s: not recognised as an accessor", f)
				}
			}
		})
	}
}

func TestProbesOfInterpreters(t *testing.T) {
	for _, python := range interpreters(t) {
		t.Run(python, func(t *testing.T) {
			truth := start(t, python, "import sys, asyncio; print(*sys.version_info[:3], flush=True); sys.stdin.read()")
			var major, minor, micro int
			truth.numbers(t, &major, &minor, &micro)
			p, err := InspectPython(truth.pid)
			if errors.Is(err, ErrUnsupportedPython) && minor < 8 {
				t.Skipf("rightly unsupported: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("%d.%d.%d", major, minor, micro); p.Version != want || p.Minor != minor {
				t.Errorf("version %s (%d), want %s", p.Version, p.Minor, want)
			}
			if len(p.Notes) != 0 || p.Copy == nil || p.New == nil || len(p.Enter) == 0 || len(p.Epoll) == 0 || len(p.Accept) != 2 {
				t.Errorf("incomplete: %+v", p)
			}
			if p.GRPC != nil || len(p.UVWrite) != 0 {
				t.Errorf("found what is not loaded: %+v %+v", p.GRPC, p.UVWrite)
			}
			for _, probe := range slices.Concat(p.Enter, p.Epoll) {
				t.Logf("%+v", probe)
				if !probe.Emulated {
					t.Errorf("%s: no emulated instruction found", probe.Name)
				}
			}
			t.Logf("%+v %+v loop %q", *p.Copy, *p.New, p.Loop)
		})
	}
}

func TestInspectPythonOfAnotherProgram(t *testing.T) {
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("NO cat: %v", err)
	}
	defer func() { _ = stdin.Close(); _ = cmd.Wait() }()
	if _, err := InspectPython(cmd.Process.Pid); !errors.Is(err, ErrNotPython) {
		t.Errorf("got %v, want ErrNotPython", err)
	}
}
