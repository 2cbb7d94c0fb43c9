package watch

import (
	"strings"
	"testing"
)

func TestAway(t *testing.T) {
	const s = int64(1e9)
	var a away
	if n := a.notMeasured(0, 100*s); n != nil {
		t.Errorf("never away: %v", n)
	}
	a.back(5 * s) // the first look, nothing before it
	a.left(10 * s)
	a.left(12 * s) // still away
	a.back(15 * s)
	a.left(40 * s)
	tests := []struct {
		begin, end int64
		want       []string
	}{
		{0, 10, nil},
		{0, 12, []string{"from second 10 on"}},
		{0, 30, []string{"between seconds 10 and 15"}},
		{12, 30, []string{"between seconds 0 and 3"}},
		{15, 30, nil},
		{0, 50, []string{"between seconds 10 and 15", "from second 40 on"}},
	}
	for _, tt := range tests {
		got := a.notMeasured(tt.begin*s, tt.end*s)
		if len(got) != len(tt.want) {
			t.Errorf("%d..%d s: %v, want %q", tt.begin, tt.end, got, tt.want)
			continue
		}
		for i, n := range got {
			if !strings.Contains(n.What, tt.want[i]) || n.Why == "" {
				t.Errorf("%d..%d s: %v, want %q", tt.begin, tt.end, n, tt.want[i])
			}
		}
	}
	for i := range int64(1000) {
		a.back((50 + 2*i) * s)
		a.left((51 + 2*i) * s)
	}
	if len(a.spans) != maxAway {
		t.Errorf("%d stretches are remembered", len(a.spans))
	}
}
