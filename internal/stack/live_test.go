package stack

import (
	"bufio"
	"context"
	"io"
	"math"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"

	"github.com/ragscope/ragscope/internal/ktime"
)

// burner burns CPU in Python functions of known names until its input is closed.
const burner = `
import sys, threading
def leaf(n):
    s = 0
    for i in range(n):
        s += i * i
    return s
def middle():
    return leaf(20000)
def outer():
    while True:
        middle()
threading.Thread(target=outer, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
`

// startTarget runs the target and returns its process id.
func startTarget(t testing.TB) int {
	pid, _, _ := startProgram(t, burner)
	return pid
}

// startProgram runs a Python program that says "ready" and ends with its input.
func startProgram(t testing.TB, program string) (pid int, in io.Writer, out *bufio.Reader) {
	t.Helper()
	return startPython(t, "python3", program)
}

func startPython(t testing.TB, python, program string) (pid int, in io.Writer, out *bufio.Reader) {
	t.Helper()
	python, err := exec.LookPath(python)
	if err != nil {
		t.Skip("SKIPPED, nothing was proved: no python3 in PATH")
	}
	cmd := exec.Command(python, "-c", program)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the target ended with %v", err)
		}
	})
	out = bufio.NewReader(stdout)
	if line, err := out.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the target says %q, %v", line, err)
	}
	return cmd.Process.Pid, stdin, out
}

// live skips a test that needs this kernel and its rights where they are not there.
func live(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED, nothing was proved: -short")
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, nothing was proved: needs root for BPF")
	}
	if err := features.HaveProgramType(ebpf.PerfEvent); err != nil {
		t.Skipf("SKIPPED, nothing was proved: this kernel or these rights do not allow BPF on perf events: %v", err)
	}
}

// TestLive samples a real Python process in this kernel.
func TestLive(t *testing.T) {
	live(t)
	pid := startTarget(t)
	s := NewSampler(Options{Hz: 199})
	began := time.Now()
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %v", time.Since(began).Round(time.Millisecond))
	s.SetPIDs([]int{pid})

	complete, deadline := 0, time.After(30*time.Second)
	for complete < 50 {
		select {
		case sample := <-s.Samples():
			if int(sample.PID) != pid {
				t.Fatalf("process %d was sampled, only %d is watched", sample.PID, pid)
			}
			if now := ktime.Monotonic(); sample.Time > now || sample.Time < now-int64(30*time.Second) {
				t.Fatalf("sample time %d, now %d: not CLOCK_MONOTONIC", sample.Time, now)
			}
			if calls(sample.Frames, "leaf", "middle", "outer") {
				complete++
			}
		case <-deadline:
			t.Fatalf("%d of 50 stacks leaf < middle < outer; received %d, lost %v", complete, s.Received(), s.Lost())
		}
	}
	holdsTheRate(t, s, pid, 47)
	lost := s.Lost()
	t.Logf("received %d, lost %v", s.Received(), lost)
	if lost[LostNotEntered] != 0 || lost[LostQueueFull] != 0 {
		t.Errorf("lost %v", lost)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// holdsTheRate changes the rate while a thread computes all the time: samples stand for its CPU all the same.
func holdsTheRate(t *testing.T, s *Sampler, pid, hz int) {
	t.Helper()
	if err := s.SetHz(hz); err != nil {
		t.Fatal(err)
	}
	const window = 3 * time.Second
	begin, ran := ktime.Monotonic(), cpuSeconds([]int{pid})
	time.Sleep(window)
	end, ran := ktime.Monotonic(), cpuSeconds([]int{pid})-ran
	time.Sleep(500 * time.Millisecond) // what is on its way is read
	seconds, period := 0.0, time.Second/time.Duration(hz)
	for n := len(s.Samples()); n > 0; n-- {
		if x := <-s.Samples(); x.Kind == CPU && x.Time > begin && x.Time <= end {
			if x.Value != period.Nanoseconds() {
				t.Fatalf("a sample at %d Hz stands for %d ns", hz, x.Value)
			}
			seconds += period.Seconds()
		}
	}
	// The two ends are off by a period at most, and an interrupted clock by a few. Where others run on its CPU, too, it is
	// chance whom a tick meets: of n ticks, sqrt(n·share·(1−share)) more or less.
	share := min(1, ran/window.Seconds())
	chance := 4 * math.Sqrt(window.Seconds()*float64(hz)*share*(1-share))
	if off := math.Abs(seconds - ran); off > (4+chance)*period.Seconds()+.05*ran {
		t.Errorf("at %d Hz samples stand for %.2f s of CPU, it ran for %.2f s", hz, seconds, ran)
	}
}

// calls says whether the Python frames contain the functions in this order.
func calls(frames []Frame, functions ...string) bool {
	for _, f := range frames {
		if len(functions) > 0 && f.Kind == Python && f.Function == functions[0] {
			functions = functions[1:]
		}
	}
	return len(functions) == 0
}
