package census

import (
	"iter"
	"math/bits"
)

// entries yields keys and values of a dictionary; addresses of objects.
func (w *walk) entries(d uint64) iter.Seq2[uint64, uint64] {
	return func(yield func(key, value uint64) bool) {
		keys := w.word(d + 32)
		if keys == 0 {
			return
		}
		if values := w.word(d + 40); values != 0 { // that of an instance
			if w.in.Minor == 13 {
				values += 8
			}
			w.split(keys, values)(yield)
			return
		}
		entries, step, count := w.table(keys)
		for i := range min(count, maxVariables) {
			at := entries + i*step
			key, value := w.word(at+step-16), w.word(at+step-8) // before them the hash, where it is kept
			if key != 0 && value != 0 && !yield(key, value) {
				return
			}
		}
	}
}

// table is where the entries of a dictionary's keys begin, how long each is, and how many.
func (w *walk) table(keys uint64) (entries, step, count uint64) {
	const general, unicode = 24, 16 // hash, key, value; or no hash
	if w.in.Minor <= 10 {           // refcnt, size, lookup, usable, nentries, indices
		size := w.word(keys + 8)
		if size == 0 || size&(size-1) != 0 {
			return 0, general, 0
		}
		width := uint64(1)
		if size > 0xff {
			width = 2
		}
		if size > 0xffff {
			width = 4
		}
		return keys + 40 + size*width, general, w.word(keys + 32)
	}
	// refcnt, log2_size, log2_index_bytes, kind, version, usable, nentries, indices
	b := w.at(keys+8, 3)
	if b == nil || b[1] > 40 {
		return 0, general, 0
	}
	if step = general; b[2] != 0 {
		step = unicode
	}
	return keys + 32 + 1<<b[1], step, w.word(keys + 24)
}

// str is the text of an ASCII str, "" of any other object.
func (w *walk) str(object uint64) string {
	// refcnt, type, length, hash, state; from 3.12 on the text follows, before there is a pointer more
	if w.typeOf(object).name != "str" {
		return ""
	}
	length := w.word(object + 16)
	b := w.at(object+32, 1)
	if b == nil || length > 256 {
		return ""
	}
	const compactASCII = 0b1100000 // in the state: kind is three bits, interned two (up to 3.11)
	at := object + 48
	if w.in.Minor >= 12 {
		at = object + 40
	}
	if bits.OnesCount8(b[0]&compactASCII) != 2 {
		return ""
	}
	text := w.at(at, int(length))
	if text == nil {
		return ""
	}
	return string(text)
}
