package http2

// maxBlock bounds, in bytes, a header block that is joined.
const maxBlock = 16 << 10

// Joiner puts together the header blocks of one direction that come in several pieces: a frame over
// several transfers, or a HEADERS frame with CONTINUATION frames.
type Joiner struct {
	buf   []byte
	first Frame // the frame that began the block
	open  bool
	cut   bool
}

// Piece is a captured part of a frame. Of a frame's later parts, Payload is what goes on.
type Piece struct {
	Frame
	More bool // it goes on with the frame of an earlier transfer
	Cut  bool // captured bytes are missing at its end
	Open bool // the frame's end is in a later transfer
}

// Head is a whole header block.
type Head struct {
	Stream    uint32
	EndStream bool
	Block     []byte // valid until the next Add
	Truncated bool
}

// Open reports whether more of a block is to come.
func (j *Joiner) Open() bool { return j.open }

// Add takes the next piece of a HEADERS or CONTINUATION frame; done tells that h is whole, or that
// more of it will not be seen.
func (j *Joiner) Add(p Piece) (h Head, done bool) {
	switch {
	case p.Type != Continuation && !p.More:
		*j = Joiner{buf: j.buf[:0], first: p.Frame, open: true}
	case !j.open:
		return Head{}, false // its begin was not seen, or it was told as truncated
	case !p.More:
		j.first.Length += p.Length
		j.cut = j.first.Flags&Padded != 0 // the padding lies between the parts
	}
	payload := p.Payload
	if room := maxBlock - len(j.buf); len(payload) > room {
		payload, j.cut = payload[:room], true
	}
	j.buf = append(j.buf, payload...)
	j.cut = j.cut || p.Cut
	if whole := !p.Open && p.Flags&EndHeaders != 0; !whole && !j.cut {
		return Head{}, false
	}
	j.open = false
	f := j.first
	f.Payload = j.buf
	block, cut, ok := f.Block()
	return Head{Stream: f.Stream, EndStream: f.Flags&EndStream != 0, Block: block, Truncated: cut || j.cut || !ok}, true
}
