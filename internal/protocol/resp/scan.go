package resp

import "github.com/ragscope/ragscope/internal/protocol"

// scanner is what both directions share: typed lines and payloads of known length, across
// pieces and gaps.
type scanner struct {
	line   [48]byte // the beginning of a line that is not complete yet, or its kept part
	n      int      // bytes of it
	skip   int64    // payload bytes to go, its line end included
	lost   bool
	losses int
}

// Lost counts how often the stream had to wait for a recognisable beginning, joining in the
// middle of a message included.
func (s *scanner) Lost() int { return s.losses }

func (s *scanner) lose() {
	s.lost = true
	s.losses++
	s.n, s.skip = 0, 0
}

// Miss tells that transfers may be missing before the next one.
func (s *scanner) Miss() {
	if !s.lost {
		s.lose()
	}
}

// cut takes a line off the front of b, without its line end. Of a line longer than the buffer
// that spans pieces only the beginning is returned. ok is false where the line is not complete.
func (s *scanner) cut(b []byte) (line, rest []byte, ok bool) {
	i := 0
	for i < len(b) && b[i] != '\n' {
		i++
	}
	line = b[:i]
	if s.n > 0 || i == len(b) {
		s.n += copy(s.line[s.n:], line)
		if line = s.line[:s.n]; i == len(b) {
			return nil, nil, false
		}
		s.n = 0
	}
	if k := len(line); k > 0 && line[k-1] == '\r' {
		line = line[:k-1]
	}
	return line, b[i+1:], true
}

// number parses what follows the type byte of a length or integer line.
func number(b []byte) (n int64, ok bool) {
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	if n, ok = protocol.Decimal(b, 18); neg {
		n = -n
	}
	return n, ok
}

// maxBulk is Redis's own bound of a string, 512 MB, with room for larger settings of
// proto-max-bulk-len; a longer length is no length.
const maxBulk = 1 << 34

// lengthLine reports whether b begins with a complete line of one of the given types and a number.
func lengthLine(b []byte, types string) bool {
	if len(b) < 4 || !has(types, b[0]) {
		return false
	}
	for i := 1; i < min(len(b), 24); i++ {
		if b[i] == '\r' {
			_, ok := number(b[1:i])
			return ok && i+1 < len(b) && b[i+1] == '\n'
		}
	}
	return false
}

func has(set string, c byte) bool {
	for i := range len(set) {
		if set[i] == c {
			return true
		}
	}
	return false
}

// hide moves n unseen bytes. It reports false where they hold more than the rest of a payload.
func (s *scanner) hide(n int) bool {
	if s.lost || int64(n) > s.skip {
		return false
	}
	s.skip -= int64(n)
	return true
}

// pass moves over visible payload bytes and returns what follows.
func (s *scanner) pass(b []byte) []byte {
	k := min(s.skip, int64(len(b)))
	s.skip -= k
	return b[k:]
}
