package event

import (
	"bytes"
	"net/netip"
	"testing"
	"unsafe"

	"github.com/ragscope/ragscope/bpf"
)

// raw lays out a record as the kernel side does.
func raw(t testing.TB, e bpf.SocketEvent, head, tail string) []byte {
	t.Helper()
	e.Head, e.Tail = uint16(len(head)), uint16(len(tail))
	b := unsafe.Slice((*byte)(unsafe.Pointer(&e)), unsafe.Sizeof(e))
	return append(append(bytes.Clone(b), head...), tail...)
}

func TestDecode(t *testing.T) {
	b := raw(t, bpf.SocketEvent{
		Time: 7, Arrive: 5, Sock: 1 << 40, Context: 0x7f00, Other: 9, Pid: 11, Tid: 12, Len: 3000, Lport: 8000, Rport: 6379,
		Type: uint8(Recv), Flags: uint8(Inbound | Midway),
	}, "head", "ta")
	var e Event
	if err := Decode(append(b, "what follows"...), &e); err != nil {
		t.Fatal(err)
	}
	if e.Time != 7 || e.Arrive != 5 || e.Sock != 1<<40 || e.Context != 0x7f00 || e.Other != 9 || e.PID != 11 || e.TID != 12 ||
		e.Len != 3000 || e.LPort != 8000 || e.RPort != 6379 || e.Type != Recv || string(e.Head) != "head" || string(e.Tail) != "ta" {
		t.Errorf("%+v", e)
	}
	if !e.Has(Inbound) || !e.Has(Midway|Inbound) || e.Has(Inbound|Desync) {
		t.Errorf("flags %b", e.Flags)
	}
}

func TestDecodeDamaged(t *testing.T) {
	whole := raw(t, bpf.SocketEvent{Type: uint8(Recv)}, "head", "tail")
	for n := range len(whole) {
		var e Event
		if err := Decode(whole[:n], &e); err == nil {
			t.Fatalf("%d of %d bytes decode", n, len(whole))
		}
	}
}

func TestAddresses(t *testing.T) {
	four := "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x7f\x00\x00\x01"
	six := string(netip.MustParseAddr("2001:db8::1").AsSlice())
	tests := []struct{ head, local, remote string }{
		{four + four, "127.0.0.1:8000", "127.0.0.1:6379"},
		{six + four, "[2001:db8::1]:8000", "127.0.0.1:6379"},
		{four, "invalid AddrPort", "invalid AddrPort"},
		{"", "invalid AddrPort", "invalid AddrPort"},
	}
	for _, tt := range tests {
		e := Event{LPort: 8000, RPort: 6379, Head: []byte(tt.head)}
		local, remote := e.Addresses()
		if local.String() != tt.local || remote.String() != tt.remote {
			t.Errorf("%x: %s and %s, want %s and %s", tt.head, local, remote, tt.local, tt.remote)
		}
	}
}

func frameRecord(header string, payload string, claimed int) string {
	return header + "\x00" + string([]byte{byte(claimed), byte(claimed >> 8)}) + payload
}

func TestEachFrame(t *testing.T) {
	one := frameRecord("\x00\x01\x02\x01\x04\x80\x00\x00\x07", "abc", 3) // the reserved bit is no part of the stream's number
	two := frameRecord("\x00\x00\x00\x04\x01\x00\x00\x00\x00", "", 0)
	tests := map[string]struct {
		head   string
		frames int
		whole  bool
	}{
		"none": {"", 0, true}, "two": {one + two, 2, true}, "cut in a header": {one + two[:5], 1, false},
		"cut in a payload": {two + one[:len(one)-1], 1, false}, "a claim too large": {frameRecord("123456789", "abc", 400), 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []Frame
			e := Event{Head: []byte(tt.head)}
			if whole := e.EachFrame(func(f Frame) { got = append(got, f) }); whole != tt.whole || len(got) != tt.frames {
				t.Fatalf("%d frames, whole %t", len(got), whole)
			}
			for _, f := range got {
				if f.Type == 1 && (f.Length != 258 || f.Flags != 4 || f.Stream != 7 || string(f.Payload) != "abc") {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}
