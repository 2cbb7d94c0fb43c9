package target

import "golang.org/x/arch/x86/x86asm"

// x86 reads x86-64 machine code.
type x86 struct{}

var _ machine = x86{}

// walk decodes instructions of n bytes from address until f returns false or one is not understood.
func (x86) walk(m *image, address uint64, n int, f func(at uint64, code []byte, i x86asm.Inst) bool) {
	code := m.at(address, n)
	for len(code) > 0 {
		i, err := x86asm.Decode(code, 64)
		if isEndbr(code) { // CET's marker at the start of functions, which x86asm does not know
			i, err = x86asm.Inst{Op: x86asm.NOP, Len: 4}, nil
		}
		if err != nil || i.Op == 0 || i.Len <= 0 || i.Len > len(code) {
			return
		}
		if !f(address, code, i) {
			return
		}
		code = code[i.Len:]
		address += uint64(i.Len)
	}
}

func isEndbr(code []byte) bool {
	return len(code) >= 4 && code[0] == 0xf3 && code[1] == 0x0f && code[2] == 0x1e && code[3] == 0xfa
}

// relative returns where a direct call or jump goes.
func relative(at uint64, i x86asm.Inst) (uint64, bool) {
	rel, ok := i.Args[0].(x86asm.Rel)
	return at + uint64(i.Len) + uint64(int64(rel)), ok
}

func (x x86) calls(m *image, address uint64, n int) []uint64 {
	var to []uint64
	x.walk(m, address, n, func(at uint64, _ []byte, i x86asm.Inst) bool {
		if t, ok := relative(at, i); ok && (i.Op == x86asm.CALL || i.Op == x86asm.JMP) {
			to = append(to, t)
		}
		return true
	})
	return to
}

func (x x86) stub(m *image, address uint64) (slot uint64, ok bool) {
	const entry = 16
	x.walk(m, address, entry, func(at uint64, _ []byte, i x86asm.Inst) bool {
		if i.Op == x86asm.JMP {
			if mem, isMem := i.Args[0].(x86asm.Mem); isMem && mem.Base == x86asm.RIP {
				slot, ok = at+uint64(i.Len)+uint64(mem.Disp), true
			}
			return false
		}
		return i.Op == x86asm.NOP
	})
	return slot, ok
}

// accessor follows what RAX holds: an address loaded from the global offset table, or the field.
func (x x86) accessor(m *image, address uint64) (field uint64, ok bool) {
	const longest = 48
	var base uint64 // address that RAX holds, when a global's
	x.walk(m, address, longest, func(at uint64, _ []byte, i x86asm.Inst) bool {
		mem, isMem := i.Args[1].(x86asm.Mem)
		switch {
		case i.Op == x86asm.NOP:
		case i.Op == x86asm.XOR && i.Args[0] == i.Args[1] && i.Args[0] != x86asm.EAX: // -fzero-call-used-regs
		case i.Op == x86asm.RET:
			return false
		case i.Op == x86asm.MOV && isMem && i.Args[0] == x86asm.RAX && mem.Index == 0 && mem.Segment == 0:
			switch mem.Base {
			case x86asm.RIP:
				from := at + uint64(i.Len) + uint64(mem.Disp)
				if _, isSlot := m.imports[from]; isSlot {
					base = m.pointer(from)
				} else {
					field, ok = from, true
				}
			case x86asm.RAX:
				field, ok = base+uint64(mem.Disp), base != 0
			case x86asm.RDI:
				field, ok = uint64(mem.Disp), true
			default:
				ok = false
				return false
			}
		default: // more than an accessor
			ok = false
			return false
		}
		return true
	})
	return field, ok
}

func (x x86) fields(m *image, address uint64, n int) map[int64]int {
	seen := map[int64]int{}
	x.walk(m, address, n, func(_ uint64, _ []byte, i x86asm.Inst) bool {
		for _, a := range i.Args {
			mem, ok := a.(x86asm.Mem)
			if ok && mem.Base != 0 && mem.Base != x86asm.RIP && mem.Base != x86asm.RSP {
				seen[mem.Disp]++
			}
		}
		return true
	})
	return seen
}

// handover follows the first argument from register to register, over calls too.
func (x x86) handover(m *image, address uint64, n int) (target uint64, argument int) {
	holds := map[x86asm.Reg]bool{x86asm.RDI: true}
	x.walk(m, address, n, func(at uint64, _ []byte, i x86asm.Inst) bool {
		switch i.Op {
		case x86asm.JMP:
			t, ok := relative(at, i)
			if ok && (t < address || t >= address+uint64(n)) {
				target = t
			}
			return false
		case x86asm.RET:
			return false
		case x86asm.CALL:
			for r := range holds {
				if r != x86asm.RBX && r != x86asm.RBP && r < x86asm.R12 { // the callee may change it
					delete(holds, r)
				}
			}
			return true
		}
		from, _ := i.Args[1].(x86asm.Reg)
		copied := i.Op == x86asm.MOV && holds[from]
		for r := range holds {
			if writes(i, r) {
				delete(holds, r)
			}
		}
		if to, ok := i.Args[0].(x86asm.Reg); ok && copied {
			holds[to] = true
		}
		return true
	})
	switch {
	case target == 0:
	case holds[x86asm.RDI]:
		return target, 1
	case holds[x86asm.RSI]:
		return target, 2
	}
	return 0, 0
}

// argumentRegisters are the first four of the System V ABI.
var argumentRegisters = []x86asm.Reg{x86asm.RDI, x86asm.RSI, x86asm.RDX, x86asm.RCX}

// trap finds the first instruction that the kernel's uprobe code emulates, at which the wanted
// arguments are still in their registers and which is reached whatever the function does. Any other
// instruction is single-stepped through a debug trap, which costs ten times as much in a virtual
// machine. With none, the trap is the function's entry.
func (x x86) trap(m *image, address uint64, argument int) (delta uint64, emulated bool) {
	wanted := argumentRegisters
	if argument > 0 && argument <= len(wanted) {
		wanted = wanted[argument-1 : argument]
	}
	return x.emulated(m, address, wanted)
}

// entry finds the same, where the return address is at the top of the stack, too.
func (x x86) entry(m *image, address uint64) (delta uint64, emulated bool) {
	return x.emulated(m, address, append([]x86asm.Reg{x86asm.RSP}, argumentRegisters...))
}

// emulated finds the first such instruction in front of which none of the registers is changed.
func (x x86) emulated(m *image, address uint64, wanted []x86asm.Reg) (delta uint64, emulated bool) {
	const far = 96
	x.walk(m, address, far, func(at uint64, code []byte, i x86asm.Inst) bool {
		if isEmulated(code) {
			delta, emulated = at-address, true
			return false
		}
		switch i.Op {
		case x86asm.RET, x86asm.JMP, x86asm.CALL, x86asm.SYSCALL:
			return false
		}
		for _, r := range wanted {
			if writes(i, r) {
				return false
			}
		}
		return true
	})
	return delta, emulated
}

// isEmulated follows branch_setup_xol_ops and push_setup_xol_ops of the kernel's
// arch/x86/kernel/uprobes.c: direct call and jump, conditional jump, one-byte nop, and push of a
// general register. With an operand-size prefix (66) none of them is.
func isEmulated(code []byte) bool {
	if len(code) == 0 {
		return false
	}
	a, b := code[0], byte(0)
	if len(code) > 1 {
		b = code[1]
	}
	switch {
	case a >= 0x50 && a <= 0x57, a == 0x41 && b >= 0x50 && b <= 0x57: // push
		return true
	case a == 0x90, a == 0xe8, a == 0xe9, a == 0xeb: // nop, call, jmp
		return true
	case a >= 0x70 && a <= 0x7f, a == 0x0f && b&0xf0 == 0x80: // jcc
		return true
	}
	return false
}

// writes says whether i may change the 64-bit register r: generous, since a wrong "no" would make
// a trap read something else than an argument.
func writes(i x86asm.Inst, r x86asm.Reg) bool {
	switch i.Op {
	case x86asm.CMP, x86asm.TEST, x86asm.NOP, x86asm.BT:
		return false
	case x86asm.PUSH:
		return r == x86asm.RSP
	case x86asm.POP:
		to, ok := i.Args[0].(x86asm.Reg)
		return r == x86asm.RSP || ok && wide(to) == r
	case x86asm.MOV, x86asm.MOVZX, x86asm.MOVSX, x86asm.MOVSXD, x86asm.LEA,
		x86asm.ADD, x86asm.SUB, x86asm.AND, x86asm.OR, x86asm.XOR, x86asm.SHL, x86asm.SHR, x86asm.SAR,
		x86asm.INC, x86asm.DEC, x86asm.NEG, x86asm.NOT,
		x86asm.MOVAPS, x86asm.MOVUPS, x86asm.MOVDQA, x86asm.MOVDQU, x86asm.PXOR, x86asm.XORPS, x86asm.MOVQ, x86asm.MOVD:
		to, ok := i.Args[0].(x86asm.Reg)
		return ok && wide(to) == r
	}
	return true
}

// wide is the 64-bit register that r is a part of.
func wide(r x86asm.Reg) x86asm.Reg {
	switch {
	case r >= x86asm.AL && r <= x86asm.BL:
		return r - x86asm.AL + x86asm.RAX
	case r >= x86asm.AH && r <= x86asm.BH:
		return r - x86asm.AH + x86asm.RAX
	case r >= x86asm.SPB && r <= x86asm.R15B:
		return r - x86asm.SPB + x86asm.RSP
	case r >= x86asm.AX && r <= x86asm.R15W:
		return r - x86asm.AX + x86asm.RAX
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return r - x86asm.EAX + x86asm.RAX
	}
	return r
}
