package target

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Process identifies one process: the number alone may be reused, so its start time is kept too.
type Process struct {
	PID, PPID int
	StartTime uint64 // clock ticks since boot (/proc/PID/stat, field 22)
	Image     uint64 // where its stack begins (field 28, 0 without the right to read it): exec keeps number and start, and changes this
	Exe       string // path as the process sees it, "" where not readable
	Name      string // the kernel's name of it (comm, 15 bytes)
	Cmdline   string // arguments separated by spaces
}

// ProcessAlive says whether p still runs: same number, same start, same program, and not a zombie.
func ProcessAlive(p Process) bool {
	s, err := readStat(p.PID)
	return err == nil && s.start == p.StartTime && s.image == p.Image && s.state != 'Z' && s.state != 'X'
}

// procPath joins elements below /proc/PID. It does not clean them: /proc/PID/root is a magic link.
func procPath(pid int, element string) string {
	return "/proc/" + strconv.Itoa(pid) + "/" + element
}

// executable is where the process's program lies in its own file system, "" where not readable.
func executable(pid int) string {
	exe, err := os.Readlink(procPath(pid, "exe"))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(exe, " (deleted)")
}

func readProcess(pid int) (Process, error) {
	s, err := readStat(pid)
	if err != nil {
		return Process{}, err
	}
	return Process{
		PID: pid, PPID: s.parent, StartTime: s.start, Image: s.image, Name: s.name,
		Exe: executable(pid), Cmdline: strings.Join(arguments(pid), " "),
	}, nil
}

// arguments is the command line, empty for a kernel thread or a process that is gone.
func arguments(pid int) []string {
	b, err := os.ReadFile(procPath(pid, "cmdline"))
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
}

// environment looks up one variable of a process's environment as it was at its start.
func environment(pid int, name string) string {
	b, err := os.ReadFile(procPath(pid, "environ"))
	if err != nil {
		return ""
	}
	for _, line := range bytes.Split(b, []byte{0}) {
		if v, ok := bytes.CutPrefix(line, []byte(name+"=")); ok {
			return string(v)
		}
	}
	return ""
}

type stat struct {
	name   string
	state  byte
	parent int
	start  uint64
	image  uint64
}

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile(procPath(pid, "stat"))
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return stat{}, fmt.Errorf("%w: %d", ErrNoProcess, pid)
		}
		return stat{}, err
	}
	return parseStat(string(b))
}

// parseStat reads `pid (name) state ppid … starttime …`; the name may hold spaces and brackets.
func parseStat(line string) (stat, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return stat{}, fmt.Errorf("no process name in %q", line)
	}
	f := strings.Fields(line[end+1:])
	const state, parent, start, stack = 0, 1, 19, 25 // fields 3, 4, 22 and 28 of proc(5)
	if len(f) <= stack {
		return stat{}, fmt.Errorf("too few fields in %q", line)
	}
	s := stat{name: line[open+1 : end], state: f[state][0]}
	var err1, err2, err3 error
	s.parent, err1 = strconv.Atoi(f[parent])
	s.start, err2 = strconv.ParseUint(f[start], 10, 64)
	s.image, err3 = strconv.ParseUint(f[stack], 10, 64)
	return s, errors.Join(err1, err2, err3)
}

// table is all processes at one instant.
type table map[int]stat

func readTable() (table, error) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer d.Close() //nolint:errcheck // read only
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	t := table{}
	for _, n := range names {
		pid, err := strconv.Atoi(n)
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil && s.state != 'Z' && s.state != 'X' {
			t[pid] = s
		}
	}
	return t, nil
}

// withDescendants adds the children of roots, their children, and so on.
func (t table) withDescendants(roots map[int]bool) map[int]bool {
	children := map[int][]int{}
	for pid, s := range t {
		children[s.parent] = append(children[s.parent], pid)
	}
	all := map[int]bool{}
	var walk func(int)
	walk = func(pid int) {
		if all[pid] {
			return
		}
		all[pid] = true
		for _, c := range children[pid] {
			walk(c)
		}
	}
	for pid := range roots {
		walk(pid)
	}
	return all
}

// named lists the processes that a user would call name: by the kernel's name, the executable's,
// or the script or module that an interpreter runs.
func (t table) named(name string) map[int]bool {
	found := map[int]bool{}
	for pid, s := range t {
		if pid != os.Getpid() && (s.name == name || filepath.Base(executable(pid)) == name || runs(arguments(pid), name)) {
			found[pid] = true
		}
	}
	return found
}

// runs says whether a command line starts the program, script or module called name.
func runs(argv []string, name string) bool {
	if len(argv) == 0 {
		return false
	}
	if filepath.Base(argv[0]) == name {
		return true
	}
	return parseCommand(argv).program == name
}

// inCgroup lists the processes of a control group and of the groups below it.
func (t table) inCgroup(path string) map[int]bool {
	found := map[int]bool{}
	for pid := range t {
		b, err := os.ReadFile(procPath(pid, "cgroup"))
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(b), "\n") {
			if f := strings.SplitN(line, ":", 3); len(f) == 3 && below(f[2], path) {
				found[pid] = true
			}
		}
	}
	return found
}

func below(path, parent string) bool {
	return path == parent || parent == "/" || strings.HasPrefix(path, parent+"/")
}
