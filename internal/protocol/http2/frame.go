package http2

import "encoding/binary"

// Frame types.
const (
	Data         = 0
	Headers      = 1
	Priority     = 2
	RSTStream    = 3
	Settings     = 4
	PushPromise  = 5
	Ping         = 6
	GoAway       = 7
	WindowUpdate = 8
	Continuation = 9
)

// Frame flags.
const (
	EndStream  = 0x01 // Data, Headers
	Ack        = 0x01 // Settings, Ping
	EndHeaders = 0x04 // Headers, PushPromise, Continuation
	Padded     = 0x08 // Data, Headers, PushPromise
	HasPrio    = 0x20 // Headers
)

// Settings identifiers that matter here.
const (
	SettingHeaderTableSize      = 1
	SettingMaxConcurrentStreams = 3
)

// FrameHeaderLen is the size of a frame's header in bytes.
const FrameHeaderLen = 9

// Preface is what a client sends first.
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Frame is one frame. Payload may be shorter than Length where the bytes end before it.
type Frame struct {
	Length  int
	Type    byte
	Flags   byte
	Stream  uint32
	Payload []byte
}

// ParseHeader reads a frame's header; ok is false where b is too short for one.
func ParseHeader(b []byte) (f Frame, ok bool) {
	if len(b) < FrameHeaderLen {
		return Frame{}, false
	}
	return Frame{
		Length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		Type:   b[3],
		Flags:  b[4],
		Stream: binary.BigEndian.Uint32(b[5:]) &^ (1 << 31),
	}, true
}

// Frames walks the frames of p, the client's preface passed over. The last frame may be cut; rest is
// how many bytes of it (or, negative, of a header: −n) are still to come: 0 where p ends with a frame.
func Frames(p []byte) (fs []Frame, rest int) {
	if len(p) >= len(Preface) && string(p[:len(Preface)]) == Preface {
		p = p[len(Preface):]
	}
	for len(p) > 0 {
		f, ok := ParseHeader(p)
		if !ok {
			return fs, len(p) - FrameHeaderLen
		}
		p = p[FrameHeaderLen:]
		n := min(f.Length, len(p))
		f.Payload, p = p[:n], p[n:]
		fs = append(fs, f)
		rest = f.Length - n
	}
	return fs, rest
}

// Block is the header block fragment of a Headers, PushPromise or Continuation frame: its
// payload without padding and priority. cut tells that the fragment's end is missing. ok is false
// for other frames and for contradicting lengths.
func (f Frame) Block() (block []byte, cut, ok bool) {
	b, end := f.Payload, f.Length
	if f.Type != Headers && f.Type != PushPromise && f.Type != Continuation {
		return nil, false, false
	}
	before := 0
	if f.Flags&Padded != 0 && f.Type != Continuation {
		if len(b) == 0 {
			return nil, true, end > 0
		}
		end -= int(b[0])
		before = 1
	}
	if f.Type == Headers && f.Flags&HasPrio != 0 {
		before += 5
	}
	if f.Type == PushPromise {
		before += 4
	}
	if end < before {
		return nil, false, false
	}
	if len(b) < before {
		return nil, true, true
	}
	return b[before:min(end, len(b))], len(b) < end, true
}

// MaxStreams is the limit of concurrent streams that a Settings frame sets, if it does.
func (f Frame) MaxStreams() (n uint32, ok bool) { return f.setting(SettingMaxConcurrentStreams) }

// TableSize is the largest header table that a Settings frame allows the other side, if it says so.
func (f Frame) TableSize() (n uint32, ok bool) { return f.setting(SettingHeaderTableSize) }

func (f Frame) setting(id uint16) (n uint32, ok bool) {
	if f.Type != Settings || f.Flags&Ack != 0 {
		return 0, false
	}
	for b := f.Payload; len(b) >= 6; b = b[6:] {
		if binary.BigEndian.Uint16(b) == id {
			n, ok = binary.BigEndian.Uint32(b[2:]), true // the last one holds
		}
	}
	return n, ok
}
