package stack

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// recorded is a labeler that remembers when it was asked, by the joiner's clock.
type recorded struct{ endpoints map[int64]string }

func (r recorded) EndpointOf(s *Sample) string { return r.endpoints[s.Time] }

func TestJoiner(t *testing.T) {
	const ms = int64(time.Millisecond)
	labeler := recorded{map[int64]string{100 * ms: "GET /a", 300 * ms: "GET /b", 400 * ms: "(event loop)"}}
	gc := []Frame{{Function: "visit_decref", File: "libpython3.11.so.1.0", Kind: Native}, {Function: "gc_collect_main", File: "libpython3.11.so.1.0", Kind: Native}}
	other := []Frame{{Function: "gc_collect_main", File: "app.so", Kind: Native}, {Function: "PyGC_Collect", File: "python3.11", Kind: Python}}
	tests := []struct {
		name  string
		steps func(j *Joiner)
		want  string
	}{
		{"held until the labeler can know", func(j *Joiner) { j.Add(Sample{Time: 100 * ms}); j.Advance(1099 * ms) }, ""},
		{"then labelled", func(j *Joiner) { j.Add(Sample{Time: 100 * ms}); j.Advance(1100 * ms) }, "100 GET /a"},
		{"outside requests", func(j *Joiner) { j.Add(Sample{Time: 200 * ms}); j.Advance(5000 * ms) }, "200 (outside requests)"},
		{"the collector, outside requests", func(j *Joiner) { j.Add(Sample{Time: 200 * ms, Frames: gc}); j.Advance(5000 * ms) }, "200 (gc)"},
		{"… in the event loop", func(j *Joiner) { j.Add(Sample{Time: 400 * ms, Frames: gc}); j.Advance(5000 * ms) }, "400 (gc)"},
		{"… that a request set off", func(j *Joiner) { j.Add(Sample{Time: 100 * ms, Frames: gc}); j.Advance(5000 * ms) }, "100 GET /a"},
		{"something of that name", func(j *Joiner) { j.Add(Sample{Time: 400 * ms, Frames: other}); j.Advance(5000 * ms) }, "400 (event loop)"},
		{"a later sample is a clock, too", func(j *Joiner) { j.Add(Sample{Time: 100 * ms}); j.Add(Sample{Time: 1300 * ms}) }, "100 GET /a"},
		{"CPUs out of order", func(j *Joiner) {
			j.Add(Sample{Time: 300 * ms})
			j.Add(Sample{Time: 100 * ms})
			j.Advance(1150 * ms) // the head is not due yet
			j.Advance(1300 * ms)
		}, "300 GET /b,100 GET /a"},
		{"the clock never goes back", func(j *Joiner) { j.Advance(5000 * ms); j.Advance(0); j.Add(Sample{Time: 100 * ms}) }, "100 GET /a"},
		{"the end", func(j *Joiner) { j.Add(Sample{Time: 100 * ms}); j.Add(Sample{Time: 300 * ms}); j.Flush() }, "100 GET /a,300 GET /b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			j := NewJoiner(labeler, DefaultHold, func(endpoint string, s Sample) {
				got = append(got, fmt.Sprint(s.Time/ms, " ", endpoint))
			})
			test.steps(j)
			if s := strings.Join(got, ","); s != test.want {
				t.Errorf("emitted %q, want %q", s, test.want)
			}
		})
	}
}

func TestJoinerIsBounded(t *testing.T) {
	emitted, last := 0, int64(-1)
	j := NewJoiner(recorded{}, time.Hour, func(_ string, s Sample) {
		if s.Time != last+1 {
			t.Fatalf("sample %d follows %d", s.Time, last)
		}
		emitted, last = emitted+1, s.Time
	})
	for i := range 3 * maxHeld {
		j.Add(Sample{Time: int64(i)})
	}
	if emitted != 2*maxHeld || j.Early() != uint64(emitted) {
		t.Errorf("%d of %d emitted, %d early; want %d", emitted, 3*maxHeld, j.Early(), 2*maxHeld)
	}
	j.Flush()
	if emitted != 3*maxHeld {
		t.Errorf("%d emitted in the end, want all", emitted)
	}
}
