package event

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A recorded stream is a file of events with an encoding of its own, so that what was captured
// once can be read for as long as it is worth something: neither the layout of the kernel side's
// struct nor the numbers of its enums are in it.
//
//	stream  = "ragscope events 1\n" record…
//	record  = length field…            length of the fields in bytes
//	field   = number×2 varint | number×2+1 length bytes
//
// All numbers are varints. A field that is 0 or empty is left out. A reader skips fields with a
// number that it does not know, and refuses types and flags that it does not know: without them
// the event would mean something else.

const magic = "ragscope events 1\n"

// The fields of a record. The numbers are for ever.
const (
	fieldType    = 1 // index in storedTypes
	fieldFlags   = 2 // bits: indexes in storedFlags, storedSwitchFlags or storedSampleFlags
	fieldTime    = 3 // since the event before it in the file, zigzag
	fieldBefore  = 4 // Time − Arrive where there is an Arrive, plus 1 to tell it from none, zigzag
	fieldSock    = 5
	fieldContext = 6
	fieldOther   = 7 // of a Switch: Time − Other, zigzag
	fieldPID     = 8
	fieldTID     = 9
	fieldLen     = 10
	fieldLPort   = 11
	fieldRPort   = 12
	fieldHead    = 13
	fieldTail    = 14
)

// The places in these lists are for ever: new types and flags go to their ends.
var (
	storedTypes = []Type{
		1: Recv, 2: Send, 3: Frames, 4: Conn, 5: Opened, 6: Accept, 7: Close, 8: Enter, 9: Copy, 10: New,
		11: Loop, 12: Switch, 13: Sleep, 14: GRPCCall, 15: GRPCStart, 16: Queued, 17: Cipher,
		18: WorkPut, 19: WorkGot, 20: WorkDone, 21: Sample,
	}
	storedFlags       = []Flags{Inbound, Sent, Midway, Desync, NoThread, Stale, Short}
	storedSwitchFlags = []Flags{Preempted, Epoll, GIL, Sending, Futex}
	storedSampleFlags = []Flags{Foreign, Base, NoThread, Stale}
)

func flagsOf(t Type) []Flags {
	switch t {
	case Switch:
		return storedSwitchFlags
	case Sample:
		return storedSampleFlags
	default:
		return storedFlags
	}
}

// A Writer records a stream. It writes one record at a time.
type Writer struct {
	w    io.Writer
	last int64
	out  []byte
	body []byte
	told bool // the magic is written
}

// NewWriter makes a writer of a new stream.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write appends an event. An event of a type or with a flag that has no place in the file is an
// error.
func (w *Writer) Write(e *Event) error {
	kind := 0
	for i, t := range storedTypes {
		if t == e.Type && i > 0 {
			kind = i
		}
	}
	if kind == 0 {
		return fmt.Errorf("event of type %d has no number in recorded streams: give it one in storedTypes", e.Type)
	}
	flags, left := uint64(0), e.Flags
	for i, f := range flagsOf(e.Type) {
		if left&f != 0 {
			flags |= 1 << i
			left &^= f
		}
	}
	if left != 0 {
		return fmt.Errorf("flags %#x of an event of type %d have no number in recorded streams: give them one in storedFlags", left, e.Type)
	}
	w.body = w.body[:0]
	w.number(fieldType, uint64(kind))
	w.number(fieldFlags, flags)
	w.number(fieldTime, zigzag(e.Time-w.last))
	if e.Arrive != 0 {
		w.number(fieldBefore, zigzag(e.Time-e.Arrive)+1)
	}
	w.number(fieldSock, e.Sock)
	w.number(fieldContext, e.Context)
	if e.Type == Switch {
		w.number(fieldOther, zigzag(e.Time-int64(e.Other)))
	} else {
		w.number(fieldOther, e.Other)
	}
	w.number(fieldPID, uint64(e.PID))
	w.number(fieldTID, uint64(e.TID))
	w.number(fieldLen, uint64(e.Len))
	w.number(fieldLPort, uint64(e.LPort))
	w.number(fieldRPort, uint64(e.RPort))
	w.bytes(fieldHead, e.Head)
	w.bytes(fieldTail, e.Tail)
	w.last = e.Time

	w.out = w.out[:0]
	if !w.told {
		w.out, w.told = append(w.out, magic...), true
	}
	w.out = binary.AppendUvarint(w.out, uint64(len(w.body)))
	w.out = append(w.out, w.body...)
	_, err := w.w.Write(w.out)
	return err
}

func (w *Writer) number(field int, v uint64) {
	if v != 0 {
		w.body = binary.AppendUvarint(append(w.body, byte(field<<1)), v)
	}
}

func (w *Writer) bytes(field int, b []byte) {
	if len(b) > 0 {
		w.body = binary.AppendUvarint(append(w.body, byte(field<<1|1)), uint64(len(b)))
		w.body = append(w.body, b...)
	}
}

func zigzag(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// maxRecord bounds a record of a damaged file.
const maxRecord = 1 << 20

// ReadStream decodes a recorded stream to its end. Each event owns its bytes.
func ReadStream(from io.Reader) ([]Event, error) {
	r := bufio.NewReader(from)
	head := make([]byte, len(magic))
	if n, err := io.ReadFull(r, head); n == 0 && errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil || string(head) != magic {
		return nil, errors.New("not a recorded event stream of version 1: record it anew with `agent record --events`")
	}
	var events []Event
	last := int64(0)
	for {
		n, err := binary.ReadUvarint(r)
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, fmt.Errorf("record %d: length: %w", len(events), err)
		}
		if n > maxRecord {
			return events, fmt.Errorf("record %d claims %d bytes: not a recorded event stream", len(events), n)
		}
		raw := make([]byte, n)
		if _, err := io.ReadFull(r, raw); err != nil {
			return events, fmt.Errorf("record %d: %w", len(events), err)
		}
		e, err := unstore(raw, last)
		if err != nil {
			return events, fmt.Errorf("record %d: %w", len(events), err)
		}
		last = e.Time
		events = append(events, e)
	}
}

var errCut = errors.New("its fields are cut")

// stored are the fields of a record; those that are not there are 0.
type stored struct {
	numbers    [fieldTail + 1]uint64
	head, tail []byte
}

func parse(b []byte) (s stored, err error) {
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 {
			return s, errCut
		}
		b = b[n:]
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return s, errCut
		}
		b = b[n:]
		if key&1 == 0 {
			if key>>1 < uint64(len(s.numbers)) {
				s.numbers[key>>1] = v
			}
			continue
		}
		if v > uint64(len(b)) {
			return s, errCut
		}
		switch key >> 1 {
		case fieldHead:
			s.head = b[:v:v]
		case fieldTail:
			s.tail = b[:v:v]
		}
		b = b[v:]
	}
	return s, nil
}

// unstore makes an event of a record's fields; last is the time of the event before it.
func unstore(b []byte, last int64) (Event, error) {
	s, err := parse(b)
	if err != nil {
		return Event{}, err
	}
	v := &s.numbers
	if v[fieldType] == 0 || v[fieldType] >= uint64(len(storedTypes)) {
		return Event{}, fmt.Errorf("its type %d is not known: it was recorded by a newer agent", v[fieldType])
	}
	e := Event{
		Type: storedTypes[v[fieldType]], Time: last + unzigzag(v[fieldTime]),
		Sock: v[fieldSock], Context: v[fieldContext], Other: v[fieldOther],
		PID: uint32(v[fieldPID]), TID: uint32(v[fieldTID]), Len: uint32(v[fieldLen]),
		LPort: uint16(v[fieldLPort]), RPort: uint16(v[fieldRPort]), Head: s.head, Tail: s.tail,
	}
	if v[fieldBefore] != 0 {
		e.Arrive = e.Time - unzigzag(v[fieldBefore]-1)
	}
	if e.Type == Switch {
		e.Other = uint64(e.Time - unzigzag(v[fieldOther]))
	}
	known := flagsOf(e.Type)
	if v[fieldFlags]>>len(known) != 0 {
		return Event{}, fmt.Errorf("its flags %#x are not known: it was recorded by a newer agent", v[fieldFlags])
	}
	for i, f := range known {
		if v[fieldFlags]>>i&1 != 0 {
			e.Flags |= f
		}
	}
	return e, nil
}
