package h1

import (
	"bytes"
	"math"
)

// Body takes the framing off one body. Made by Head.Body; not shared.
type Body struct {
	state state
	left  int64 // bytes of the body, or of the chunk, that are still to come
	size  int   // of trailers
}

type state uint8

const (
	complete state = iota
	counted        // content-length
	untilEnd       // until the connection closes
	chunkSize
	chunkData
	chunkEnd // the line end behind a chunk
	trailers
)

// Body says how the body of the answer to a method is framed (RFC 9112 §6.3).
func (h *Head) Body(method string) Body {
	switch {
	case method == "HEAD", h.Status < 200, h.Status == 204, h.Status == 304:
		return Body{}
	case h.chunked:
		return Body{state: chunkSize}
	case h.length > 0:
		return Body{state: counted, left: h.length}
	case h.length == 0:
		return Body{}
	}
	return Body{state: untilEnd, left: math.MaxInt64}
}

// Complete says whether the body is read.
func (b *Body) Complete() bool { return b.state == complete }

// UntilEnd says whether only the end of the connection ends the body.
func (b *Body) UntilEnd() bool { return b.state == untilEnd }

// maxChunkLine bounds the line with a chunk's size and extensions.
const maxChunkLine = 4096

// Next takes what it can from the start of p: data is content, without framing, and lies in
// p; n bytes are used up with it. Without data, and with the body not complete, more bytes are
// needed than p has.
func (b *Body) Next(p []byte) (data []byte, n int, err error) {
	for {
		switch b.state {
		case complete:
			return nil, n, nil
		case counted, untilEnd, chunkData:
			data = p[n:]
			if int64(len(data)) > b.left {
				data = data[:b.left]
			}
			if len(data) == 0 {
				return nil, n, nil
			}
			if b.state != untilEnd {
				b.left -= int64(len(data))
			}
			if b.left == 0 {
				b.state = b.after()
			}
			return data, n + len(data), nil
		}
		used, err := b.line(p[n:])
		n += used
		if err != nil || used == 0 {
			return nil, n, err
		}
	}
}

// after is the state behind content.
func (b *Body) after() state {
	if b.state == chunkData {
		return chunkEnd
	}
	return complete
}

// line takes one line of the framing, 0 bytes when it is not whole.
func (b *Body) line(p []byte) (int, error) {
	end := bytes.IndexByte(p, '\n')
	if b.state == chunkEnd {
		if len(p) > 0 && p[0] != '\r' || len(p) > 1 && p[1] != '\n' {
			return 0, badBody("a chunk is longer than its size")
		}
		if len(p) < 2 {
			return 0, nil
		}
		b.state = chunkSize
		return 2, nil
	}
	if end < 0 {
		if b.state == chunkSize && len(p) > maxChunkLine || len(p) > maxHead {
			return 0, badBody("a line of its chunks has no end")
		}
		return 0, nil
	}
	line := p[:end]
	whole := len(line) > 0 && line[len(line)-1] == '\r'
	if whole {
		line = line[:len(line)-1]
	}
	if b.state == chunkSize {
		if !whole || end > maxChunkLine { // a bare \n here is how requests are smuggled
			return 0, badBody("the chunk size %q", clip(line))
		}
		return end + 1, b.size16(line)
	}
	if len(line) == 0 {
		b.state = complete
		return end + 1, nil
	}
	if b.size += end + 1; b.size > maxHead {
		return 0, badBody("its trailers are longer than %d kB", maxHead>>10)
	}
	if _, _, err := cut(line); err != nil {
		return 0, badBody("the trailer %q", clip(line))
	}
	return end + 1, nil
}

// size16 reads a chunk's size: hexadecimal digits, extensions behind a semicolon.
func (b *Body) size16(line []byte) error {
	digits, _, _ := bytes.Cut(line, []byte{';'})
	digits = bytes.TrimRight(digits, " \t")
	var n int64
	for _, c := range digits {
		v := hex[c]
		if v < 0 || n > math.MaxInt64>>4 {
			return badBody("the chunk size %q", clip(line))
		}
		n = n<<4 | int64(v)
	}
	if len(digits) == 0 {
		return badBody("the chunk size %q", clip(line))
	}
	b.left, b.state = n, chunkData
	if n == 0 {
		b.state = trailers
	}
	return nil
}

// hex are the values of the digits, -1 of what is none.
var hex = func() (t [256]int8) {
	for c := range 256 {
		switch {
		case c >= '0' && c <= '9':
			t[c] = int8(c - '0')
		case c >= 'a' && c <= 'f':
			t[c] = int8(c - 'a' + 10)
		case c >= 'A' && c <= 'F':
			t[c] = int8(c - 'A' + 10)
		default:
			t[c] = -1
		}
	}
	return t
}()
