package census

import (
	"bufio"
	"debug/elf"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/target"
)

// program holds containers of known sizes, and adds to some for each line of its input.
const program = `
import collections, json, sys, functools
kept = list(range(1000))
cache = {i: bytes(10) for i in range(500)}            # of what holds nothing: in no list of the collector
named = collections.defaultdict(list, {str(i): [i] for i in range(700)})
seen = set(range(300))
waiting = collections.deque(range(200))
small = [1, 2, 3]
class Mine(list):
    pass
mine = Mine(range(400))
class Holder:
    def __init__(self):
        self.unused = 1
        self.inside = [object() for _ in range(900)]
        self.by_name = {str(i): i for i in range(330)}   # of what holds nothing
    def get(self, name):
        return self.by_name.get(name)
def hide():
    holder = Holder()
    hidden = [0] * 777
    return lambda: (holder, hidden)
hider = hide()
@functools.lru_cache(maxsize=None)
def square(n):
    return n * n
for i in range(430):
    square(i)
def remember(x):
    kept.append(x)
class Store:
    def put(self, key, value):
        cache[key] = value
        kept.append(key)
def innocent():
    return len(small)
state = {"inner": {i: b"" for i in range(650)}, "more": []}
print("ready", flush=True)
for line in sys.stdin:
    kept.extend(range(150))
    cache.update((i, b"") for i in range(1000, 1100))
    print("ready", flush=True)
`

func interpreters(t *testing.T) []string {
	t.Helper()
	home, _ := os.UserHomeDir()
	list, _ := filepath.Glob(filepath.Join(home, ".pyenv/versions/3.*/bin/python3"))
	list = append(list, "/usr/bin/python3")
	return slices.DeleteFunc(list, func(p string) bool {
		return strings.Contains(p, "/3.6.") || strings.Contains(p, "/3.7.")
	})
}

// Containers of every kind are found with their names and sizes, in every version; what grows does.
func TestCountsOfRealInterpreters(t *testing.T) {
	for _, python := range interpreters(t) {
		t.Run(python, func(t *testing.T) {
			cmd := exec.Command(python, "-c", program)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Skip(err)
			}
			defer func() { in.Close(); _ = cmd.Wait() }()
			lines := bufio.NewScanner(out)
			lines.Scan()
			py, err := target.InspectPython(cmd.Process.Pid)
			if err != nil {
				t.Skipf("SKIPPED: NOT TESTED: %v", err)
			}
			interpreter := Interpreter{PID: cmd.Process.Pid, Minor: py.Minor, Runtime: py.Runtime, RuntimeEnd: py.RuntimeEnd, InterpHead: uint64(py.Offsets.InterpHead)}
			before := take(t, interpreter)
			for name, want := range map[string]Container{
				"kept": {Type: "list", Entries: 1000}, "cache": {Type: "dict", Entries: 500}, "seen": {Type: "set", Entries: 300},
				"named": {Type: "collections.defaultdict", Entries: 700}, "waiting": {Type: "collections.deque", Entries: 200}, "mine": {Type: "Mine", Entries: 400},
			} {
				if got := find(before, "__main__."+name); got.Type != want.Type || got.Entries != want.Entries {
					t.Errorf("%s: %+v, want %+v", name, got, want)
				}
			}
			for _, want := range []Container{
				{Type: "list", Name: "Holder.inside", Entries: 900, Users: []string{"__init__"}},
				{Type: "dict", Name: "Holder.by_name", Entries: 330, Users: []string{"__init__", "get"}},
				{Type: "list", Name: "closure of hide.<locals>.<lambda>", Entries: 777, Users: []string{"hide.<locals>.<lambda>"}},
				{Type: "dict", Name: "lru_cache of square", Entries: 430, Users: []string{"square"}},
				{Type: "dict", Entries: 650}, // in a dictionary
			} {
				if !slices.ContainsFunc(slices.Collect(maps.Values(before.Containers)), func(c Container) bool {
					return c.Type == want.Type && c.Name == want.Name && c.Entries == want.Entries && slices.Equal(c.Users, want.Users)
				}) {
					t.Errorf("no %+v", want)
				}
			}
			if users := find(before, "__main__.kept").Users; !slices.Equal(users, []string{"Store.put", "remember"}) {
				t.Errorf("kept is used in %v", users)
			}
			if users := find(before, "__main__.cache").Users; !slices.Equal(users, []string{"Store.put"}) {
				t.Errorf("cache is used in %v", users)
			}
			if find(before, "__main__.small").Entries != 0 {
				t.Error("a small list is of interest")
			}
			if _, err := in.Write([]byte("more\n")); err != nil {
				t.Fatal(err)
			}
			lines.Scan()
			grown := Grown(before, take(t, interpreter))
			if len(grown) < 2 || grown[0].Name != "__main__.kept" || grown[0].Before != 1000 || grown[0].After != 1150 || grown[1].Name != "__main__.cache" || grown[1].After != 600 {
				t.Errorf("grown: %+v", grown)
			}
		})
	}
}

func take(t *testing.T, in Interpreter) *Count {
	t.Helper()
	c, err := Take(in)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Whole || c.Objects < 1000 {
		t.Errorf("%d objects, whole: %v", c.Objects, c.Whole)
	}
	return c
}

func find(c *Count, name string) Container {
	for _, x := range c.Containers {
		if x.Name == name {
			return x
		}
	}
	return Container{}
}

// What is no interpreter is told apart from one.
func TestNoInterpreter(t *testing.T) {
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := f.Section(".data").Addr
	if c, err := Take(Interpreter{PID: os.Getpid(), Minor: 11, Runtime: at, RuntimeEnd: at + 4096}); err == nil {
		text, _ := json.Marshal(c)
		t.Errorf("it was counted: %s", text)
	}
	if _, err := Take(Interpreter{PID: os.Getpid(), Minor: 14}); err == nil {
		t.Error("3.14 is known")
	}
}
