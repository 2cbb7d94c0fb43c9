package http2

import (
	"bytes"

	"golang.org/x/net/http2/hpack"
)

// longestCode is the length in bits of the longest Huffman code (RFC 7541, appendix B).
const longestCode = 30

// codes holds, for each length in bits, the first code of that length and how many there are. The
// code is canonical, so that is enough to see where each symbol ends without telling which it is.
var codes = func() (c [longestCode + 1]struct{ first, count uint32 }) {
	for i := range 256 {
		// Eight times a symbol are as many bytes as its code has bits.
		bits := len(hpack.AppendHuffmanString(nil, string(bytes.Repeat([]byte{byte(i)}, 8))))
		c[bits].count++
	}
	c[longestCode].count++ // the end of the string
	next := uint32(0)
	for bits := 1; bits <= longestCode; bits++ {
		c[bits].first = next
		next = (next + c[bits].count) << 1
	}
	return c
}()

// symbols counts the characters that b encodes; none of them is decoded.
func symbols(b []byte) (n int) {
	code, bits := uint32(0), 0
	for _, x := range b {
		for i := 7; i >= 0; i-- {
			code = code<<1 | uint32(x>>i&1)
			if bits++; bits > longestCode {
				return n
			}
			if c := codes[bits]; code-c.first < c.count && code >= c.first {
				n, code, bits = n+1, 0, 0
			}
		}
	}
	return n
}
