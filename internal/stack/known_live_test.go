package stack

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestKnownFrames compares stacks of one program by the unwinder's own way with those of remembered frames. From its
// innermost Python function outwards all of them are the same.
func TestKnownFrames(t *testing.T) {
	live(t)
	pid := startTarget(t)
	s := NewSampler(Options{Hz: 499, KeepPlumbing: true})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	k := &s.entry.known
	if k.why != nil {
		t.Skipf("SKIPPED, nothing was proved: %v", k.why)
	}
	s.SetPIDs([]int{pid})
	outer := func() map[string]int {
		time.Sleep(300 * time.Millisecond) // what was taken before is read
		for range len(s.samples) {
			<-s.samples
		}
		stacks, end := map[string]int{}, time.After(20*time.Second)
		for n := 0; n < 200; {
			select {
			case x := <-s.Samples():
				if at := slices.IndexFunc(x.Frames, func(f Frame) bool { return f.Function == "leaf" }); at >= 0 {
					var b strings.Builder
					for _, f := range x.Frames[at:] {
						b.WriteString(f.Function + "\n")
					}
					stacks[b.String()]++
					n++
				}
			case <-end:
				t.Fatalf("too few samples: %v", stacks)
			}
		}
		return stacks
	}
	outer() // the process and its frames are learned
	remembered := outer()
	if err := k.use(false); err != nil {
		t.Fatal(err)
	}
	want := slices.Collect(maps.Keys(outer()))
	if len(want) != 1 || strings.Count(want[0], "\n") < 6 || !strings.Contains(want[0], "middle\n") {
		t.Fatalf("the unwinder's own stacks: %q", want)
	}
	if got := slices.Collect(maps.Keys(remembered)); !slices.Equal(got, want) {
		t.Errorf("remembered:\n%q\nthe unwinder's own:\n%q", got, want)
	}
	if n := s.knownOf(t, pid); n < 5 {
		t.Errorf("%d frames of the process are remembered", n)
	}
}

// knownOf counts what is remembered of a process on all CPUs.
func (s *Sampler) knownOf(t *testing.T, pid int) (n int) {
	t.Helper()
	const entry, pidAt = 32, 16
	var part uint32
	var perCPU [][]byte
	for it := s.entry.known.frames.Iterate(); it.Next(&part, &perCPU); {
		for _, frames := range perCPU {
			for at := 0; at+entry <= len(frames); at += entry {
				if f := frames[at : at+entry]; uint32(f[pidAt])|uint32(f[pidAt+1])<<8|uint32(f[pidAt+2])<<16 == uint32(pid) {
					n++
				}
			}
		}
	}
	return n
}
