package watch

import (
	"strings"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/stack"
)

// A profile covers the time from when stacks were taken, and a recording says what passed before that.
func TestStacksBeginLate(t *testing.T) {
	begin := now()
	cpu := stack.NewTally(stack.CPU, time.Second, begin.wall)
	malloc := stack.NewTally(stack.Malloc, 0, begin.wall)
	w := &Watcher{stackWhy: "loading", tallies: map[stack.Kind]*stack.Tally{stack.CPU: cpu, stack.Malloc: malloc}}
	w.sampler.Store(stack.NewSampler(stack.Options{}))
	at := func(s float64) int64 { return begin.mono + int64(s*1e9) }
	if got := w.withoutStacks(at(0), at(10)); got != nil {
		t.Errorf("while they are loaded, which is said elsewhere: %v", got)
	}
	w.stacksBegan(nil)
	if p := cpu.Total(time.Now()); p.Start.Equal(begin.wall) || !p.Start.Equal(w.stacksFrom.wall) {
		t.Errorf("the profile begins at %v, stacks at %v", p.Start, w.stacksFrom.wall)
	}
	if p := malloc.Total(time.Now()); !p.Start.Equal(begin.wall) {
		t.Errorf("that of allocations begins at %v", p.Start)
	}
	w.stacksFrom.mono = at(2.5)
	for name, tt := range map[string]struct {
		from, to float64
		want     string
	}{
		"from the start":     {0, 10, "2.5 s of 10.0 s"},
		"over before":        {0, 1, "1.0 s of 1.0 s"},
		"begun afterwards":   {3, 10, ""},
		"begun in the midst": {2, 6, "0.5 s of 4.0 s"},
	} {
		var got string
		for _, n := range w.withoutStacks(at(tt.from), at(tt.to)) {
			got = strings.TrimPrefix(n.What, recording.StacksBefore)
		}
		if got != tt.want {
			t.Errorf("%s: without stacks %q, want %q", name, got, tt.want)
		}
	}
}
