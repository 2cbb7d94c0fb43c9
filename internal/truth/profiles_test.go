package truth

import (
	"errors"
	"math"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/stack"
)

// aside is what a share may be off beside the chance of sampling: the framework's own code runs in each request,
// however little it takes.
const aside = 0.015

// TestProfilesShort holds the shares of a CPU profile to the CPU clocks of the threads that did the work: in a task, in
// tasks at once and in three kinds of threads, with and without traps for the contexts. The bench does more of it.
func TestProfilesShort(t *testing.T) {
	var cells []ProfileCell
	for i, mode := range profileModes {
		cells = append(cells,
			ProfileCell{Precision: kernel.Full, Mode: mode, Kind: profileKinds[i%len(profileKinds)]},
			ProfileCell{Precision: kernel.Linked, Mode: mode, Kind: profileKinds[(i+1)%len(profileKinds)]})
	}
	f, err := RunProfiles(t.Context(), t.TempDir(), ProfileSettings{Loop: "uvloop", Workers: 1, Hz: 997, Seconds: 0.6}, cells)
	if errors.Is(err, ErrMissing) {
		t.Skipf("SKIPPED, THE AGENT IS NOT HELD TO THE TRUTH: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	outside, words := f.outside()
	t.Logf("%d requests, %d failed; outside of requests: %s; losses %v", f.Sent, f.Failed, words, f.Lost)
	if f.Failed > 0 {
		t.Errorf("%d of %d requests failed", f.Failed, f.Sent)
	}
	for _, l := range f.Lost {
		switch l.Reason {
		case stack.LostRingFull, stack.LostNotUnwound, stack.LostQueueFull, stack.LostNotEntered: // the rooms follow the rate
			t.Errorf("lost: %s %d", l.Reason, l.Count)
		}
	}
	if outside > 0.15 {
		t.Errorf("%.0f %% of the samples are of no request, the application's own task takes 5", 100*outside)
	}
	for _, c := range append(f.Cells, f.all(kernel.Full), f.all(kernel.Linked)) {
		t.Logf("%s %s %s: known %.3f s, seen %.3f s, %d samples, off %.1f points", c.Precision, c.Mode, c.Kind, c.Known, c.Seen, c.Samples, 100*c.off())
		for i, known := range c.Known {
			p, seen := known/sum(c.Known), ratio(c.Seen[i], sum(c.Seen))
			if c.Samples == 0 || math.Abs(p-seen) > aside+likely(p, c.Samples) {
				t.Errorf("%s: it takes %.1f %% of the CPU, in %d samples it has %.1f %%", c.path(i), 100*p, c.Samples, 100*seen)
			}
		}
		if share := ratio(sum(c.Seen), sum(c.Known)); share < 0.75 || share > 1.3 {
			t.Errorf("%s %s %s: %.2f times its CPU was seen", c.Precision, c.Mode, c.Kind, share)
		}
	}
}
