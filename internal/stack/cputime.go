package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cpuSeconds is how long the threads of processes ran, by the scheduler's own clock: that of the process counts in
// ticks of 10 ms. What threads that have ended took is not in it.
func cpuSeconds(pids []int) (seconds float64) {
	for _, pid := range pids {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil {
			continue
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue // the thread has ended
			}
			ran, _, _ := strings.Cut(string(text), " ")
			if ns, err := strconv.ParseUint(ran, 10, 64); err == nil {
				seconds += float64(ns) / 1e9
			}
		}
	}
	return seconds
}
