package bolt

import "encoding/binary"

// maxNesting bounds how deep a value is followed.
const maxNesting = 8

// sized splits a length of width bytes off b.
func sized(b []byte, width int) (n int, rest []byte, ok bool) {
	if len(b) < width {
		return 0, nil, false
	}
	switch width {
	case 1:
		n = int(b[0])
	case 2:
		n = int(binary.BigEndian.Uint16(b))
	default:
		n = int(binary.BigEndian.Uint32(b))
	}
	return n, b[width:], true
}

// text is the string at the front of b, or what is there of it.
func text(b []byte) (s []byte, whole bool) {
	if len(b) == 0 {
		return nil, false
	}
	n, rest, ok := 0, b[1:], true
	switch m := b[0]; {
	case m>>4 == 8:
		n = int(m & 15)
	case m >= 0xD0 && m <= 0xD2:
		n, rest, ok = sized(rest, 1<<(m-0xD0))
	default:
		ok = false
	}
	if !ok {
		return nil, false
	}
	return rest[:min(n, len(rest))], n <= len(rest)
}

// entries calls visit with each key and value (and what follows it) of the map at the front of b,
// as far as b goes.
func entries(b []byte, visit func(key, value []byte)) {
	if len(b) == 0 {
		return
	}
	n, rest, ok := 0, b[1:], true
	switch m := b[0]; {
	case m>>4 == 0xA:
		n = int(m & 15)
	case m >= 0xD8 && m <= 0xDA:
		n, rest, ok = sized(rest, 1<<(m-0xD8))
	default:
		return
	}
	for b = rest; ok && n > 0 && len(b) > 0; n-- {
		key, whole := text(b)
		if !whole {
			return
		}
		if b, ok = skip(b, 0); ok {
			visit(key, b)
			b, ok = skip(b, 0)
		}
	}
}

// skip is what follows the value at the front of b; not ok where the value does not end in b.
func skip(b []byte, depth int) (rest []byte, ok bool) {
	if len(b) == 0 || depth > maxNesting {
		return nil, false
	}
	m := b[0]
	b = b[1:]
	bytes, values := 0, 0
	ok = true
	switch {
	case m < 0x80 || m >= 0xF0 || m == 0xC0 || m == 0xC2 || m == 0xC3: // small numbers, null, booleans
	case m == 0xC1:
		bytes = 8
	case m >= 0xC8 && m <= 0xCB: // integers
		bytes = 1 << (m - 0xC8)
	case m>>4 == 0x8:
		bytes = int(m & 15)
	case m >= 0xD0 && m <= 0xD2: // strings
		bytes, b, ok = sized(b, 1<<(m-0xD0))
	case m >= 0xCC && m <= 0xCE: // bytes
		bytes, b, ok = sized(b, 1<<(m-0xCC))
	case m>>4 == 0x9:
		values = int(m & 15)
	case m >= 0xD4 && m <= 0xD6: // lists
		values, b, ok = sized(b, 1<<(m-0xD4))
	case m>>4 == 0xA:
		values = 2 * int(m&15)
	case m >= 0xD8 && m <= 0xDA: // maps
		values, b, ok = sized(b, 1<<(m-0xD8))
		values *= 2
	case m>>4 == 0xB && len(b) > 0: // structures: a tag, then fields
		values, b = int(m&15), b[1:]
	default:
		return nil, false
	}
	if !ok || bytes > len(b) {
		return nil, false
	}
	b = b[bytes:]
	for ; ok && values > 0; values-- {
		b, ok = skip(b, depth+1)
	}
	return b, ok
}
