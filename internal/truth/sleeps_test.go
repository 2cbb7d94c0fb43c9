package truth

import (
	"errors"
	"math"
	"testing"

	"github.com/ragscope/ragscope/internal/stack"
)

// TestSleepsShort holds an off-CPU profile by endpoint to what the kernel counts for the threads that slept, which holds
// on a machine however busy. The bench does more of it.
func TestSleepsShort(t *testing.T) {
	f, err := RunSleeps(t.Context(), t.TempDir(), SleepSettings{Loop: "uvloop", Workers: 1, Scale: 0.6})
	if errors.Is(err, ErrMissing) {
		t.Skipf("SKIPPED, THE AGENT IS NOT HELD TO THE TRUTH: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d requests; sleeps %+v; losses %v; others %v", f.Sent, f.Sleeps, f.Lost, f.Others)
	if f.Failed > 0 || len(f.Rows) != 6 {
		t.Errorf("%d of %d requests failed, %d functions slept", f.Failed, f.Sent, len(f.Rows))
	}
	main := map[string]stack.SleepKind{"/loop": stack.SleepTimer, "/short": stack.SleepTimer, "/pool": stack.SleepTimer, "/locks": stack.SleepLock, "/gil": stack.SleepGIL}
	for _, r := range f.Rows {
		t.Logf("%-7s %-17s %3d requests, %.3f s of %.3f to %.3f s, elsewhere %.3f s, %v", r.Path, r.Function, r.Requests, r.Seen, r.Least, r.Most, r.Elsewhere, r.Kinds)
		if slack := 4 * deviation(&r, f.Sleeps.PeriodSeconds); r.off() > .05 && max(r.Least-r.Seen, r.Seen-r.Most) > slack {
			t.Errorf("%s: %.3f s were seen, %.3f to %.3f s are true, by chance %.3f s more or less", r.Path, r.Seen, r.Least, r.Most, slack)
		}
		if r.Elsewhere > .05*r.Seen+.06 {
			t.Errorf("%s: %.3f s are said to be of something else", r.Path, r.Elsewhere)
		}
		if kind, is := main[r.Path]; is && r.Kinds[kind.String()] < .4*r.Seen {
			t.Errorf("%s: most is expected to be %v: %v", r.Path, kind, r.Kinds)
		}
	}
	for _, x := range f.Others {
		if (x.Endpoint == "GET /rest" || x.Endpoint == "GET /health") && x.Seconds > .1 {
			t.Errorf("no thread sleeps for it, seen was %+v", x)
		}
	}
}

// deviation is by how many seconds what is seen of a row deviates by chance. Of sleeps shorter than the period each is
// seen or not; of a longer one only what is left after its whole periods is, which is at most half a period's deviation.
func deviation(r *SleepRow, period float64) float64 {
	switch r.Path {
	case "/loop", "/pool": // one sleep a request
		return period / 2 * math.Sqrt(float64(r.Requests))
	default:
		return math.Sqrt(period * r.Most)
	}
}
