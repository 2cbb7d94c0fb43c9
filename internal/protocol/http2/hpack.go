package http2

import (
	"bytes"

	"golang.org/x/net/http2/hpack"
)

// Fields are what one header block says.
type Fields struct {
	Method, Path, Authority string
	Status                  int // :status, 0 where there is none
	GRPCStatus              int // grpc-status, -1 where there is none (trailers have it)
	ContentType             string
	RequestID, TraceParent  string // x-request-id, traceparent

	// Unknown counts fields that point to table entries from before the decoder joined, or
	// from a block that was cut. Ref numbers the entry of the first of them: the same number is the
	// same field on this connection, until the next cut block (see Learn). gRPC clients send :path
	// before any other field that changes, so where Path is empty, Ref is as a rule the path's.
	Unknown int
	Ref     int64

	Truncated bool // the block, or something in it, ended too early
}

// MaxValue bounds, in bytes, a value that is kept; a longer one is cut.
const MaxValue = 512

// maxTable bounds the dynamic table, in bytes as RFC 7541 §4.1 counts them, whatever the peers
// agree on; defaultTable is what they agree on without a word.
const (
	maxTable     = 64 << 10
	defaultTable = 4 << 10
	entryCost    = 32
)

// Decoder decodes the header blocks of one direction of a connection, in order.
//
// A decoder that joined midway does not know the entries that the table then held; each of them
// counts as unknown until the peer sends the field anew. A cut block may have inserted entries
// that were not seen, which moves all older ones by an unknown number: the table is emptied, and
// everything that points behind the entries inserted later is unknown, until sent anew.
// Entries are never dropped earlier than the peer drops them, sometimes later; that does no harm,
// since a peer does not point to what it has dropped.
type Decoder struct {
	table    []entry // a ring: the newest is at table[(first+n-1) % len]
	first, n int
	size     int
	limit    int   // bytes
	unsure   bool  // the peers' limit is not known, limit is the largest that is followed
	inserts  int64 // since the decoder began or the table was last given up
	learned  map[int64]string

	scratch bytes.Buffer
	last    Fields // its strings are used again when equal
}

// entry is a slot of the dynamic table. value is kept only for fields that Fields names.
type entry struct {
	name                name
	value               string
	nameLeast, nameMost int // length of the name, in bytes
	size                int // at least, in bytes (see sizes)
}

// NewDecoder makes a decoder; midway tells that the connection's beginning was not seen.
func NewDecoder(midway bool) *Decoder {
	if midway {
		return &Decoder{limit: maxTable, unsure: true}
	}
	return &Decoder{limit: defaultTable}
}

// Learn tells the decoder, from another source, the path behind a Ref that Decode returned.
func (d *Decoder) Learn(ref int64, path string) {
	if d.learned == nil {
		d.learned = map[int64]string{}
	}
	if len(d.learned) < 256 {
		d.learned[ref] = path
	}
}

// Decode decodes a block, or with truncated set the beginning of one. A block over several frames
// must be joined before.
func (d *Decoder) Decode(block []byte, truncated bool) Fields {
	f := Fields{GRPCStatus: -1, Truncated: truncated}
	r := reader{b: block}
	for len(r.b) > 0 && !r.cut {
		d.field(&r, &f)
	}
	if r.cut || truncated {
		f.Truncated = true
		d.giveUp()
	}
	d.last.keep(f)
	return f
}

// Miss tells that blocks may be missing before the next one.
func (d *Decoder) Miss() { d.giveUp() }

// giveUp empties the table after bytes that were not seen.
func (d *Decoder) giveUp() {
	clear(d.table)
	clear(d.learned)
	d.first, d.n, d.size, d.inserts = 0, 0, 0, 0
	d.limit, d.unsure = maxTable, true
}

// field decodes one representation (RFC 7541 §6).
func (d *Decoder) field(r *reader, f *Fields) {
	switch c := r.b[0]; {
	case c&0x80 != 0: // indexed
		if i := r.integer(7); !r.cut {
			d.indexed(i, f)
		}
	case c&0xC0 == 0x40: // literal, inserted
		if e, most := d.literal(r, 6); !r.cut {
			d.insert(e, most)
			f.set(e.name, e.value)
		}
	case c&0xE0 == 0x20: // table size
		if n := r.integer(5); !r.cut {
			d.resize(min(int(n), maxTable))
		}
	default: // literal, not inserted
		if e, _ := d.literal(r, 4); !r.cut {
			f.set(e.name, e.value)
		}
	}
}

func (d *Decoder) indexed(i uint64, f *Fields) {
	if i == 0 {
		f.Unknown++
		return
	}
	if i <= staticLen {
		f.set(staticNames[i], staticValues[i])
		return
	}
	if e, ok := d.entry(i); ok {
		f.set(e.name, e.value)
		return
	}
	ref := d.inserts - int64(min(i-staticLen, 1<<32)) + 1
	if path := d.learned[ref]; path != "" && f.Path == "" {
		f.Path = path
		return
	}
	if f.Unknown++; f.Unknown == 1 {
		f.Ref = ref
	}
}

// entry is the table's entry with the index i > staticLen.
func (d *Decoder) entry(i uint64) (entry, bool) {
	if i -= staticLen; i > uint64(d.n) {
		return entry{}, false
	}
	return d.table[(d.first+d.n-int(i))%len(d.table)], true
}

// literal decodes a field with a name by index or by text, and a value by text. Its size in the
// table lies between e.size and most bytes.
func (d *Decoder) literal(r *reader, prefix uint) (e entry, most int) {
	i := r.integer(prefix)
	switch {
	case r.cut:
		return
	case i == 0:
		b, huffman := r.text()
		e.nameLeast, e.nameMost = d.sizes(b, huffman)
		e.name = d.name(b, huffman)
	case i <= staticLen:
		e.name, e.nameLeast, e.nameMost = staticNames[i], staticNameLens[i], staticNameLens[i]
	default:
		e.name, e.nameMost = unknown, longestName
		if old, ok := d.entry(i); ok {
			e.name, e.nameLeast, e.nameMost = old.name, old.nameLeast, old.nameMost
		}
	}
	if r.cut {
		return
	}
	b, huffman := r.text()
	if r.cut {
		return
	}
	e.value = d.value(e.name, b, huffman)
	least, most := d.sizes(b, huffman)
	e.size = e.nameLeast + least + entryCost
	return e, e.nameMost + most + entryCost
}

// longestName is what a name by reference is taken to have at most, in bytes.
const longestName = 256

// sizes are the smallest and largest length of the text that b may encode: Huffman codes have 5
// to 30 bits. Only where the difference may matter for the table's limit is it counted exactly.
func (d *Decoder) sizes(b []byte, huffman bool) (least, most int) {
	if !huffman {
		return len(b), len(b)
	}
	least, most = len(b)*8/30, len(b)*8/5
	if most > (d.sureLimit()-entryCost)/2 {
		least = symbols(b)
		most = least
	}
	return least, most
}

// sureLimit is what the table holds at least, in bytes.
func (d *Decoder) sureLimit() int {
	if d.unsure {
		return defaultTable
	}
	return d.limit
}

// name tells whether a name by text is one of those that are kept.
func (d *Decoder) name(b []byte, huffman bool) name {
	if len(b) > 24 {
		return skipped
	}
	if huffman {
		d.scratch.Reset()
		if _, err := hpack.HuffmanDecode(&d.scratch, b); err != nil {
			return skipped
		}
		b = d.scratch.Bytes()
	}
	if n, ok := names[string(b)]; ok {
		return n
	}
	return skipped
}

// value is the text of a field that is kept, "" for all others: those are not even decoded.
func (d *Decoder) value(nm name, b []byte, huffman bool) string {
	if nm == skipped || nm == unknown {
		return ""
	}
	if huffman {
		d.scratch.Reset()
		if _, err := hpack.HuffmanDecode(&d.scratch, b); err != nil {
			return ""
		}
		b = d.scratch.Bytes()
	}
	b = b[:min(len(b), MaxValue)]
	if last := d.last.get(nm); last != "" && string(b) == last {
		return last
	}
	return string(b)
}

// insert adds an entry of e.size to most bytes. One that is larger than the table empties it and
// is not added (RFC 7541 §4.4); where it may be either, the table is given up.
func (d *Decoder) insert(e entry, most int) {
	if e.size > d.limit {
		d.evict(0)
		return
	}
	if most > d.sureLimit() {
		d.giveUp()
		return
	}
	d.inserts++
	d.evict(d.limit - e.size)
	if d.n == len(d.table) {
		d.grow()
	}
	d.table[(d.first+d.n)%len(d.table)] = e
	d.n++
	d.size += e.size
}

func (d *Decoder) grow() {
	t := make([]entry, max(16, 2*len(d.table)))
	for i := range d.n {
		t[i] = d.table[(d.first+i)%len(d.table)]
	}
	d.table, d.first = t, 0
}

// resize follows the peer's change of its table's limit, in bytes.
func (d *Decoder) resize(limit int) {
	d.limit, d.unsure = limit, false
	d.evict(limit)
}

// evict drops the oldest entries until the table has at most size bytes.
func (d *Decoder) evict(size int) {
	for d.n > 0 && d.size > size {
		e := &d.table[d.first]
		d.size -= e.size
		*e = entry{}
		d.first = (d.first + 1) % len(d.table)
		d.n--
	}
}
