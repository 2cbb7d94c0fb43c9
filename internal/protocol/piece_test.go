package protocol

import "testing"

func TestCutKeepsEveryByteCounted(t *testing.T) {
	b := []byte("0123456789")
	for head := 0; head <= 12; head++ {
		for tail := 0; tail <= 12; tail++ {
			p := Cut(b, head, tail)
			if len(p.Head)+p.Gap()+len(p.Tail) != len(b) || p.N != len(b) {
				t.Errorf("Cut(%d, %d) = %d + %d + %d bytes, want 10 in all", head, tail, len(p.Head), p.Gap(), len(p.Tail))
			}
		}
	}
}

func TestEndsWith(t *testing.T) {
	for _, c := range []struct {
		p    Piece
		want bool
	}{
		{Whole([]byte("abcd")), true},
		{Whole([]byte("d")), false},
		{Piece{N: 4, Head: []byte("abc"), Tail: []byte("d")}, true},
		{Piece{N: 5, Head: []byte("abc"), Tail: []byte("d")}, false}, // the byte between is unknown
		{Piece{N: 9, Head: []byte("abc"), Tail: []byte("xcd")}, true},
		{Piece{N: 9, Head: []byte("abcd")}, false},
		{Piece{N: 3, Head: []byte("abcd"), Tail: []byte("zz")}, false}, // contradicting fields
	} {
		if got := c.p.EndsWith("cd"); got != c.want {
			t.Errorf("%+v ends with cd: %t, want %t", c.p, got, c.want)
		}
	}
}

func TestFrom(t *testing.T) {
	p := Piece{N: 10, Head: []byte("abcd"), Tail: []byte("z")}.From(3)
	if p.N != 7 || string(p.Head) != "d" || p.Gap() != 5 {
		t.Errorf("%+v", p)
	}
}
