package target

import (
	"debug/elf"
	"encoding/binary"
	"testing"
)

// The code of functions as disassembled from real builds; a comment tells which.

func TestX86Trap(t *testing.T) {
	for _, c := range []struct {
		name     string
		code     string
		argument int
		delta    uint64
		emulated bool
	}{
		{"push at the entry (PyContext_Enter, 3.12)", "\x53\x48\x89\xfb", 1, 0, true},
		{"push r12", "\x41\x54\x55", 1, 0, true},
		{"after endbr64", "\xf3\x0f\x1e\xfa\x55", 1, 4, true},
		{"jne behind sub, mov, cmp (PyContext_Enter, 3.8)", "\x48\x83\xec\x08\x48\x8b\x05\x75\x10\x19\x00\x48\x39\x47\x08\x75\x47", 1, 15, true},
		{"rsi overwritten before jne: the first argument is still there", "\x48\x8b\x35\x00\x00\x00\x00\x75\x10", 1, 7, true},
		{"the second is not", "\x48\x8b\x35\x00\x00\x00\x00\x75\x10", 2, 0, false},
		{"je behind cmpb and mov (epoll_wait, glibc 2.36)", "\x80\x3d\xf1\x26\x0d\x00\x00\x41\x89\xca\x74\x14", 0, 10, true},
		{"edi written: rdi is lost", "\x89\xc7\x55", 1, 0, false},
		{"xor edi,edi", "\x31\xff\x55", 1, 0, false},
		{"string instruction", "\x48\xab\x55", 1, 0, false},
		{"nothing before ret", "\x31\xc0\xc3\x55", 1, 0, false},
		{"a call with a prefix is not emulated", "\x66\x66\x48\xe8\x00\x00\x00\x00\xc3", 1, 0, false},
		{"indirect jump", "\xff\xe0\x55", 1, 0, false},
		{"not code", "\x06\x06", 1, 0, false},
	} {
		m := mustRead(t, builtImage(elf.EM_X86_64, []byte(c.code), words(0)))
		delta, emulated := x86{}.trap(m, 0x1000, c.argument)
		if delta != c.delta || emulated != c.emulated {
			t.Errorf("%s: +%d %v, want +%d %v", c.name, delta, emulated, c.delta, c.emulated)
		}
	}
}

// TestX86Entry looks for the trap of a return probe, which takes the top of the stack for the return address.
func TestX86Entry(t *testing.T) {
	for _, c := range []struct {
		name     string
		code     string
		delta    uint64
		emulated bool
	}{
		{"push at the entry", "\x53\x48\x89\xfb", 0, true},
		{"after endbr64", "\xf3\x0f\x1e\xfa\x55", 4, true},
		{"je behind cmpb and mov (accept4, glibc 2.36)", "\x80\x3d\x81\x06\x0d\x00\x00\x41\x89\xca\x74\x14", 10, true},
		{"the return address is deeper behind sub", "\x48\x83\xec\x08\x48\x39\x47\x08\x75\x47", 0, false},
		{"and elsewhere behind pop", "\x58\x75\x47", 0, false},
		{"an argument is lost", "\x31\xff\x55", 0, false},
	} {
		m := mustRead(t, builtImage(elf.EM_X86_64, []byte(c.code), words(0)))
		if delta, emulated := (x86{}).entry(m, 0x1000); delta != c.delta || emulated != c.emulated {
			t.Errorf("%s: +%d %v, want +%d %v", c.name, delta, emulated, c.delta, c.emulated)
		}
	}
}

func TestX86Accessor(t *testing.T) {
	for _, c := range []struct {
		name  string
		code  string
		field uint64
		ok    bool
	}{
		{"mov 0x48(%rdi),%rax", "\x48\x8b\x47\x48\xc3", 0x48, true},
		{"behind endbr64", "\xf3\x0f\x1e\xfa\x48\x8b\x47\x10\xc3", 0x10, true},
		{"a global", "\x48\x8b\x05\xf9\x1f\x00\x00\xc3", 0x3000, true},
		{"through the global offset table", "\x48\x8b\x05\x01\x20\x00\x00\x48\x8b\x40\x28\xc3", 0x3028, true},
		{"more than an accessor", "\x53\x48\x8b\x47\x48\xc3", 0, false},
		{"thread-local", "\x64\x48\x8b\x04\x25\x00\x00\x00\x00\xc3", 0, false},
	} {
		m := mustRead(t, builtImage(elf.EM_X86_64, []byte(c.code), words(0, 0x3000)))
		m.imports[0x3008] = "_PyRuntime"
		field, ok := x86{}.accessor(m, 0x1000)
		if ok != c.ok || ok && field != c.field {
			t.Errorf("%s: %#x %v, want %#x %v", c.name, field, ok, c.field, c.ok)
		}
	}
}

func TestX86Handover(t *testing.T) {
	for _, c := range []struct {
		name     string
		code     string
		target   uint64
		argument int
	}{
		{"mov %rdi,%rsi; mov x,%rdi; jmp (PyContext_Enter, Debian 3.11)", "\x48\x89\xfe\x48\x8b\x3d\x2b\xad\x56\x00\xe9\xf1\x00\x00\x00", 0x1100, 2},
		{"saved over a call (PyContext_Exit, clang 3.12)", "\x53\x48\x89\xfb\xe8\x00\x00\x00\x00\x48\x8b\x38\x48\x89\xde\x5b\xe9\xeb\x00\x00\x00", 0x1100, 2},
		{"lost over a call", "\xe8\x00\x00\x00\x00\xe9\xf6\x00\x00\x00", 0, 0},
		{"jmp", "\xe9\xfb\x00\x00\x00", 0x1100, 1},
		{"the argument is lost", "\x31\xff\xe9\xf9\x00\x00\x00", 0, 0},
		{"no jump", "\x55\xc3", 0, 0},
	} {
		m := mustRead(t, builtImage(elf.EM_X86_64, []byte(c.code), words(0)))
		target, argument := x86{}.handover(m, 0x1000, len(c.code))
		if target != c.target || argument != c.argument {
			t.Errorf("%s: %#x %d, want %#x %d", c.name, target, argument, c.target, c.argument)
		}
	}
}

func TestStubs(t *testing.T) {
	x := mustRead(t, builtImage(elf.EM_X86_64, []byte("\xf3\x0f\x1e\xfa\xff\x25\xfe\x1f\x00\x00"), words(0, 0)))
	if slot, ok := (x86{}).stub(x, 0x1000); !ok || slot != 0x3008 {
		t.Errorf("x86-64: %#x %v, want 0x3008", slot, ok)
	}
	// adrp x16, 0x3000; ldr x17, [x16, #8]; add x16, x16, #8; br x17
	a := mustRead(t, builtImage(elf.EM_AARCH64, instructions(0xd0000010, 0xf9400611, 0x91002210, 0xd61f0220), words(0, 0)))
	if slot, ok := (arm64{}).stub(a, 0x1000); !ok || slot != 0x3008 {
		t.Errorf("arm64: %#x %v, want 0x3008", slot, ok)
	}
}

func instructions(w ...uint32) []byte {
	var b []byte
	for _, v := range w {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

func TestArm64Accessor(t *testing.T) {
	for _, c := range []struct {
		name  string
		code  []byte
		field uint64
		ok    bool
	}{
		{"ldr x0, [x0, #72]; ret", instructions(0xf9402400, armReturn), 72, true},
		{"bti c first", instructions(armBTI, 0xf9400800, armReturn), 16, true},
		{"adrp x0, 0x3000; ldr x0, [x0, #16]", instructions(0xd0000000, 0xf9400800, armReturn), 0x3010, true},
		{"adrp, add, ldr", instructions(0xd0000000, 0x91004000, 0xf9401400, armReturn), 0x3010 + 40, true},
		{"adrp x0; ldr x0, [x0, #8] (its slot); ldr x0, [x0, #40]", instructions(0xd0000000, 0xf9400400, 0xf9401400, armReturn), 0x3028, true},
		{"stp x29, x30 first", instructions(0xa9bf7bfd, 0xf9402400), 0, false},
	} {
		m := mustRead(t, builtImage(elf.EM_AARCH64, c.code, words(0, 0x3000)))
		m.imports[0x3008] = "_PyRuntime"
		field, ok := arm64{}.accessor(m, 0x1000)
		if ok != c.ok || ok && field != c.field {
			t.Errorf("%s: %#x %v, want %#x %v", c.name, field, ok, c.field, c.ok)
		}
	}
}

func TestArm64Branches(t *testing.T) {
	// mov x1, x0; adrp x0; ldr x0, [x0, #8]; b +0x100 (tail call), and a bl backwards.
	m := mustRead(t, builtImage(elf.EM_AARCH64, instructions(0xaa0003e1, 0xd0000000, 0xf9400400, 0x14000040), words(0)))
	if to, argument := (arm64{}).handover(m, 0x1000, 16); to != 0x110c || argument != 2 {
		t.Errorf("handover %#x %d, want 0x110c 2", to, argument)
	}
	m = mustRead(t, builtImage(elf.EM_AARCH64, instructions(0xd0000000, 0x14000040), words(0)))
	if to, argument := (arm64{}).handover(m, 0x1000, 8); to != 0 || argument != 0 {
		t.Errorf("handover with x0 overwritten %#x %d, want none", to, argument)
	}
	m = mustRead(t, builtImage(elf.EM_AARCH64, instructions(armReturn, 0x97ffffff), words(0)))
	if to := (arm64{}).calls(m, 0x1000, 8); len(to) != 1 || to[0] != 0x1000 {
		t.Errorf("calls %#x, want 0x1000", to)
	}
}

func TestContextOffsetIsUnambiguous(t *testing.T) {
	// cmp %rdi,0xe0(%rbp); mov %rax,0xe0(%rbp); addq $1,0xe8(%rbp); ret
	one := "\x48\x39\xbd\xe0\x00\x00\x00\x48\x89\x85\xe0\x00\x00\x00\x48\x83\x85\xe8\x00\x00\x00\x01"
	// the same again at 0x100
	two := "\x48\x39\xbd\x00\x01\x00\x00\x48\x89\x85\x00\x01\x00\x00\x48\x83\x85\x08\x01\x00\x00\x01"
	for _, c := range []struct {
		code string
		want uint32
		ok   bool
	}{{one + "\xc3", 224, true}, {one + two + "\xc3", 0, false}, {"\xc3", 0, false}} {
		m := mustRead(t, builtImage(elf.EM_X86_64, []byte(c.code), words(0)))
		m.symbols["PyContext_Exit"] = symbol{0x1000, uint64(len(c.code))}
		if got, ok := contextOffset(m, x86{}); got != c.want || ok != c.ok {
			t.Errorf("%d %v, want %d %v", got, ok, c.want, c.ok)
		}
	}
}

// TestFindOffsetsRefuses checks that a layout that is not the expected one is an error.
func TestFindOffsetsRefuses(t *testing.T) {
	// PyThreadState_Next reads offset 16 where 8 is expected.
	m := mustRead(t, builtImage(elf.EM_X86_64, []byte("\x48\x8b\x47\x10\xc3"), words(0)))
	m.symbols["PyThreadState_Next"] = symbol{0x1000, 5}
	if _, err := findOffsets(m, x86{}, 11); err == nil {
		t.Error("a wrong offset was accepted")
	}
	m = mustRead(t, builtImage(elf.EM_X86_64, []byte("\xc3"), words(0)))
	if _, err := findOffsets(m, x86{}, 11); err != nil {
		t.Errorf("nothing to check against, but %v", err)
	}
	if _, err := findOffsets(m, x86{}, 13); err == nil {
		t.Error("3.13 without its table was accepted")
	}
	if _, err := findOffsets(m, x86{}, 14); err == nil {
		t.Error("an unknown version was accepted")
	}
}
