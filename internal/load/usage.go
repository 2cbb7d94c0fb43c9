package load

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Usage is what the run cost the loader's machine.
type Usage struct {
	HostBusy    float64 // share of all CPU time that was not idle, 0..1; 0 when the kernel does not tell
	LoaderCores float64 // CPU seconds of the loader per second
	CPUs        int     // that the loader may use at a time
	RunQueue    float64 // seconds that the loader's threads were ready and waited for a CPU; 0 when the kernel does not tell
}

// saturated is the share of busy CPU above which waiting for a CPU spoils every other figure.
const saturated = 0.95

// Saturated says whether the machine had no CPU to spare.
func (u Usage) Saturated() bool { return u.HostBusy > saturated }

// usage is a reading at the start of a run.
type usage struct {
	at          time.Time
	own         time.Duration
	busy, total uint64
	waited      time.Duration
}

func startUsage() usage {
	u := usage{at: time.Now(), own: ownCPU(), waited: ownRunQueue()}
	u.busy, u.total = hostCPU()
	return u
}

func (u usage) stop() Usage {
	out := Usage{CPUs: runtime.GOMAXPROCS(0), RunQueue: max(0, (ownRunQueue() - u.waited).Seconds())}
	if wall := time.Since(u.at); wall > 0 {
		out.LoaderCores = (ownCPU() - u.own).Seconds() / wall.Seconds()
	}
	if busy, total := hostCPU(); total > u.total {
		out.HostBusy = float64(busy-u.busy) / float64(total-u.total)
	}
	return out
}

func ownCPU() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// ownRunQueue adds up what /proc/self/task/*/schedstat says: nanoseconds on a CPU, nanoseconds
// ready and waiting for one, and how often (proc(5)). /proc/self/schedstat is the first thread
// alone. A thread that ended takes its share with it; Go keeps its threads.
func ownRunQueue() time.Duration {
	files, _ := filepath.Glob("/proc/self/task/*/schedstat")
	var sum time.Duration
	for _, f := range files {
		text, err := os.ReadFile(f)
		if fields := strings.Fields(string(text)); err == nil && len(fields) == 3 {
			ns, _ := strconv.ParseInt(fields[1], 10, 64)
			sum += time.Duration(ns)
		}
	}
	return sum
}

// hostCPU reads the first line of /proc/stat: ticks of all CPUs (proc(5)). Both figures are 0
// where there is no such file.
func hostCPU() (busy, total uint64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return cpuTicks(line)
}

func cpuTicks(line string) (busy, total uint64) {
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, 0
	}
	for i, f := range fields[1:9] { // user nice system idle iowait irq softirq steal; guest time is inside user
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return 0, 0
		}
		total += n
		if i != 3 && i != 4 {
			busy += n
		}
	}
	return busy, total
}
