package target

import "debug/elf"

// machine is what is read out of machine code. Both implementations work on any host, so that
// each can be tested everywhere; the one of the image's ELF header is used.
type machine interface {
	// calls lists the targets of direct calls and of direct jumps in n bytes from address.
	calls(m *image, address uint64, n int) []uint64
	// stub returns the slot of the global offset table through which a PLT entry at address jumps.
	stub(m *image, address uint64) (slot uint64, ok bool)
	// accessor reads a function that only returns a field: `return p->field` or
	// `return global.field`. The result is the field's offset from the argument, or its address.
	accessor(m *image, address uint64) (field uint64, ok bool)
	// fields counts how often each displacement from a register (other than the stack's and the
	// program counter) is used in n bytes from address.
	fields(m *image, address uint64, n int) map[int64]int
	// handover says which argument (1 or 2) holds the function's own first argument when it
	// jumps to the function it ends in; target is 0 when it does not end so.
	handover(m *image, address uint64, n int) (target uint64, argument int)
	// trap picks the instruction to trap in the function at address so that the argument-th
	// argument is still in its register, or the first four are, when argument is 0.
	trap(m *image, address uint64, argument int) (delta uint64, emulated bool)
	// entry picks one for a return probe: the first four arguments are still there, and the return address is where
	// the call left it.
	entry(m *image, address uint64) (delta uint64, emulated bool)
	// argument is the word of struct pt_regs that holds the n-th argument of a function, or None.
	argument(n int) int
	// slotBehind returns the variable through which a function calls another that lies in the same image.
	slotBehind(m *image, address uint64) (slot uint64, ok bool)
	// inlined finds the places where a copy of a function was built into others in front of a call through a
	// variable, and counts those where its second argument is not known.
	inlined(m *image, function uint64) (found []site, blind int)
}

// machineOf returns nil for a machine this package knows nothing about.
func machineOf(e elf.Machine) machine {
	switch e {
	case elf.EM_X86_64:
		return x86{}
	case elf.EM_AARCH64:
		return arm64{}
	}
	return nil
}

// maxBody bounds how much code of a function without a known size is looked at, in bytes.
const maxBody = 400

// callsName says whether n bytes at address call, or jump to, the exported function name,
// directly or through the PLT.
func (m *image) callsName(code machine, address uint64, n int, name string) bool {
	want := m.symbols[name].address
	for _, to := range code.calls(m, address, n) {
		if want != 0 && to == want {
			return true
		}
		if slot, ok := code.stub(m, to); ok && m.imports[slot] == name {
			return true
		}
	}
	return false
}
