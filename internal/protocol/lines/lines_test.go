package lines

import (
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/protocol"
)

func collect(r *Reader, p protocol.Piece) (out []string) {
	r.Feed(p, func(l Line) {
		s := string(l.Text)
		if !l.FromStart {
			s = "…" + s
		}
		if !l.ToEnd {
			s += "…"
		}
		out = append(out, s)
	})
	return out
}

func TestAnySplitGivesTheSameLines(t *testing.T) {
	for in, want := range map[string]string{
		"a\nbc\r\n\nd": "a|bc|",
		"7\r\n{\"a\":1}\r\n6\r\n\nb\nc\nd\r\n0\r\n\r\n": "{\"a\":1}|b|c",
	} {
		for cut := 4; cut <= len(in); cut++ {
			var r Reader
			got := append(collect(&r, protocol.Whole([]byte(in[:cut]))), collect(&r, protocol.Whole([]byte(in[cut:])))...)
			if g := strings.Join(got, "|"); g != want {
				t.Errorf("%q cut at %d: %s, want %s", in, cut, g, want)
			}
		}
	}
}

func TestGaps(t *testing.T) {
	for name, c := range map[string]struct {
		pieces []protocol.Piece
		want   string
	}{
		"plain":          {[]protocol.Piece{{N: 100, Head: []byte("ab\ncd"), Tail: []byte("ef\ngh\n")}}, "ab|cd…|…ef|gh"},
		"inside a chunk": {[]protocol.Piece{{N: 4 + 100 + len("\r\n2\r\nx\n\r\n"), Head: []byte("64\r\nab"), Tail: []byte("ef\ngh\n\r\n2\r\nx\n\r\n")}}, "ab…|…ef|gh|x"},
		"over chunks":    {[]protocol.Piece{{N: 500, Head: []byte("64\r\nab"), Tail: []byte("ef\r\n3\r\ngh\n\r\n")}, protocol.Whole([]byte("2\r\nx\n\r\n"))}, "ab…|…ef|3|gh||x"},
	} {
		var r Reader
		var got []string
		for _, p := range c.pieces {
			got = append(got, collect(&r, p)...)
		}
		if g := strings.Join(got, "|"); g != c.want || r.Lost() != 1 {
			t.Errorf("%s: %s, lost %d, want %s", name, g, r.Lost(), c.want)
		}
	}
}

func TestLongLinesAreToldInParts(t *testing.T) {
	var r Reader
	parts := 0
	for range 10 {
		r.Feed(protocol.Whole([]byte(strings.Repeat("x", 1000))), func(l Line) {
			if parts++; l.FromStart != (parts == 1) || l.ToEnd {
				t.Errorf("part %d: from start %t, to end %t", parts, l.FromStart, l.ToEnd)
			}
		})
	}
	if parts < 4 || len(r.held) > maxHeld || cap(r.held) > 2*maxHeld {
		t.Errorf("%d parts, %d bytes held in %d", parts, len(r.held), cap(r.held))
	}
}

func FuzzFeed(f *testing.F) {
	f.Add([]byte("5\r\na\nb\nc\r\n"), 3, 4, 5)
	f.Fuzz(func(t *testing.T, b []byte, cut, head, tail int) {
		cut, head, tail = min(max(cut, 0), len(b)), max(head, 0), max(tail, 0)
		var r Reader
		told := 0
		for _, x := range [][]byte{b[:cut], b[cut:], b} {
			r.Feed(protocol.Cut(x, head, tail), func(l Line) { told += len(l.Text) })
		}
		if told > 4*len(b) {
			t.Fatalf("%d bytes told of %d", told, 2*len(b))
		}
	})
}
