package target

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/arch/x86/x86asm"
)

// site is a place where a function was built into another: the size is register + plus there.
type site struct {
	address  uint64
	register int // word of struct pt_regs, or None
	plus     uint32
}

// ptRegs is where struct pt_regs keeps each general register, from RAX to R15 as machine code numbers them.
var ptRegs = [...]int{10, 11, 12, 5, 19, 4, 13, 14, 9, 8, 7, 6, 3, 2, 1, 0}

func word(r x86asm.Reg) int {
	r = wide(r)
	if r < x86asm.RAX || r > x86asm.R15 {
		return None
	}
	return ptRegs[r-x86asm.RAX]
}

func (x86) argument(n int) int {
	order := []x86asm.Reg{x86asm.RDI, x86asm.RSI, x86asm.RDX, x86asm.RCX}
	if n < 1 || n > len(order) {
		return None
	}
	return word(order[n-1])
}

// slotBehind follows a function that calls through a table: `return table.malloc(table.ctx, size)`. The table is a
// variable of its own or lies in one that is reached through the global offset table.
func (x x86) slotBehind(m *image, address uint64) (slot uint64, ok bool) {
	const longest = 64
	var base uint64
	var of x86asm.Reg
	x.walk(m, address, longest, func(at uint64, _ []byte, i x86asm.Inst) bool {
		for _, a := range i.Args {
			mem, isMem := a.(x86asm.Mem)
			if !isMem || mem.Index != 0 {
				continue
			}
			var field uint64
			switch {
			case mem.Base == x86asm.RIP:
				field = at + uint64(i.Len) + uint64(mem.Disp)
			case base != 0 && mem.Base == of:
				field = base + uint64(mem.Disp)
			default:
				continue
			}
			if _, isSlot := m.imports[field]; isSlot && i.Op == x86asm.MOV {
				of, _ = i.Args[0].(x86asm.Reg)
				base = m.pointer(field)
				continue
			}
			if target := m.pointer(field); m.isCode(target) {
				slot, ok = field, true
				return false
			}
		}
		return true
	})
	return slot, ok
}

// inlined finds where code compares a function pointer with the address of a function of which a copy follows:
//
//	cmp $F, %rax; jne slow; …the copy…      slow: …; mov size, %rsi; call *%rax
//
// The jump is an instruction that the kernel emulates, and what the other way puts in the second argument is the size.
// blind counts the places where that could not be followed. Addresses above 31 bits, as in code that may be
// loaded anywhere, are not looked for.
func (x x86) inlined(m *image, function uint64) (found []site, blind int) {
	if function == 0 || function >= 1<<31 || !m.fixed {
		return nil, 0
	}
	var want [4]byte
	binary.LittleEndian.PutUint32(want[:], uint32(function))
	for _, s := range m.segments {
		if !s.executable {
			continue
		}
		next := s.address // what lies before it was looked at
		m.scan(s, len(want)-1, func(address uint64, code []byte) bool {
			for from := next - min(next, address); ; {
				n := bytes.Index(code[min(from, uint64(len(code))):], want[:])
				if n < 0 {
					return true
				}
				from += uint64(n) + 1
				at := address + from - 1
				next = at + 1
				before := max(s.address, at-min(at, 3))
				if !comparesRegister(m.at(before, int(at-before))) {
					continue
				}
				if to, ok := x.branchAt(m, at+uint64(len(want))); ok {
					found = append(found, to)
				} else {
					blind++
				}
			}
		})
	}
	return found, blind
}

// comparesRegister says whether code ends with the beginning of `cmp $imm32, %r64`.
func comparesRegister(code []byte) bool {
	n := len(code)
	if n >= 2 && code[n-2] == 0x48 && code[n-1] == 0x3d {
		return true // %rax
	}
	return n >= 3 && (code[n-3] == 0x48 || code[n-3] == 0x49) && code[n-2] == 0x81 && code[n-1]&0xf8 == 0xf8
}

// branchAt reads the jump at an address, and from the way that does not lead to the copy what the size is.
func (x x86) branchAt(m *image, address uint64) (site, bool) {
	code := m.at(address, 16)
	i, err := x86asm.Decode(code, 64)
	if err != nil || !isEmulated(code) {
		return site{}, false
	}
	to, ok := relative(address, i)
	if !ok {
		return site{}, false
	}
	switch i.Op {
	case x86asm.JNE:
	case x86asm.JE:
		to = address + uint64(i.Len)
	default:
		return site{}, false
	}
	holds := holding{x86asm.RSI: {register: x86asm.RSI}}
	register, plus, ok := holds.untilCall(x, m, to)
	if !ok {
		return site{}, false
	}
	s := site{address: address, register: None, plus: plus}
	if register != 0 {
		s.register = word(register)
	}
	return s, true
}

// held is what a register holds: what another one held at the begin, plus a constant; without a register the
// constant alone.
type held struct {
	register x86asm.Reg
	plus     uint32
}

// holding is what registers hold that were written since; others hold what they held at the begin.
type holding map[x86asm.Reg]held

// untilCall follows the code to its next indirect call, and says what the second argument is.
func (h holding) untilCall(x x86, m *image, address uint64) (register x86asm.Reg, plus uint32, ok bool) {
	const jumps, steps = 3, 24
	lost := map[x86asm.Reg]bool{}
	next := address
	for range jumps {
		from := next
		next = 0
		n := 0
		x.walk(m, from, 8*steps, func(at uint64, _ []byte, i x86asm.Inst) bool {
			if n++; n > steps {
				return false
			}
			switch i.Op {
			case x86asm.CALL:
				if _, direct := relative(at, i); !direct {
					v := h[x86asm.RSI]
					register, plus, ok = v.register, v.plus, !lost[x86asm.RSI]
				}
				return false
			case x86asm.JMP:
				next, _ = relative(at, i)
				return false
			case x86asm.RET:
				return false
			}
			h.step(i, lost)
			return true
		})
		if next == 0 {
			break
		}
	}
	return register, plus, ok
}

// step takes an instruction into account.
func (h holding) step(i x86asm.Inst, lost map[x86asm.Reg]bool) {
	to, isReg := i.Args[0].(x86asm.Reg)
	if !isReg {
		return
	}
	to = wide(to)
	if !writes(i, to) {
		return
	}
	value, known := h.value(i, lost)
	if !known {
		lost[to] = true
		return
	}
	delete(lost, to)
	h[to] = value
}

func (h holding) value(i x86asm.Inst, lost map[x86asm.Reg]bool) (held, bool) {
	of := func(r x86asm.Reg) (held, bool) {
		r = wide(r)
		if v, written := h[r]; written || lost[r] {
			return v, !lost[r]
		}
		return held{register: r}, true
	}
	switch a := i.Args[1].(type) {
	case x86asm.Imm:
		return held{plus: uint32(a)}, i.Op == x86asm.MOV && a >= 0
	case x86asm.Reg:
		if i.Op == x86asm.MOV {
			return of(a)
		}
	case x86asm.Mem:
		if i.Op == x86asm.LEA && a.Index == 0 && a.Base != 0 && a.Base != x86asm.RIP && a.Disp >= 0 {
			v, known := of(a.Base)
			v.plus += uint32(a.Disp)
			return v, known
		}
	}
	return held{}, false
}
