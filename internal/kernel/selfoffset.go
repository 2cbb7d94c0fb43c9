package kernel

import (
	"debug/elf"
	"fmt"
)

// fileOffset returns where the code at an address of our own text lies in our file.
func fileOffset(address uintptr) (uint64, error) {
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return 0, fmt.Errorf("read own program: %w", err)
	}
	defer f.Close()
	if f.Type != elf.ET_EXEC {
		return 0, fmt.Errorf("own program is position independent: build it with -buildmode=exe to price traps")
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && uint64(address) >= p.Vaddr && uint64(address) < p.Vaddr+p.Filesz {
			return uint64(address) - p.Vaddr + p.Off, nil
		}
	}
	return 0, fmt.Errorf("address %#x is in no segment of our program", address)
}
