// Package chunked follows HTTP/1.1 chunked framing (RFC 9112 §7.1) through a body that is only
// partly seen.
//
// In: runs of visible bytes and counts of hidden ones, in order. Out: which of the visible bytes
// are content, and where the body ends. It keeps no bytes, only where it stands.
package chunked

import "bytes"

type state uint8

const (
	size     state = iota // in the hexadecimal digits of a chunk size
	ext                   // after the digits, until the line's end
	content               // left content bytes to go
	crlf                  // the line end behind the content
	trailer               // at the start of a trailer line, after the last chunk
	trailing              // inside a trailer line
	end                   // the body is over
	lost                  // the framing does not hold
)

// maxDigits bounds a chunk size: 2^48 bytes is no chunk.
const maxDigits = 12

// Follower stands somewhere in a chunked body; its zero value at the beginning.
type Follower struct {
	state  state
	digits uint8
	left   int64
}

// Done reports that the last chunk and its trailer have passed.
func (f *Follower) Done() bool { return f.state == end }

// Lost reports that hidden bytes held a chunk's end, or that the bytes are no chunked framing.
func (f *Follower) Lost() bool { return f.state == lost }

// Next consumes n bytes of b, n ≥ 1 unless b is empty or the body is done or lost, and returns
// the content among them, one run at a time.
func (f *Follower) Next(b []byte) (data []byte, n int) {
	for n < len(b) && f.state != end && f.state != lost {
		if f.state == content {
			k := int(min(f.left, int64(len(b)-n)))
			f.take(int64(k))
			return b[n : n+k], n + k
		}
		if f.state == ext || f.state == trailing {
			k := bytes.IndexByte(b[n:], '\n')
			if k < 0 {
				return nil, len(b)
			}
			n += k
		}
		f.step(b[n])
		n++
	}
	return nil, n
}

func (f *Follower) take(k int64) {
	if f.left -= k; f.left == 0 {
		f.state = crlf
	}
}

// step moves over one byte of the framing.
func (f *Follower) step(c byte) {
	switch f.state {
	case size:
		d := hex(c)
		switch {
		case d >= 0 && f.digits < maxDigits:
			f.left, f.digits = f.left<<4|int64(d), f.digits+1
		case f.digits > 0 && (c == ';' || c == ' ' || c == '\t' || c == '\r'):
			f.state = ext
		case f.digits > 0 && c == '\n':
			f.begin()
		default:
			f.state = lost
		}
	case ext:
		f.begin() // c is the line feed
	case crlf:
		switch c {
		case '\r':
		case '\n':
			*f = Follower{}
		default:
			f.state = lost
		}
	case trailer:
		switch c {
		case '\r':
		case '\n':
			f.state = end
		default:
			f.state = trailing
		}
	case trailing:
		f.state = trailer // c is the line feed
	}
}

func (f *Follower) begin() {
	if f.state = content; f.left == 0 {
		f.state = trailer
	}
}

// Hide tells that n bytes passed unseen. Inside a chunk's content that does no harm.
func (f *Follower) Hide(n int) {
	if n <= 0 || f.state == end {
		return
	}
	if f.state != content || int64(n) > f.left {
		f.state = lost
		return
	}
	f.take(int64(n))
}

// Plausible reports whether b begins with a chunk size line: up to eight digits, then the line's
// end or an extension.
func Plausible(b []byte) bool {
	i := 0
	for i < len(b) && i < 9 && hex(b[i]) >= 0 {
		i++
	}
	if i == 0 || i == 9 || i >= len(b) {
		return false
	}
	return b[i] == ';' || b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n'
}

func hex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
