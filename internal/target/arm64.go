package target

import "encoding/binary"

// arm64 reads AArch64 machine code: the handful of fixed-width encodings that are needed, from
// the Arm Architecture Reference Manual, C4.1.
type arm64 struct{}

var _ machine = arm64{}

// walk calls f with each instruction of n bytes from address until it returns false.
func (arm64) walk(m *image, address uint64, n int, f func(at uint64, w uint32) bool) {
	for code := m.at(address, n); len(code) >= 4; code = code[4:] {
		if !f(address, binary.LittleEndian.Uint32(code)) {
			return
		}
		address += 4
	}
}

const (
	armStack  = 31 // register number 31 as a base is the stack pointer
	armReturn = 0xd65f03c0
	armBTI    = 0xd503245f // bti c
)

// armBranch decodes B and BL: a signed count of instructions.
func armBranch(at uint64, w uint32) (to uint64, link, ok bool) {
	if w&0x7c000000 != 0x14000000 {
		return 0, false, false
	}
	words := int64(int32(w<<6) >> 6)
	return at + uint64(words*4), w>>31 == 1, true
}

// armPage decodes ADRP: the 4 KiB page of a symbol, relative to that of the instruction.
func armPage(at uint64, w uint32) (register uint32, page uint64, ok bool) {
	if w&0x9f000000 != 0x90000000 {
		return 0, 0, false
	}
	pages := int64(int32((w>>5&0x7ffff)<<2|(w>>29&3))<<11) >> 11
	return w & 31, at&^0xfff + uint64(pages<<12), true
}

// armAccess decodes a load or store of 64 bits at an unsigned scaled offset from a register.
func armAccess(w uint32) (register, base uint32, displacement uint64, load, ok bool) {
	if w&0xff800000 != 0xf9000000 {
		return 0, 0, 0, false, false
	}
	return w & 31, w >> 5 & 31, uint64(w>>10&0xfff) * 8, w>>22&1 == 1, true
}

func (a arm64) calls(m *image, address uint64, n int) []uint64 {
	var to []uint64
	a.walk(m, address, n, func(at uint64, w uint32) bool {
		if t, _, ok := armBranch(at, w); ok {
			to = append(to, t)
		}
		return true
	})
	return to
}

// stub reads `adrp x16, page; ldr x17, [x16, #offset]; …`, with or without a BTI before it.
func (a arm64) stub(m *image, address uint64) (slot uint64, ok bool) {
	const entry = 16
	var page uint64
	var from uint32
	a.walk(m, address, entry, func(at uint64, w uint32) bool {
		if w == armBTI {
			return true
		}
		if r, p, isPage := armPage(at, w); isPage && page == 0 {
			from, page = r, p
			return true
		}
		if _, base, d, load, isAccess := armAccess(w); isAccess && load && page != 0 && base == from {
			slot, ok = page+d, true
		}
		return false
	})
	return slot, ok
}

// accessor follows addresses through ADRP and ADD until X0 is loaded.
func (a arm64) accessor(m *image, address uint64) (field uint64, ok bool) {
	const longest = 32
	held := map[uint32]uint64{0: 0} // register → address; X0 starts as the argument, a base of 0
	a.walk(m, address, longest, func(at uint64, w uint32) bool {
		if w == armBTI {
			return true
		}
		if r, p, isPage := armPage(at, w); isPage {
			held[r] = p
			return true
		}
		if w&0xff800000 == 0x91000000 { // add xd, xn, #imm12
			from, known := held[w>>5&31]
			held[w&31] = from + uint64(w>>10&0xfff)<<(12*(w>>22&1))
			return known
		}
		r, base, d, load, isAccess := armAccess(w)
		from, known := held[base]
		if isAccess && load && known {
			if _, isSlot := m.imports[from+d]; isSlot {
				held[r] = m.pointer(from + d)
				return true
			}
			field, ok = from+d, r == 0
		}
		return false
	})
	return field, ok
}

func (a arm64) fields(m *image, address uint64, n int) map[int64]int {
	seen := map[int64]int{}
	a.walk(m, address, n, func(_ uint64, w uint32) bool {
		if _, base, d, _, ok := armAccess(w); ok && base != armStack {
			seen[int64(d)]++
		}
		return true
	})
	return seen
}

func (a arm64) handover(m *image, address uint64, n int) (target uint64, argument int) {
	const move = 0xaa0003e0 // mov xd, xm
	argument = 1
	a.walk(m, address, n, func(at uint64, w uint32) bool {
		if t, link, ok := armBranch(at, w); ok {
			if !link && (t < address || t >= address+uint64(n)) {
				target = t
			}
			return false
		}
		switch {
		case w == armReturn:
			return false
		case w == move|1 && argument == 1: // mov x1, x0
			argument = 2
		case w&31 == argument64(argument): // most instructions name their result there
			argument = 0
		}
		return true
	})
	if target == 0 || argument == 0 {
		return 0, 0
	}
	return target, argument
}

// argument64 is the register of the n-th argument; none for 0.
func argument64(n int) uint32 {
	if n == 0 {
		return 32
	}
	return uint32(n - 1)
}

// trap is the function's entry: on arm64 no instruction is known here to be cheaper to trap.
func (arm64) trap(*image, uint64, int) (uint64, bool) { return 0, false }

func (arm64) entry(*image, uint64) (uint64, bool) { return 0, false }

// argument: the general registers come first in struct pt_regs, in their order.
func (arm64) argument(n int) int {
	if n < 1 || n > 8 {
		return None
	}
	return n - 1
}

// slotBehind and inlined are not known here, so CPython's own allocator is not found on arm64.
func (arm64) slotBehind(*image, uint64) (uint64, bool)         { return 0, false }
func (arm64) inlined(*image, uint64) (sites []site, blind int) { return nil, 0 }
