package protocol

import (
	"strings"
	"testing"
)

func TestDecimal(t *testing.T) {
	for _, c := range []struct {
		v    string
		most int
		n    int64
		ok   bool
	}{
		{"200", 3, 200, true},
		{"007", 3, 7, true},
		{"1000", 3, 0, false},
		{"", 3, 0, false},
		{"-1", 3, 0, false},
		{"1 ", 3, 0, false},
		{"12a", 3, 0, false},
		{strings.Repeat("9", 18), 18, 999999999999999999, true},
		{strings.Repeat("9", 19), 40, 0, false}, // would not fit
	} {
		if n, ok := Decimal(c.v, c.most); n != c.n || ok != c.ok {
			t.Errorf("%q: %d %v, want %d %v", c.v, n, ok, c.n, c.ok)
		}
		if n, ok := Decimal([]byte(c.v), c.most); n != c.n || ok != c.ok {
			t.Errorf("bytes %q: %d %v, want %d %v", c.v, n, ok, c.n, c.ok)
		}
	}
}
