// Package event is what the kernel side reports, as plain values.
//
// In: one record of the ring buffer. Out: one Event. It does no I/O, so the heart and its
// recorded streams can use it anywhere; the layout comes from bpf/headers/event.h by bpf2go.
package event

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"unsafe"

	"github.com/ragscope/ragscope/bpf"
)

// Type says what happened.
type Type uint8

// The types of enum event_type.
const (
	Recv      = Type(bpf.SocketEventTypeEVENT_RECV)
	Send      = Type(bpf.SocketEventTypeEVENT_SEND)
	Frames    = Type(bpf.SocketEventTypeEVENT_FRAMES)
	Conn      = Type(bpf.SocketEventTypeEVENT_CONN)
	Opened    = Type(bpf.SocketEventTypeEVENT_OPENED)
	Accept    = Type(bpf.SocketEventTypeEVENT_ACCEPT)
	Close     = Type(bpf.SocketEventTypeEVENT_CLOSE)
	Enter     = Type(bpf.SocketEventTypeEVENT_ENTER)
	Copy      = Type(bpf.SocketEventTypeEVENT_COPY)
	New       = Type(bpf.SocketEventTypeEVENT_NEW)
	Loop      = Type(bpf.SocketEventTypeEVENT_LOOP)
	Switch    = Type(bpf.SocketEventTypeEVENT_SWITCH)
	Sleep     = Type(bpf.SocketEventTypeEVENT_SLEEP)
	GRPCCall  = Type(bpf.SocketEventTypeEVENT_GRPC_CALL)
	GRPCStart = Type(bpf.SocketEventTypeEVENT_GRPC_START)
	Queued    = Type(bpf.SocketEventTypeEVENT_QUEUED)
	Cipher    = Type(bpf.SocketEventTypeEVENT_CIPHER)
	WorkPut   = Type(bpf.SocketEventTypeEVENT_WORK_PUT)
	WorkGot   = Type(bpf.SocketEventTypeEVENT_WORK_GOT)
	WorkDone  = Type(bpf.SocketEventTypeEVENT_WORK_DONE)
	Listen    = Type(bpf.SocketEventTypeEVENT_LISTEN)
	Sample    = Type(bpf.SocketEventTypeEVENT_SAMPLE)
)

// Flags qualify a type; the same bit means different things for different types.
type Flags uint8

// The flags of enum event_flag.
const (
	Inbound   = Flags(bpf.SocketEventFlagFLAG_INBOUND)
	Sent      = Flags(bpf.SocketEventFlagFLAG_SENT)
	Midway    = Flags(bpf.SocketEventFlagFLAG_MIDWAY)
	TLS       = Flags(bpf.SocketEventFlagFLAG_TLS) // Recv, Send, Frames
	Desync    = Flags(bpf.SocketEventFlagFLAG_DESYNC)
	NoThread  = Flags(bpf.SocketEventFlagFLAG_NO_THREAD)
	Stale     = Flags(bpf.SocketEventFlagFLAG_STALE)
	Short     = Flags(bpf.SocketEventFlagFLAG_SHORT)     // Send
	Preempted = Flags(bpf.SocketEventFlagFLAG_PREEMPTED) // Switch
	Epoll     = Flags(bpf.SocketEventFlagFLAG_EPOLL)     // Switch
	GIL       = Flags(bpf.SocketEventFlagFLAG_GIL)       // Switch
	Sending   = Flags(bpf.SocketEventFlagFLAG_SENDING)   // Switch
	Futex     = Flags(bpf.SocketEventFlagFLAG_FUTEX)     // Switch
	Foreign   = Flags(bpf.SocketEventFlagFLAG_FOREIGN)   // Sample
	Base      = Flags(bpf.SocketEventFlagFLAG_BASE)      // Sample
)

// Event is one report of the kernel side. Time and Arrive are nanoseconds on CLOCK_MONOTONIC.
type Event struct {
	Time, Arrive int64
	Sock         uint64 // socket cookie
	Context      uint64 // the current contextvars.Context, 0: none or not known
	Other        uint64 // see enum event_type
	PID, TID     uint32
	Len          uint32 // bytes moved
	LPort, RPort uint16
	Type         Type
	Flags        Flags
	Head, Tail   []byte // captured bytes; they alias the record
}

// Has reports whether all of f are set.
func (e *Event) Has(f Flags) bool { return e.Flags&f == f }

var layout bpf.SocketEvent

const size = int(unsafe.Sizeof(layout))

// Decode reads one record into e. Head and Tail alias raw.
func Decode(raw []byte, e *Event) error {
	if len(raw) < size {
		return fmt.Errorf("event of %d bytes, at least %d expected: agent and its BPF objects differ", len(raw), size)
	}
	le := binary.LittleEndian
	head := int(le.Uint16(raw[unsafe.Offsetof(layout.Head):]))
	tail := int(le.Uint16(raw[unsafe.Offsetof(layout.Tail):]))
	if size+head+tail > len(raw) {
		return fmt.Errorf("event claims %d captured bytes, %d are there", head+tail, len(raw)-size)
	}
	*e = Event{
		Time:    int64(le.Uint64(raw[unsafe.Offsetof(layout.Time):])),
		Arrive:  int64(le.Uint64(raw[unsafe.Offsetof(layout.Arrive):])),
		Sock:    le.Uint64(raw[unsafe.Offsetof(layout.Sock):]),
		Context: le.Uint64(raw[unsafe.Offsetof(layout.Context):]),
		Other:   le.Uint64(raw[unsafe.Offsetof(layout.Other):]),
		PID:     le.Uint32(raw[unsafe.Offsetof(layout.Pid):]),
		TID:     le.Uint32(raw[unsafe.Offsetof(layout.Tid):]),
		Len:     le.Uint32(raw[unsafe.Offsetof(layout.Len):]),
		LPort:   le.Uint16(raw[unsafe.Offsetof(layout.Lport):]),
		RPort:   le.Uint16(raw[unsafe.Offsetof(layout.Rport):]),
		Type:    Type(raw[unsafe.Offsetof(layout.Type)]),
		Flags:   Flags(raw[unsafe.Offsetof(layout.Flags)]),
		Head:    raw[size : size+head],
		Tail:    raw[size+head : size+head+tail],
	}
	return nil
}

// Addresses reads the payload of a Conn event: the local and the remote end.
func (e *Event) Addresses() (local, remote netip.AddrPort) {
	if len(e.Head) < 32 {
		return
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(e.Head[:16])).Unmap(), e.LPort),
		netip.AddrPortFrom(netip.AddrFrom16([16]byte(e.Head[16:32])).Unmap(), e.RPort)
}

// Frame is one HTTP/2 frame of a Frames event: its header and the first bytes of its payload.
type Frame struct {
	Length      uint32
	Type, Flags uint8
	Stream      uint32
	More        bool   // it goes on with the frame of an earlier event
	Cut         bool   // captured bytes are missing at its end
	Open        bool   // the frame's end is in a later event
	Payload     []byte // captured part, aliases the event
}

const record = 12 // header[9], enum part, captured (u16)

// EachFrame calls fn for the frames of a Frames event, in their order, and reports whether
// the payload was well formed to its end.
func (e *Event) EachFrame(fn func(Frame)) bool {
	b := e.Head
	for len(b) >= record {
		n := int(binary.LittleEndian.Uint16(b[10:]))
		if record+n > len(b) {
			return false
		}
		fn(Frame{
			Length: uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]),
			Type:   b[3], Flags: b[4],
			Stream:  binary.BigEndian.Uint32(b[5:]) & 0x7fffffff,
			More:    b[9]&byte(bpf.SocketPartPART_MORE) != 0,
			Cut:     b[9]&byte(bpf.SocketPartPART_CUT) != 0,
			Open:    b[9]&byte(bpf.SocketPartPART_OPEN) != 0,
			Payload: b[record : record+n],
		})
		b = b[record+n:]
	}
	return len(b) == 0
}
