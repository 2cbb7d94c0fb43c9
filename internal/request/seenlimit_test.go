package request

import "testing"

// A channel joined midway tells no limit: it is believed in only when nearly every call that
// starts while as many streams are open as ever waits until one of them has ended.
func TestSeenLimit(t *testing.T) {
	const ms = 1_000_000
	tests := map[string]struct {
		waits []int64 // of calls that start while `most` streams are open, ns; negative: nothing ended meanwhile
		want  int     // of them, claimed as waits for a stream
	}{
		"a limit":                              {[]int64{8 * ms, 9 * ms, 7 * ms, 20 * ms, 11 * ms, 6 * ms, 9 * ms}, 2},
		"a limit, and waits too short to tell": {[]int64{8 * ms, ms / 2, 9 * ms, ms / 2, 7 * ms, ms / 2, 20 * ms, 11 * ms, ms / 2, 6 * ms, 9 * ms}, 2},
		"no limit, now and then a late hop":    {[]int64{0, 2 * ms, 0, 0, 0, 3 * ms, 0, 0, 2 * ms, 0, 0, 2 * ms, 0, 0, 2 * ms, 0, 4 * ms, 0}, 0},
		"late, but nothing had ended":          {[]int64{-8 * ms, -8 * ms, -8 * ms, -8 * ms, -8 * ms, -8 * ms, -8 * ms, -8 * ms}, 0},
		"too few to tell":                      {[]int64{8 * ms, 8 * ms, 8 * ms, 8 * ms, 8 * ms}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var l seenLimit
			l.grow(2)
			claimed := 0
			for _, w := range tt.waits {
				if l.judge(2, max(w, -w), w > 0) {
					claimed++
				}
			}
			if claimed != tt.want {
				t.Errorf("%d claimed, want %d", claimed, tt.want)
			}
		})
	}
}

// More streams than ever say that what was taken for the limit is none.
func TestSeenLimitGrows(t *testing.T) {
	var l seenLimit
	l.grow(1)
	for range 20 {
		l.judge(1, 5_000_000, true)
	}
	if !l.judge(1, 5_000_000, true) {
		t.Fatal("20 waits in a row are no limit")
	}
	l.grow(2)
	if l.judge(2, 5_000_000, true) || l.judge(1, 5_000_000, true) {
		t.Error("the old limit outlives a second stream")
	}
}
