package stack

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// naps sleeps some 20,000 times a second, computes a little between the sleeps, and says how often it did when asked. Nothing
// in it depends on when another thread runs, so that its CPU is the same in each round but for what is measured.
const naps = `
import ctypes, os, sys, threading, time
ctypes.CDLL(None).prctl(29, 1) # PR_SET_TIMERSLACK: a short sleep takes no 50 us more
n = 0
def work():
    global n
    while True:
        time.sleep(0.00002)
        for _ in range(%d): pass
        n += 1
threading.Thread(target=work, daemon=True).start()
print("ready", flush=True)
for line in sys.stdin: print(n, flush=True)
os._exit(0)
`

// unwindingMay is the share of the target's CPU that unwinding of sleeps may take: a quarter of an overhead budget of 2 %.
const unwindingMay = .005

// BenchmarkOffCPU prices the sampling of sleeps by pairs of windows with and without it, while the CPU clock samples in
// both: the CPU that a round takes.
func BenchmarkOffCPU(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("SKIPPED, nothing was measured: needs root for BPF")
	}
	pid, in, out := startProgram(b, fmt.Sprintf(naps, 100))
	k := seesSwitches(b, pid)
	s := NewSampler(Options{Shared: Shared{Maps: k.Maps(), Switches: k.Switches()}})
	if err := s.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := s.OffCPUWhy(); err != nil {
		b.Skipf("SKIPPED, nothing was measured: %v", err)
	}
	go func() {
		for range s.Samples() {
		}
	}()
	s.SetPIDs([]int{pid})
	for range 10 { // as the agent does at its usual budget
		cpu := cpuOf(b, pid)
		time.Sleep(time.Second)
		s.SteerSleeps(unwindingMay * (cpuOf(b, pid) - cpu))
	}
	window := func(on bool) (perRound float64) {
		o := &s.entry.offcpu
		if !on {
			for _, l := range o.links {
				l.Close()
			}
			o.links = nil
		} else if err := o.attach(); err != nil {
			b.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		rounds, cpu := countOf(b, in, out), cpuOf(b, pid)
		time.Sleep(250 * time.Millisecond) // what else the machine does changes by the second
		return (cpuOf(b, pid) - cpu) / (countOf(b, in, out) - rounds)
	}
	window(false)
	var without, ratios, same []float64
	for range max(b.N, 48) { // there and back again, so that a drift of the machine cancels out
		off, on, again, off2 := window(false), window(true), window(true), window(false)
		without = append(without, off, off2)
		ratios = append(ratios, on/off-1, again/off2-1)
		same = append(same, off2/off-1)
	}
	if err := s.entry.offcpu.attach(); err != nil {
		b.Fatal(err)
	}
	o := &s.entry.offcpu
	stats, err := keepRunTimes()
	if err != nil {
		b.Fatal(err)
	}
	defer stats.Close()
	program := ran(o.objects.OffcpuComes)
	sleeps, cpu := sleepsOf(o), cpuOf(b, pid)
	switches := k.Cost().ByProbe["sched_switch"]
	hooks, unwinding := o.cost()
	time.Sleep(2 * time.Second)
	n := sleepsOf(o) - sleeps
	hooks2, unwinding2 := o.cost()
	cpu = cpuOf(b, pid) - cpu
	program = ran(o.objects.OffcpuComes) - program - (unwinding2 - unwinding)
	switches2 := k.Cost().ByProbe["sched_switch"]
	b.ReportMetric(float64(n)/2, "sleeps/s")
	b.ReportMetric(1e6*median(without), "µs/round")
	b.ReportMetric(100*median(ratios), "%more")
	b.ReportMetric(100*quartile(ratios, 1), "%q1")
	b.ReportMetric(100*quartile(ratios, 3), "%q3")
	b.ReportMetric(100*median(same), "%A/A")
	b.ReportMetric(100*(hooks2-hooks)/cpu, "%hooks")
	b.ReportMetric(1e9*(hooks2-hooks)/float64(n), "ns/sleep")
	b.ReportMetric(100*program/cpu, "%program") // by the kernel's run times, of all threads of the host
	b.ReportMetric(100*(unwinding2-unwinding)/cpu, "%unwinding")
	// What the agent takes with and without that profile: to follow requests it must see threads leave the CPU and come back.
	b.ReportMetric(1e9*(switches2.Seconds-switches.Seconds)/float64(switches2.Count-switches.Count), "ns/switch")
}

func sleepsOf(o *offcpu) (n int64) {
	for _, s := range o.sums() {
		n += s.Count
	}
	return n
}

func median(v []float64) float64 { return quartile(v, 2) }

func quartile(v []float64, q int) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[(len(v)-1)*q/4]
}

func countOf(b *testing.B, in interface{ Write([]byte) (int, error) }, out *bufio.Reader) float64 {
	fmt.Fprintln(in)
	line, err := out.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// cpuOf is what the process's threads ran, in seconds, by the scheduler's clock.
func cpuOf(b *testing.B, pid int) (seconds float64) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		ns, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
		if err != nil {
			b.Fatal(err)
		}
		seconds += ns / 1e9
	}
	return seconds
}
