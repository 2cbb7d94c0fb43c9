package census

import "iter"

// maxAttributes bounds what is looked at of one instance.
const maxAttributes = 64

// Offsets in a PyTypeObject.
const (
	typeNameAt      = 24
	typeBasicSizeAt = 32
	typeFlagsAt     = 168
	typeDictAt      = 264
	typeDictOffset  = 288
	heapTypeEnd     = 1024 // more than any PyHeapTypeObject
)

const (
	flagInlineValues = 1 << 2 // 3.13
	flagManagedDict  = 1 << 4 // 3.11 and later
	flagHeapType     = 1 << 9
)

// lookAtInstance looks at the attributes of an instance of a class written in Python: containers
// among them are named by class and attribute, with the methods that use it.
func (w *walk) lookAtInstance(object uint64, t *typeFacts) {
	for key, value := range w.attributes(object, t) {
		switch w.typeOf(value).kind {
		case list, dict, set, deque:
		default:
			continue
		}
		w.look(value)
		c, ok := w.out.Containers[value]
		if !ok || c.Name != "" {
			continue
		}
		attribute := w.str(key)
		c.Name = t.name + "." + attribute
		w.out.Containers[value] = c
		w.methods(t.address, "", map[string]uint64{attribute: value})
	}
}

// attributes yields names and values of an instance; addresses of objects.
func (w *walk) attributes(object uint64, t *typeFacts) iter.Seq2[uint64, uint64] {
	none := func(func(uint64, uint64) bool) {}
	switch {
	case w.in.Minor <= 10:
		if offset := w.word(t.address + typeDictOffset); offset > 0 && offset < 1<<16 {
			return w.entries(w.word(object + offset))
		}
		return none
	case t.flags&flagManagedDict == 0:
		return none
	case w.in.Minor == 11:
		if values := w.word(object - 32); values != 0 {
			return w.split(w.cachedKeys(t), values)
		}
		return w.entries(w.word(object - 24))
	case w.in.Minor == 12:
		if x := w.word(object - 24); x&1 != 0 {
			return w.split(w.cachedKeys(t), x+1)
		}
		return w.entries(w.word(object - 24))
	}
	if t.flags&flagInlineValues != 0 {
		values := object + w.word(t.address+typeBasicSizeAt)
		if b := w.at(values, 4); b != nil && b[3] != 0 { // capacity, size, embedded, valid
			return w.split(w.cachedKeys(t), values+8)
		}
	}
	return w.entries(w.word(object - 24))
}

// split yields the keys that instances of a class share, with the values of one of them.
func (w *walk) split(keys, values uint64) iter.Seq2[uint64, uint64] {
	return func(yield func(key, value uint64) bool) {
		if keys == 0 || values == 0 {
			return
		}
		entries, step, count := w.table(keys)
		for i := range min(count, maxAttributes) {
			key, value := w.word(entries+i*step+step-16), w.word(values+8*i)
			if key != 0 && value != 0 && !yield(key, value) {
				return
			}
		}
	}
}

// cachedKeys are the keys that instances of a class share (ht_cached_keys). Where the class keeps
// them differs from version to version, but what they look like does not.
func (w *walk) cachedKeys(t *typeFacts) uint64 {
	if t.searched {
		return t.keys
	}
	t.searched = true
	const kindSplit, typeObjectEnd = 2, 400
	for at := t.address + typeObjectEnd; at < t.address+heapTypeEnd; at += 8 {
		keys := w.word(at)
		if keys == 0 || keys&7 != 0 {
			continue
		}
		b := w.at(keys, 32)
		if b == nil {
			continue
		}
		references, count, usable := w.word(keys), w.word(keys+24), w.word(keys+16)
		b = w.at(keys+8, 3)
		if b[2] == kindSplit && b[0] >= 1 && b[0] <= 6 && b[1] >= b[0] && b[1] <= 6 && references > 0 && references < 1<<32 && count <= maxAttributes && usable <= maxAttributes {
			t.keys = keys
			break
		}
	}
	return t.keys
}
