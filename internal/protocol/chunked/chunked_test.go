package chunked

import (
	"testing"
)

func follow(f *Follower, b []byte) (data []byte, rest int) {
	for len(b) > 0 && !f.Done() && !f.Lost() {
		d, n := f.Next(b)
		data, b = append(data, d...), b[n:]
	}
	return data, len(b)
}

func TestContent(t *testing.T) {
	for name, c := range map[string]struct {
		in, want   string
		done, lost bool
		rest       int
	}{
		"one chunk":   {in: "5\r\nhello\r\n0\r\n\r\n", want: "hello", done: true},
		"two chunks":  {in: "5\r\nhello\r\nA;ext=1\r\n0123456789\r\n0\r\n\r\nnext", want: "hello0123456789", done: true, rest: 4},
		"trailer":     {in: "1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", want: "x", done: true},
		"open":        {in: "ff\r\nhello", want: "hello"},
		"no size":     {in: "hello", lost: true, rest: 4},
		"long size":   {in: "1234567890123\r\n", lost: true, rest: 2},
		"short chunk": {in: "2\r\nhello\r\n", want: "he", lost: true, rest: 4},
	} {
		for cut := 0; cut <= len(c.in); cut++ { // any split of the bytes says the same
			var f Follower
			a, rest := follow(&f, []byte(c.in[:cut]))
			b, rest2 := follow(&f, []byte(c.in[cut:]))
			if got := string(a) + string(b); got != c.want || f.Done() != c.done || f.Lost() != c.lost {
				t.Errorf("%s cut at %d: %q done %t lost %t, want %q %t %t", name, cut, got, f.Done(), f.Lost(), c.want, c.done, c.lost)
			}
			if cut == 0 && rest+rest2 != c.rest {
				t.Errorf("%s: %d bytes left, want %d", name, rest+rest2, c.rest)
			}
		}
	}
}

func TestHide(t *testing.T) {
	var f Follower
	follow(&f, []byte("400\r\nabc"))
	f.Hide(0x400 - 3 - 1)
	if data, _ := follow(&f, []byte("z\r\n0\r\n\r\n")); string(data) != "z" || !f.Done() {
		t.Errorf("after a gap inside a chunk: %q, done %t", data, f.Done())
	}
	f = Follower{}
	follow(&f, []byte("4\r\nab"))
	if f.Hide(3); !f.Lost() {
		t.Error("a gap over a chunk's end must lose the framing")
	}
}

func TestPlausible(t *testing.T) {
	for in, want := range map[string]bool{"1f\r\ndata": true, "0\r\n": true, "5;a=b\r\n": true, "data: x": false, "": false, "123456789\r\n": false, "ab": false, "abc\rx": false} {
		if got := Plausible([]byte(in)); got != want {
			t.Errorf("Plausible(%q) = %t, want %t", in, got, want)
		}
	}
}

func FuzzNext(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), 3)
	f.Fuzz(func(t *testing.T, b []byte, hidden int) {
		var fo Follower
		data, rest := follow(&fo, b)
		if rest > 0 && !fo.Done() && !fo.Lost() {
			t.Fatalf("%d bytes left in an open body", rest)
		}
		if len(data) > len(b) {
			t.Fatal("more content than bytes")
		}
		fo.Hide(hidden)
		follow(&fo, b)
	})
}
