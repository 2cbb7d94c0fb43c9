package memory

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// GiveBack returns what this process has in memory and did not use of late: garbage, and the pages of its own file.
// Those are clean copies of what the kernel caches anyway; where one is needed again, it costs a page fault.
func GiveBack() error {
	debug.FreeOSMemory()
	return dropProgram()
}

// ownMappings are this process's, and the name of its program's file among them.
func ownMappings() (mappings []mapping, program string, err error) {
	if program, err = os.Readlink("/proc/self/exe"); err != nil {
		return nil, "", fmt.Errorf("find this program's file: %w", err)
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	mappings, err = parseSmaps(f)
	return mappings, program, err
}

// dropProgram unmaps the pages of the program's code and constants.
func dropProgram() error {
	mappings, program, err := ownMappings()
	if err != nil {
		return err
	}
	for _, m := range mappings {
		if !droppable(&m, program) {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, uintptr(m.start), uintptr(m.end-m.start), unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("give back %x-%x of this program: %w", m.start, m.end, errno)
		}
	}
	return nil
}

// droppable: what was written to, as relocations are, exists nowhere else.
func droppable(m *mapping, program string) bool {
	return m.name == program && strings.HasPrefix(m.permissions, "r") && m.permissions[1] != 'w' && m.anonymous == 0 && m.swap == 0
}
