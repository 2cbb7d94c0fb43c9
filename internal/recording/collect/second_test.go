package collect

import (
	"testing"

	"github.com/ragscope/ragscope/internal/request"
)

// TestSeal: seconds that are over keep their figures, and no longer their distributions, however slices cut them.
func TestSeal(t *testing.T) {
	const seconds = 60
	whole, long := New(int64(0.3*sec), nil), New(int64(0.3*sec), nil)
	slice := New(int64(0.3*sec), nil)
	for i := range 10 * seconds {
		at := 0.4 + 0.1*float64(i)
		if i%77 == 0 {
			long.Absorb(slice)
			slice = New(int64((at-0.05)*sec), nil)
		}
		r := answered("GET /a", at)
		r.Start -= int64(i%13) * sec / 1000
		r.Spans = append(r.Spans, request.Span{Stage: request.LoopWait, Start: r.Last, End: r.Last + int64(i)})
		whole.Request(r)
		slice.Request(r)
	}
	long.Absorb(slice)
	if where := differs(plain(t, long), plain(t, whole)); where != "" {
		t.Errorf("absorbed and told one by one differ in %s", where)
	}
	if n := len(long.ticks); long.sealed != n-open || n < seconds {
		t.Errorf("%d of %d seconds are sealed", long.sealed, n)
	}
	if d := long.ticks[0].latency; d.Count == 0 || len(d.Bars()) != 0 {
		t.Errorf("a sealed second keeps %d observations in %d buckets", d.Count, len(d.Bars()))
	}
	late := answered("GET /a", 1.05) // told a minute too late
	long.Request(late)
	if k := fill(long, seconds).Timeline[1]; k.Requests != 11 || k.P50 == 0 {
		t.Errorf("%+v", k)
	}
	for i, k := range fill(long, seconds).Timeline {
		if r := long.Rate()[i]; r.T != k.T || r.Requests != k.Requests {
			t.Errorf("second %d: %+v, in the timeline %+v", i, r, k)
		}
	}
}
