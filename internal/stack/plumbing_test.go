package stack

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// readStack reads kind, function, file and line, by tabs, the running function first.
func readStack(t *testing.T, path string) []Frame {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var frames []Frame
	for lines := bufio.NewScanner(f); lines.Scan(); {
		c := strings.Split(lines.Text(), "\t")
		if len(c) != 4 {
			t.Fatalf("%s: %q has not four columns", path, lines.Text())
		}
		line, err := strconv.Atoi(c[3])
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, Frame{Kind: c[0], Function: c[1], File: c[2], Line: line})
	}
	return frames
}

func writeStack(frames []Frame) string {
	var b strings.Builder
	for _, f := range frames {
		fmt.Fprintf(&b, "%s\t%s\t%s\t%d\n", f.Kind, f.Function, f.File, f.Line)
	}
	return b.String()
}

// The stacks were sampled from uvicorn with uvloop, FastAPI and Python 3.11.
func TestFoldRealStacks(t *testing.T) {
	for _, name := range []string{"json", "kernel"} {
		t.Run(name, func(t *testing.T) {
			frames := readStack(t, filepath.Join("testdata", name+".stack"))
			before := slices.Clone(frames)
			got := writeStack(Fold(frames))
			if !slices.Equal(frames, before) {
				t.Error("Fold changed its input")
			}
			golden := filepath.Join("testdata", name+".folded")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("folded to\n%s\nwant %s", got, golden)
			}
		})
	}
}

func TestFold(t *testing.T) {
	py := func(name string) Frame { return Frame{Function: name, File: "/app/a.py", Line: 1, Kind: Python} }
	in := func(file, name string) Frame { return Frame{Function: name, File: file, Kind: Native} }
	const lib, bin = "libpython3.11.so.1.0", "python3.11"
	tests := []struct {
		name   string
		frames []Frame
		want   string // functions kept
	}{
		{"nothing", nil, ""},
		{"no Python: as it is", []Frame{in(lib, "_PyEval_EvalFrameDefault"), in("libc.so.6", "start_thread")}, "_PyEval_EvalFrameDefault start_thread"},
		{"Python calls Python", []Frame{py("inner"), in(lib, "_PyEval_EvalFrameDefault"), in(lib, "method_vectorcall"), py("outer")}, "inner outer"},
		{"the interpreter evaluates", []Frame{in(lib, "_PyEval_EvalFrameDefault"), py("busy")}, "busy"},
		{"the interpreter works", []Frame{in(lib, "_PyObject_Malloc"), in(lib, "PyObject_Vectorcall"), py("busy")}, "_PyObject_Malloc busy"},
		{"the interpreter is stripped", []Frame{in(bin, "python3.11+0x1a2b"), py("busy")}, "busy"},
		{"an extension without symbols stays", []Frame{in("_x.so", "_x.so+0x1a2b"), in(bin, "python3.11+0x99"), py("busy")}, "_x.so+0x1a2b busy"},
		{"below the first Python function", []Frame{py("run"), in(lib, "thread_run"), in("libc.so.6", "start_thread"), in("libc.so.6", "clone3")}, "run"},
		{"glue", []Frame{py("step"), in("_asyncio.so", "task_step_impl"), in("loop.so", "__Pyx_PyObject_FastCallDict"), in("loop.so", "uvloop.loop.Handle._run"), py("run")}, "step uvloop.loop.Handle._run run"},
		{"Cython's wrapper", []Frame{in("loop.so", "uvloop.loop.Loop.run"), in("loop.so", "uvloop.loop.Loop.run"), py("run")}, "uvloop.loop.Loop.run run"},
		{"recursion stays", []Frame{in("_json.so", "encode"), in("_json.so", "encode"), py("run")}, "encode encode run"},
		{"Python recursion stays", []Frame{py("fib"), py("fib")}, "fib fib"},
		{"kernel stays", []Frame{{Function: "tcp_sendmsg", Kind: Kernel}, in("libc.so.6", "send"), in(lib, "sock_send"), py("run")}, "tcp_sendmsg send run"},
		{"not every libpython is one", []Frame{in("libpythonic.so", "work"), py("run")}, "work run"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var names []string
			for _, f := range Fold(test.frames) {
				names = append(names, f.Function)
			}
			if got := strings.Join(names, " "); got != test.want {
				t.Errorf("kept %q, want %q", got, test.want)
			}
		})
	}
}

func TestReadable(t *testing.T) {
	for symbol, want := range map[string]string{
		"__pyx_f_6uvloop_4loop_6Handle__run":                "uvloop.loop.Handle._run",
		"__pyx_pw_6uvloop_4loop_4Loop_25run_forever":        "uvloop.loop.Loop.run_forever",
		"__pyx_pf_6uvloop_4loop_4Loop_44run_until_complete": "uvloop.loop.Loop.run_until_complete",
		"__pyx_f_6uvloop_4loop_cb_idle_callback":            "uvloop.loop.cb_idle_callback",
		"__pyx_f_":                                          "__pyx_f_",
		"__pyx_f_99uvloop_x":                                "__pyx_f_99uvloop_x",
		"__pyx_f_99999999999999999999uvloop_x":              "__pyx_f_99999999999999999999uvloop_x",
		"encoder_listencode_obj.isra.0":                     "encoder_listencode_obj",
		"finish_task_switch.isra.0":                         "finish_task_switch",
		"lookup.part.0.constprop.3":                         "lookup",
		"main.(*Server).serve":                              "main.(*Server).serve",
		"SHA256_Update":                                     "SHA256_Update",
		"":                                                  "",
	} {
		if got := readable(symbol); got != want {
			t.Errorf("readable(%q) = %q, want %q", symbol, got, want)
		}
	}
}

// Debian's _asyncio is stripped: what steps a task between the loop and its coroutine has no name.
func TestFoldDropsStrippedAsyncio(t *testing.T) {
	step := Frame{Function: "_asyncio.cpython-311-x86_64-linux-gnu.so+0x7e21", File: "_asyncio.cpython-311-x86_64-linux-gnu.so", Kind: Native}
	handler, run := Frame{Function: "handler", Kind: Python}, Frame{Function: "Handle._run", Kind: Python}
	if got := Fold([]Frame{handler, step, run}); len(got) != 2 || got[0] != handler || got[1] != run {
		t.Errorf("between Python functions: %v", got)
	}
	if got := Fold([]Frame{step, run}); len(got) != 2 {
		t.Errorf("where it runs itself: %v", got)
	}
}
