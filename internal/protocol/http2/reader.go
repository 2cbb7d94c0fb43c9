package http2

// reader takes HPACK's primitives off the front of a block; cut is set where they do not end in it.
type reader struct {
	b   []byte
	cut bool
}

// integer decodes an integer with an n-bit prefix (RFC 7541 §5.1).
func (r *reader) integer(n uint) uint64 {
	if len(r.b) == 0 {
		r.cut = true
		return 0
	}
	mask := uint64(1)<<n - 1
	v := uint64(r.b[0]) & mask
	r.b = r.b[1:]
	if v < mask {
		return v
	}
	for shift := uint(0); shift < 35; shift += 7 {
		if len(r.b) == 0 {
			break
		}
		c := r.b[0]
		r.b = r.b[1:]
		v += uint64(c&0x7F) << shift
		if c < 0x80 {
			return v
		}
	}
	r.cut = true // the block ends inside it, or it is no integer that a header block can hold
	return 0
}

// text takes a string literal (RFC 7541 §5.2), still encoded.
func (r *reader) text() (b []byte, huffman bool) {
	if len(r.b) == 0 {
		r.cut = true
		return nil, false
	}
	huffman = r.b[0]&0x80 != 0
	n := r.integer(7)
	if r.cut || n > uint64(len(r.b)) {
		r.cut = true
		return nil, huffman
	}
	b, r.b = r.b[:n], r.b[n:]
	return b, huffman
}
