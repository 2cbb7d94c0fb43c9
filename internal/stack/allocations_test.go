package stack

import (
	"testing"
	"time"
)

func TestPause(t *testing.T) {
	for _, c := range []struct {
		name     string
		cost, of float64
		elapsed  time.Duration
		want     time.Duration
	}{
		{"paid for", .05, 1, time.Second, 0},
		{"as much again", .2, 1, time.Second, time.Second},
		{"an idle target", .2, 0, time.Second, allocPause},
		{"a dear one", 10, 1, time.Second, allocPause},
		{"half a core", .1, .5, time.Second, time.Second},
	} {
		if got := pause(c.cost, c.of, c.elapsed, .1); (got - c.want).Abs() > time.Microsecond {
			t.Errorf("%s: a pause of %v, want %v", c.name, got, c.want)
		}
	}
}
