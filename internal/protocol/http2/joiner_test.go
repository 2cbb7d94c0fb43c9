package http2

import (
	"fmt"
	"strings"
	"testing"
)

func TestJoiner(t *testing.T) {
	headers := func(flags byte, length int, payload string) Piece {
		return Piece{Frame: Frame{Type: Headers, Flags: flags, Length: length, Stream: 7, Payload: []byte(payload)}}
	}
	continuation := func(flags byte, payload string) Piece {
		return Piece{Frame: Frame{Type: Continuation, Flags: flags, Length: len(payload), Stream: 7, Payload: []byte(payload)}}
	}
	open := func(p Piece) Piece { p.Open = true; return p }
	more := func(p Piece) Piece { p.More = true; return p }
	cut := func(p Piece) Piece { p.Cut = true; return p }
	for _, c := range []struct {
		name   string
		pieces []Piece
		want   []string // block, end of stream, truncated
	}{
		{"one piece", []Piece{headers(EndHeaders|EndStream, 4, "abcd")}, []string{"abcd true false"}},
		{"over three transfers", []Piece{open(headers(EndHeaders, 4, "")), open(more(headers(EndHeaders, 4, "ab"))), more(headers(EndHeaders, 4, "cd"))}, []string{"abcd false false"}},
		{"with continuations", []Piece{headers(EndStream, 2, "ab"), continuation(0, "c"), continuation(EndHeaders, "d")}, []string{"abcd true false"}},
		{"a continuation over two transfers", []Piece{headers(0, 2, "ab"), open(Piece{Frame: Frame{Type: Continuation, Flags: EndHeaders, Length: 2, Stream: 7, Payload: []byte("c")}}), more(Piece{Frame: Frame{Type: Continuation, Flags: EndHeaders, Length: 2, Stream: 7, Payload: []byte("d")}})}, []string{"abcd false false"}},
		{"cut, told at once, the rest passed over", []Piece{open(cut(headers(EndHeaders, 9, "abcd"))), more(headers(EndHeaders, 9, "")), headers(EndHeaders, 2, "ef")}, []string{"abcd false true", "ef false false"}},
		{"padding", []Piece{headers(EndHeaders|Padded, 5, "\x02abzz")}, []string{"ab false false"}},
		{"padding before a continuation", []Piece{headers(Padded, 4, "\x01abz"), continuation(EndHeaders, "cd")}, []string{"abzc false true"}},
		{"joined in the middle", []Piece{more(headers(EndHeaders, 4, "cd")), continuation(EndHeaders, "d"), headers(EndHeaders, 1, "e")}, []string{"e false false"}},
		{"without an end", []Piece{headers(0, 0, ""), continuation(0, strings.Repeat("x", maxBlock+1))}, []string{strings.Repeat("x", maxBlock) + " false true"}},
	} {
		var j Joiner
		var got []string
		for _, p := range c.pieces {
			if h, done := j.Add(p); done {
				got = append(got, fmt.Sprintf("%s %t %t", h.Block, h.EndStream, h.Truncated))
			}
		}
		if strings.Join(got, "; ") != strings.Join(c.want, "; ") {
			t.Errorf("%s: %.200q, want %.200q", c.name, got, c.want)
		}
	}
}
