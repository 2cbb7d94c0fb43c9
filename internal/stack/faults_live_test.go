package stack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

// toucher touches memory in functions of known names, and says how much of it the process then has in memory.
const toucher = `
import sys, mmap, tempfile, threading
kept = []
def resident():
    with open("/proc/self/smaps_rollup") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("Anonymous:"))
def large(n):
    kept.append(bytearray(n))
def small(n):
    kept.append([b"%063d" % i for i in range(n // 104)])
def huge(n):
    m = mmap.mmap(-1, n, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    m.madvise(mmap.MADV_HUGEPAGE)
    for i in range(0, n, 4096):
        m[i] = 1
    kept.append(m)
def file(n):
    with tempfile.TemporaryFile() as f:
        f.truncate(n)
        m = mmap.mmap(f.fileno(), n)
        for i in range(0, n, 4096):
            m[i] = 1
        kept.append(m)
def thread(n):
    t = threading.Thread(target=large, args=(n,))
    t.start()
    t.join()
print("ready", flush=True)
for line in sys.stdin:
    name, n = line.split()
    before = resident()
    globals()[name](int(n))
    print(resident() - before, flush=True)
`

// TestTouchedMemory compares what samples say with what the kernel counts in the process.
func TestTouchedMemory(t *testing.T) {
	live(t)
	pid, in, out := startProgram(t, toucher)
	s := NewSampler(Options{})
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.entry.faults.why; err != nil {
		t.Fatalf("faults are not sampled: %v", err)
	}
	s.SetPIDs([]int{pid})
	learn(t, s, in, out)
	for _, c := range []struct {
		function string
		bytes    int
		within   float64 // of what the kernel counts
	}{
		{"large", 64 << 20, .05}, // what is pending is no sample's yet
		{"small", 64 << 20, .05},
		{"thread", 64 << 20, .05},
		{"huge", 256 << 20, .1}, // 13 faults are 26 MiB
	} {
		grown := order(t, in, out, c.function, c.bytes)
		in := c.function
		if in == "thread" {
			in = "large"
		}
		got := bytesIn(s, Alloc, in)
		t.Logf("%s: %d bytes asked for, %d touched as the kernel says, %d in samples", c.function, c.bytes, grown, got)
		within := c.within * float64(grown)
		if alwaysHuge(t) { // one run of the program may stand for so much
			within += float64(s.entry.faults.each * 2 << 20)
		}
		if math.Abs(float64(got-grown)) > within {
			t.Errorf("%s: %d bytes in samples, the kernel says %d", c.function, got, grown)
		}
	}
	order(t, in, out, "file", 64<<20)
	if got := bytesIn(s, Alloc, "file"); got > 4<<20 {
		t.Errorf("%d bytes of a file are taken for allocated", got)
	}
	if _, shared := s.Touched(); shared < 16<<20 { // the kernel maps a file's pages many at a time
		t.Errorf("%d bytes are counted as a file's, 64 MiB were touched", shared)
	}
	if lost := s.Lost(); lost[LostNotEntered]+lost[LostQueueFull] != 0 {
		t.Errorf("lost %v", lost)
	}
}

// alwaysHuge: the kernel gives huge pages to whoever touches memory.
func alwaysHuge(t *testing.T) bool {
	t.Helper()
	mode, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.HasPrefix(string(mode), "[always]")
}

// learn lets the unwinder meet the process.
func learn(t *testing.T, s *Sampler, in io.Writer, out *bufio.Reader) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		order(t, in, out, "large", 1<<20)
		if bytesIn(s, Alloc, "large") > 0 {
			return
		}
	}
	t.Fatalf("no stack of touched memory came; lost %v", s.Lost())
}

// order has a function of the target called, and returns how much more memory it then has.
func order(t *testing.T, in io.Writer, out *bufio.Reader, function string, bytes int) (grown int64) {
	t.Helper()
	if _, err := fmt.Fprintln(in, function, bytes); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscan(out, &grown); err != nil {
		t.Fatal(err)
	}
	return grown
}

// bytesIn is the sum of the samples of a function that come within the time in which all of them do.
func bytesIn(s *Sampler, kind Kind, function string) int64 {
	in, _ := bytesByStack(s, kind, function)
	return in
}

// bytesByStack is that sum, and the samples that are not of the function.
func bytesByStack(s *Sampler, kind Kind, function string) (in int64, others []int64) {
	for end := time.After(400 * time.Millisecond); ; {
		select {
		case x := <-s.Samples():
			switch {
			case x.Kind != kind:
			case calls(x.Frames, function):
				in += x.Value
			default:
				others = append(others, x.Value)
			}
		case <-end:
			return in, others
		}
	}
}
