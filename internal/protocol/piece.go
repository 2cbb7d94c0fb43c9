package protocol

// Piece is one transfer on a socket: N bytes were moved, Head are the first of them, Tail the
// last of them where Head does not reach the end. Head and Tail never overlap; what lies between
// them was moved but not captured.
type Piece struct {
	N          int
	Head, Tail []byte
}

// Whole makes the piece of a transfer that was captured completely.
func Whole(b []byte) Piece { return Piece{N: len(b), Head: b} }

// Cut makes the piece that a capture of at most head and tail bytes leaves of b.
func Cut(b []byte, head, tail int) Piece {
	if len(b) <= head {
		return Whole(b)
	}
	return Piece{N: len(b), Head: b[:head], Tail: b[max(head, len(b)-tail):]}
}

// Gap is the number of bytes between Head and Tail that were moved and not captured, never
// negative, also where the fields contradict each other.
func (p Piece) Gap() int { return max(0, p.N-len(p.Head)-len(p.Tail)) }

// EndsWith reports whether the transfer's last bytes are known to be s.
func (p Piece) EndsWith(s string) bool {
	b := p.Tail
	if len(b) == 0 && p.Gap() == 0 {
		b = p.Head
	}
	if len(b) >= len(s) {
		return string(b[len(b)-len(s):]) == s
	}
	if p.Gap() > 0 || len(b)+len(p.Head) < len(s) {
		return false
	}
	k := len(s) - len(b)
	return string(b) == s[k:] && string(p.Head[len(p.Head)-k:]) == s[:k]
}

// From is the piece without its first n bytes of Head: a body behind a message's head.
func (p Piece) From(n int) Piece {
	n = max(0, min(n, len(p.Head)))
	return Piece{N: max(0, p.N-n), Head: p.Head[n:], Tail: p.Tail}
}
