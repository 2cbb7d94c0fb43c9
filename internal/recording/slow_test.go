package recording

import (
	"math/rand/v2"
	"testing"
)

// Whatever the order in which requests end, the slowest are kept, the slowest first.
func TestAddSlow(t *testing.T) {
	for range 20 {
		var list []Slow
		for _, ms := range rand.Perm(50) {
			list = AddSlow(list, Slow{Response: float64(ms)})
		}
		if len(list) != maxSlowest {
			t.Fatalf("%d are kept", len(list))
		}
		for i, s := range list {
			if s.Response != float64(49-i) {
				t.Fatalf("%v", list)
			}
		}
	}
	if list := AddSlow(AddSlow(nil, Slow{Response: 1}), Slow{Response: 2}); len(list) != 2 || list[0].Response != 2 {
		t.Error(list)
	}
}
