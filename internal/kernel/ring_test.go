package kernel

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

const recordSize = 100 // no part of a page: every 37th record is cut by the end

// writer returns programs that put the first recordSize bytes of a packet into m, and that discard a record.
func writer(t *testing.T, m *ebpf.Map) (put, discard *ebpf.Program) {
	t.Helper()
	load := func(ins asm.Instructions) *ebpf.Program {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: ins})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	const room = 104
	put = load(asm.Instructions{
		asm.Mov.Imm(asm.R2, 0),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, -room),
		asm.Mov.Imm(asm.R4, recordSize),
		asm.FnSkbLoadBytes.Call(),
		asm.JNE.Imm(asm.R0, 0, "end"),
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -room),
		asm.Mov.Imm(asm.R3, recordSize),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnRingbufOutput.Call(),
		asm.Return().WithSymbol("end"),
	})
	discard = load(asm.Instructions{
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Imm(asm.R2, recordSize),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnRingbufReserve.Call(),
		asm.JEq.Imm(asm.R0, 0, "end"),
		asm.Mov.Reg(asm.R1, asm.R0),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRingbufDiscard.Call(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("end"),
		asm.Return(),
	})
	return put, discard
}

// Every record comes out once, in order and whole, also the ones that the end of the ring cuts, and none that was discarded.
func TestRing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, nothing was proved: needs root for BPF")
	}
	size := os.Getpagesize()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: uint32(size)})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	r, err := openRing(m)
	if err != nil {
		t.Fatal(err)
	}
	put, discard := writer(t, m)
	packet := make([]byte, recordSize)
	write := func(p *ebpf.Program, n byte) uint32 {
		for i := range packet {
			packet[i] = n + byte(i)
		}
		result, err := p.Run(&ebpf.RunOptions{Data: packet})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	if r.next() != nil {
		t.Error("an empty ring has a record")
	}
	cut := 0
	for n := range 200 {
		before := binary.NativeEndian.Uint64(r.consumer) % uint64(size)
		if before+recordHeader+recordSize > uint64(size) {
			cut++
		}
		write(put, byte(n))
		if n%3 == 0 {
			write(discard, 0)
		}
		if got := r.next(); !bytes.Equal(got, packet) && (n%3 != 0 || got[0] != byte(n)) {
			t.Fatalf("record %d is %v", n, got)
		}
		if r.next() != nil {
			t.Fatalf("after record %d comes one more", n)
		}
	}
	if cut == 0 {
		t.Error("no record was cut by the end of the ring")
	}
	full := 0
	for write(put, byte(full)) == 0 {
		full++
	}
	for n := range full {
		if got := r.next(); len(got) != recordSize || got[recordSize-1] != byte(n+recordSize-1) {
			t.Fatalf("record %d of a full ring is %v", n, got)
		}
	}
	if r.next() != nil || full < size/(recordSize+recordHeader)-2 {
		t.Errorf("a full ring had %d records", full)
	}
	if err := r.close(); err != nil {
		t.Error(err)
	}
	if r.next() != nil || r.close() != nil {
		t.Error("a closed ring has a record, or cannot be closed again")
	}
}
