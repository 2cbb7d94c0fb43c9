package stack

import (
	"maps"
	"testing"
	"time"
)

// Sums that are known hold, whatever stacks were drawn: these say how they are divided.
func TestTallyKnow(t *testing.T) {
	stackOf := func(f string, n int64) Sample { return Sample{Value: n, Frames: []Frame{{Function: f}}} }
	y := NewTally(Malloc, 0, time.Now())
	y.Add("a", stackOf("f", 300))
	y.Add("a", stackOf("g", 100))
	y.Add("a", stackOf("h", 100))
	y.Add("none of it", stackOf("f", 7))
	if got := y.Total(time.Now()).ByEndpoint(); got["a"] != 500 || got["none of it"] != 7 {
		t.Errorf("without sums: %v", got)
	}
	y.Know("a", 600)
	y.Know("a", 401)
	y.Know("b", 50)
	for _, p := range []*Profile{y.Total(time.Now()), y.Total(time.Now()), y.Take(time.Now())} {
		got := map[string]int64{}
		for s := range p.All() {
			got[s.Endpoint+" "+s.Frames[0].Function] = s.Value
		}
		if want := map[string]int64{"a f": 600, "a g": 200, "a h": 201, "b " + NoStack: 50}; !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
}
