package stack

import (
	"bufio"
	"context"
	"io"
	"math"
	"testing"
	"time"

	"github.com/ragscope/ragscope/bpf"
	"github.com/ragscope/ragscope/internal/ktime"
)

// allocator allocates in functions of known names, and says how much that was.
const allocator = `
import sys
def large(n):
    for i in range(n >> 20):
        bytearray(1 << 20)
    return n
def medium(n):
    for i in range(n // 1089):
        bytearray(1000)  # 1001 bytes, 56 of the object, and 32 of i
    return n
def objects(n):
    kept = [None] * (n // 56)
    for i in range(257, len(kept)):
        kept[i] = object()  # 16 bytes, and 32 of i
    return 56 * len(kept)
def tuples(n):
    numbers = list(range(100))
    for i in range(n // 900):
        tuple(numbers)  # 24 + 16 + 100 * 8, and 32 of i
    return n // 900 * (24 + 16 + 800 + 32)
print("ready", flush=True)
for line in sys.stdin:
    name, n = line.split()
    print(globals()[name](int(n)), flush=True)
`

// TestAllocations compares the bytes of samples with those that a program knows it allocated.
func TestAllocations(t *testing.T) {
	live(t)
	s := NewSampler(Options{})
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		t.Run(python, func(t *testing.T) {
			pid, in, out := startPython(t, python, allocator)
			s.SetPIDs([]int{pid})
			compareAllocations(t, s, in, out)
		})
	}
}

func compareAllocations(t *testing.T, s *Sampler, in io.Writer, out *bufio.Reader) {
	ctx, stop := context.WithCancel(context.Background())
	type result struct {
		*Allocations
		error
	}
	done, placed := make(chan result), make(chan struct{}, 1)
	go func() {
		// The price is unknown, so nothing is paused for.
		a, err := s.Allocations(ctx, AllocOptions{For: time.Minute, Share: 1000, Before: func(AllocForecast) { placed <- struct{}{} }})
		done <- result{a, err}
	}()
	for waiting := true; waiting; {
		order(t, in, out, "medium", 1<<20) // also lets the unwinder meet the process
		select {
		case <-placed:
			waiting = false
		case r := <-done:
			t.Fatal(r.error)
		default:
		}
	}
	for got := int64(0); got == 0; got = bytesIn(s, Malloc, "large") {
		order(t, in, out, "large", 8<<20)
	}
	for _, function := range []string{"large", "medium", "objects", "tuples"} {
		want, counted := orderInOneWindow(t, s, in, out, function)
		got, n, others := drawnIn(s, function)
		t.Logf("%s: %d bytes asked for, %d counted, %d stacks stand for %d, %d for others", function, want, counted, n, got, others)
		if math.Abs(float64(counted)-float64(want)) > .002*float64(want) {
			t.Errorf("%s: %d bytes counted, %d were asked for", function, counted, want)
		}
		// 4.4 standard deviations of a number of stacks; those of 1 MiB stand for no more than themselves.
		if off := math.Abs(float64(got - want)); n < 10 || off > 4.4*float64(want)/math.Sqrt(float64(n)) || function == "large" && off > .01*float64(want) {
			t.Errorf("%s: %d stacks stand for %d bytes, %d were asked for", function, n, got, want)
		}
		if others > 2<<20 { // a stack may be drawn of the few calls around the function
			t.Errorf("%s: stacks of other functions stand for %d bytes", function, others)
		}
	}
	stop()
	r := <-done
	if r.error != nil {
		t.Fatal(r.error)
	}
	t.Logf("%d calls, %d bytes, %.2f s of %.2f s watched in %d windows; the programs took %.3f s, the target %.3f s; %q",
		r.Calls, r.Bytes, r.Watched.Seconds(), r.Elapsed.Seconds(), len(r.Windows), r.Cost, r.Of, r.Notes)
	if lost := s.Lost(); lost[LostNotEntered]+lost[LostQueueFull] != 0 {
		t.Errorf("lost %v", lost)
	}
	if n := s.allocs.count(bpf.AllocAllocCountALLOC_TICKS); n == 0 {
		t.Error("no stack was taken")
	}
	before := s.allocs.count(bpf.AllocAllocCountALLOC_CALLS) // the probes are gone
	order(t, in, out, "medium", 1<<20)
	if after := s.allocs.count(bpf.AllocAllocCountALLOC_CALLS); after != before {
		t.Errorf("%d calls trapped after the end", after-before)
	}
}

// orderInOneWindow has the program allocate, and says of how much and how much was counted. Where nobody had a CPU to make
// a window longer in time there is a gap, in which nothing is to be counted: then it is done again.
func orderInOneWindow(t *testing.T, s *Sampler, in io.Writer, out *bufio.Reader, function string) (want int64, counted uint64) {
	t.Helper()
	for range 20 {
		begin, open := windowOf(t, s)
		before := s.allocs.count(bpf.AllocAllocCountALLOC_BYTES)
		want = order(t, in, out, function, 64<<20)
		counted = s.allocs.count(bpf.AllocAllocCountALLOC_BYTES) - before
		if after, still := windowOf(t, s); open && still && begin == after {
			return want, counted
		}
		drawnIn(s, function)
	}
	t.Fatalf("%s: in 20 times no window stayed open for it", function)
	return 0, 0
}

// windowOf is when the window of the watched process began, and whether it is open.
func windowOf(t *testing.T, s *Sampler) (begin uint64, open bool) {
	t.Helper()
	s.allocs.mu.Lock()
	defer s.allocs.mu.Unlock()
	for pid := range s.allocs.at {
		var w bpf.AllocWindow
		if err := s.allocs.objects.AllocWindows.Lookup(pid, &w); err != nil {
			t.Fatal(err)
		}
		begin, open = w.Begin, w.Begin != 0 && end(&w) > ktime.Monotonic()
	}
	return begin, open
}

// drawnIn are the bytes that stacks of a function stand for, and how many stacks these are.
func drawnIn(s *Sampler, function string) (bytes int64, n int, others int64) {
	for end := time.After(400 * time.Millisecond); ; {
		select {
		case x := <-s.Samples():
			switch {
			case x.Kind != Malloc:
			case calls(x.Frames, function):
				bytes, n = bytes+x.Value, n+1
			default:
				others += x.Value
			}
		case <-end:
			return bytes, n, others
		}
	}
}
