package truth

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
