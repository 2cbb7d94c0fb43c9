package bolt

import "github.com/ragscope/ragscope/internal/protocol"

// prefix is how much of a message, in bytes, is looked at: enough for a query's leading clause
// behind a comment, and for a failure's code.
const prefix = 256

// framer takes chunks apart: size (16 bits), that many bytes, …, size 0 ends the message.
type framer struct {
	known func(tag byte) bool // the messages of this direction
	brief byte                // tag of the message of which only the kind is of interest

	size   [2]byte
	sizes  int // bytes of size that are there
	left   int // bytes of the chunk to go
	total  int // bytes of the message so far
	kept   [prefix]byte
	n      int // bytes of kept
	holes  bool
	losses int
	lost   bool
	over   bool // in this transfer messages were passed over, and the last ones found at its end
}

// Lost counts how often the stream had to look for a message's beginning, joining in the middle
// of a message included.
func (f *framer) Lost() int { return f.losses }

// Excuse takes back the loss of this transfer, if it has only passed over messages and shows its last ones: for
// who knows that none of those between was of interest.
func (f *framer) Excuse() {
	if f.over {
		f.losses--
		f.over = false
	}
}

func (f *framer) lose() {
	f.lost = true
	f.losses++
	f.reset()
}

// miss tells that transfers may be missing before the next one.
func (f *framer) miss() {
	if !f.lost {
		f.lose()
	}
}

func (f *framer) reset() {
	clear(f.kept[:f.n])
	f.sizes, f.left, f.total, f.n, f.holes = 0, 0, 0, 0, false
}

// visible moves through b and calls message with the beginning of each one that is complete.
func (f *framer) visible(b []byte, message func(kept []byte)) {
	for len(b) > 0 && !f.lost {
		if f.left > 0 {
			k := min(f.left, len(b))
			f.keep(b[:k])
			f.left -= k
			b = b[k:]
			continue
		}
		f.size[f.sizes] = b[0]
		b = b[1:]
		if f.sizes++; f.sizes < 2 {
			continue
		}
		f.sizes = 0
		if f.left = int(f.size[0])<<8 | int(f.size[1]); f.left > 0 || f.total == 0 {
			continue // a chunk follows, or this keeps the connection alive
		}
		message(f.kept[:f.n])
		f.reset()
	}
}

// keep holds the beginning of the message and checks that it is one.
func (f *framer) keep(b []byte) {
	if f.total += len(b); f.holes || f.n == prefix || f.n >= 2 && f.kept[1] == f.brief {
		return
	}
	before := f.n
	if before < 2 {
		f.n += copy(f.kept[f.n:2], b)
		b = b[f.n-before:]
		if f.n == 2 && (f.kept[0]>>4 != 0xB || !f.known(f.kept[1])) {
			f.lose()
			return
		}
	}
	if f.n == 2 && f.kept[1] == f.brief {
		return
	}
	f.n += copy(f.kept[f.n:], b)
}

// hidden moves over n bytes that were not captured.
func (f *framer) hidden(n int) {
	if f.lost {
		return
	}
	if n > f.left || f.n < 2 { // a message of which not even the kind was seen is none
		f.lose()
		return
	}
	f.left -= n
	f.total += n
	f.holes = true
}

// begins reports whether b begins with a chunk that begins a message. Some drivers read a chunk's
// size alone: what comes next then tells whether it was one.
func (f *framer) begins(b []byte) bool {
	if len(b) == 2 {
		return int(b[0])<<8|int(b[1]) >= 2
	}
	return len(b) >= 4 && int(b[0])<<8|int(b[1]) >= 2 && b[2]>>4 == 0xB && f.known(b[3])
}

// run finds complete messages, each in one chunk, that end exactly where b ends.
func (f *framer) run(b []byte) []byte {
	b = b[max(0, len(b)-prefix):]
	for i := range b {
		if f.begins(b[i:]) && f.fits(b[i:]) {
			return b[i:]
		}
	}
	return nil
}

func (f *framer) fits(b []byte) bool {
	for f.begins(b) {
		end := 2 + int(b[0])<<8 + int(b[1])
		if end+2 > len(b) || b[end] != 0 || b[end+1] != 0 {
			return false
		}
		b = b[end+2:]
	}
	return len(b) == 0
}

// feed takes the next transfer.
func (f *framer) feed(p protocol.Piece, message func([]byte)) {
	head := p.Head
	if f.over = false; f.lost {
		f.lost = !f.begins(head)
	}
	before := f.losses
	f.visible(head, message)
	gap := p.Gap()
	if gap > 0 {
		f.hidden(gap)
	}
	f.visible(p.Tail, message)
	if f.lost {
		last := p.Tail
		if len(last) == 0 && gap == 0 {
			last = p.Head
		}
		if last = f.run(last); last != nil {
			f.lost, f.over = false, f.losses == before+1
			f.visible(last, message)
		}
	}
}
