package request

import "testing"

// A channel joined midway tells no limit: it is believed in only when nearly every call that waits while as many streams
// are open as ever waits until one of them has ended.
func TestSeenLimit(t *testing.T) {
	const ms = 1_000_000
	tests := map[string]struct {
		waits []int64 // of calls that start while `most` streams are open, ns; negative: nothing ended meanwhile
		want  int     // of them, claimed as waits for a stream
	}{
		"a limit":                           {[]int64{8 * ms, 9 * ms, 7 * ms, 20 * ms, 11 * ms, 6 * ms, 9 * ms}, 2},
		"a limit, and waits too short":      {[]int64{8 * ms, ms / 2, 9 * ms, ms / 2, 7 * ms, ms / 2, 20 * ms, 11 * ms, ms / 2, 6 * ms, 9 * ms}, 2},
		"no limit, now and then a late hop": {[]int64{0, 2 * ms, 0, 0, 0, 3 * ms, 0, 0, 2 * ms, 0, 0, 2 * ms, 0, 0, 2 * ms, 0, 4 * ms, 0}, 0},
		"late, but nothing had ended":       {[]int64{-8 * ms, -8 * ms, -8 * ms, -8 * ms, -8 * ms, -8 * ms, -8 * ms, -8 * ms}, 0},
		"too few to tell":                   {[]int64{8 * ms, 8 * ms, 8 * ms, 8 * ms, 8 * ms}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var l seenLimit
			claimed, at := 0, int64(1000*ms)
			for _, w := range tt.waits {
				l.use(2, at)
				if l.judge(at, max(w, -w), w > 0) {
					claimed++
				}
				at += 100 * ms
			}
			if claimed != tt.want {
				t.Errorf("%d claimed, want %d", claimed, tt.want)
			}
		})
	}
}

// Calls that are late while fewer streams are open than once were wait for something else: the GIL, or a processor.
func TestSeenLimitIsNotReached(t *testing.T) {
	const ms = 1_000_000
	var l seenLimit
	l.use(57, 10*ms)
	for i := range int64(50) {
		at := 1000*ms + i*100*ms
		l.use(40, at)
		if l.judge(at, 20*ms, true) {
			t.Fatalf("call %d waited for a stream, with 40 of 57 open", i)
		}
	}
}

// More streams than ever say that what was taken for the limit is none.
func TestSeenLimitGrows(t *testing.T) {
	var l seenLimit
	for range 20 {
		l.use(1, 5)
		l.judge(5, 5_000_000, true)
	}
	if !l.judge(5, 5_000_000, true) {
		t.Fatal("20 waits in a row are no limit")
	}
	l.use(2, 6)
	if l.judge(6, 5_000_000, true) {
		t.Error("the old limit outlives a second stream")
	}
}
