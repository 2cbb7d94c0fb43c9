package truth

import (
	"errors"
	"math"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel"
)

// TestStagesShort holds the stages to what the application's own clocks say, with bounds that a
// starved machine keeps.
func TestStagesShort(t *testing.T) {
	f, err := RunStages(t.Context(), t.TempDir(), Settings{}, 24, kernel.Full)
	if errors.Is(err, ErrMissing) {
		t.Skipf("SKIPPED, THE STAGES ARE NOT HELD TO THE TRUTH: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range f.By {
		t.Logf("%-28s %-10s %4d requests, %.4f s of %.4f s, error p50 %.2f p90 %.2f p99 %.2f max %.2f ms", e.Kind, e.Stage, e.Requests, e.Seen, e.Known,
			e.Error.Median*1e3, e.Error.P90*1e3, e.Error.P99*1e3, e.Error.Max*1e3)
		// What runs around the measured code is the request's as well: on_cpu may be more.
		if e.Error.Median > 0.003 {
			t.Errorf("%s, %s: the median error is %.2f ms", e.Kind, e.Stage, e.Error.Median*1e3)
		}
	}
	if f.Unseen > 0 || f.SumsOff > 0 {
		t.Errorf("of %d requests %d were not seen, the stages of %d do not sum to their total", f.Sent, f.Unseen, f.SumsOff)
	}
	for _, c := range []struct {
		kind, stage string
		least       float64 // of the truth, that the run may prove something
	}{{"computes", "on_cpu", .15}, {"computes, others wait", "on_cpu", .2}, {"blocks", "blocked", .6}, {"slow client", "send", .1}, {"threads compute beside it", "gil_wait", .2}} {
		e := f.Of(c.kind, c.stage)
		if e.Known < c.least {
			t.Errorf("%s: %.3f s of %s: the run proves nothing", c.kind, e.Known, c.stage)
		}
		if off := math.Abs(e.Seen/e.Known - 1); off > .25 {
			t.Errorf("%s: %.3f s of %s were seen, %.3f s are true", c.kind, e.Seen, c.stage, e.Known)
		}
	}
	for _, b := range f.Blocked {
		t.Logf("%s: %d blocks of the event loop, %d seen with its function, %.0f %% of all on its endpoint", b.Kind, b.Known, b.Seen, 100*b.Named)
		if b.Known < 8 || float64(b.Seen) < .7*float64(b.Known) || b.Named < .7 {
			t.Errorf("%+v: the function that holds the event loop is to be named", b)
		}
	}
	if l := f.Recording.EventLoop; l == nil || l.Lag.Count == 0 || l.Lag.Max < .06 {
		t.Errorf("the lag of the event loop: %+v", l)
	}
}
