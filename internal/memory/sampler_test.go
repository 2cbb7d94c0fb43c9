package memory

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSampleReadsThisProcess(t *testing.T) {
	debug.FreeOSMemory() // so that none is given back meanwhile
	s := NewSampler(time.Now(), nil)
	before, err := s.Sample([]int{os.Getpid()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Not Go's own memory: of each byte of that the race detector keeps four of its own.
	block, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(block)
	for i := range block {
		block[i] = byte(i)
	}
	after, err := s.Sample([]int{os.Getpid(), os.Getpid()}, nil) // named twice, counted once
	if err != nil {
		t.Fatal(err)
	}
	for name, grown := range map[string]int64{"rss": int64(after.RSS - before.RSS), "heap": int64(after.Heap - before.Heap)} {
		if grown < 60<<20 || grown > 100<<20 {
			t.Errorf("%s grew by %d bytes, want about 64 MiB", name, grown)
		}
	}
	if after.VMS < after.RSS || after.Threads < 1 || after.T < before.T {
		t.Errorf("%+v", after)
	}
}

// Heap comes from counters; smaps_rollup walks the pages and is the truth.
func TestHeapIsTheAnonymousMemory(t *testing.T) {
	tick, err := NewSampler(time.Now(), nil).Sample([]int{os.Getpid()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/proc/self/smaps_rollup")
	if err != nil {
		t.Skip("not measured: ", err)
	}
	defer f.Close()
	var kb int64
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if strings.HasPrefix(sc.Text(), "Anonymous:") {
			fmt.Sscan(strings.Fields(sc.Text())[1], &kb)
		}
	}
	if d := int64(tick.Heap) - kb<<10; kb == 0 || d > 8<<20 || d < -8<<20 {
		t.Errorf("heap %d bytes, anonymous memory %d", tick.Heap, kb<<10)
	}
}

func TestProcessesAddUpAndEnd(t *testing.T) {
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Skip(err)
	}
	defer child.Process.Kill()
	s, self := NewSampler(time.Now(), nil), []int{os.Getpid()}
	one, err := s.Sample(self, nil)
	if err != nil {
		t.Fatal(err)
	}
	both := []int{os.Getpid(), child.Process.Pid}
	two, err := s.Sample(both, map[uint32]int64{uint32(both[0]): 3, uint32(both[1]): 4, 1: 9})
	if err != nil || two.Threads < one.Threads+1 || two.Active != 7 {
		t.Errorf("threads %d with the child, %d without, %d requests under way: %v", two.Threads, one.Threads, two.Active, err)
	}
	m, _ := s.Memory(0)
	for _, p := range m.Processes {
		if last, want := p.Timeline[len(p.Timeline)-1], map[int]int64{both[0]: 3, both[1]: 4}[p.PID]; last.Active != want {
			t.Errorf("process %d had %d requests under way, want %d", p.PID, last.Active, want)
		}
	}
	child.Process.Kill()
	child.Wait()
	if _, err := s.Sample(both, nil); err != nil {
		t.Errorf("one process left: %v", err)
	}
	if _, err := s.Sample([]int{child.Process.Pid}, nil); err == nil || !strings.Contains(err.Error(), "none of whose processes") {
		t.Errorf("no process left: %v", err)
	}
	if _, err := s.Sample(nil, nil); err == nil {
		t.Error("no process: no error")
	}
}

func TestCPUSecondsOnlyGrow(t *testing.T) {
	s, pids := NewSampler(time.Now(), nil), []int{os.Getpid()}
	if _, err := s.Sample(pids, nil); err != nil {
		t.Fatal(err)
	}
	if got := s.CPUSeconds(); got != 0 {
		t.Errorf("%v s before the start", got)
	}
	burn := exec.Command("sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 60")
	if err := burn.Start(); err != nil {
		t.Skip(err)
	}
	defer burn.Process.Kill()
	pids = append(pids, burn.Process.Pid)
	last := 0.
	for deadline := time.Now().Add(time.Minute); last < .05; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("only %v s of CPU time seen", last)
		}
		if _, err := s.Sample(pids, nil); err != nil {
			t.Fatal(err)
		}
		now := s.CPUSeconds()
		if now < last {
			t.Fatalf("CPU time fell from %v to %v s", last, now)
		}
		last = now
	}
	burn.Process.Kill()
	burn.Wait()
	if _, err := s.Sample(pids, nil); err != nil {
		t.Fatal(err)
	}
	if now := s.CPUSeconds(); now < last {
		t.Errorf("CPU time fell from %v to %v s when a worker ended", last, now)
	}
}

func BenchmarkSample(b *testing.B) {
	s, pids := NewSampler(time.Now(), nil), []int{os.Getpid()}
	for b.Loop() {
		if _, err := s.Sample(pids, nil); err != nil {
			b.Fatal(err)
		}
	}
}
