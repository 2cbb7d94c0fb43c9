package truth

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
)

// family is the process and all of its descendants.
func family(pid int) []int {
	out := []int{pid}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return out
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(word); err == nil {
				out = append(out, family(child)...)
			}
		}
	}
	return out
}

// cpuSeconds is the time that all threads of the process and its descendants ran, by the
// scheduler's own clock (nanoseconds), not by ticks.
func cpuSeconds(pid int) float64 {
	var sum float64
	for _, p := range family(pid) {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p))
		if err != nil {
			continue
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				continue // the thread has ended
			}
			ran, _, _ := strings.Cut(string(b), " ")
			if ns, err := strconv.ParseUint(ran, 10, 64); err == nil {
				sum += float64(ns) / 1e9
			}
		}
	}
	return sum
}

// rssBytes is what the process has in memory, and the most that it ever had.
func rssBytes(pid int) (now, most uint64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kb, err := strconv.ParseUint(f[1], 10, 64)
		switch {
		case err != nil:
		case f[0] == "VmRSS:":
			now = kb << 10
		case f[0] == "VmHWM:":
			most = kb << 10
		}
	}
	return now, most, nil
}

// runs is how often a BPF program ran since it was loaded, and how long.
type runs struct {
	Count   uint64
	Seconds float64
}

// programRuns reads the kernel's statistics of all BPF programs that the process holds, by
// name. Where it holds none, the map is empty.
func programRuns(pid int) map[string]runs {
	out := map[string]runs{}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	if err != nil {
		return out
	}
	seen := map[uint64]bool{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // closed meanwhile
		}
		var id, count, ns uint64
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(line, ":")
			n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
			if err != nil {
				continue
			}
			switch name {
			case "prog_id":
				id = n
			case "run_cnt":
				count = n
			case "run_time_ns":
				ns = n
			}
		}
		if id == 0 || count == 0 || seen[id] { // links show the id of their program too, without counts
			continue
		}
		seen[id] = true
		name := programName(ebpf.ProgramID(id))
		r := out[name]
		out[name] = runs{r.Count + count, r.Seconds + float64(ns)/1e9}
	}
	return out
}

func programName(id ebpf.ProgramID) string {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return fmt.Sprintf("program %d", id)
	}
	defer p.Close()
	i, err := p.Info()
	if err != nil {
		return fmt.Sprintf("program %d", id)
	}
	return i.Name
}
