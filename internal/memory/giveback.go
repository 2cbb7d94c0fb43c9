package memory

import (
	"encoding/binary"
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
	return GiveBackProgram()
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

// GiveBackProgram returns the pages of the program's code and constants alone. Most come back as a page or a recording is
// written, or the target's processes change, and are then not used for long.
func GiveBackProgram() error {
	mappings, program, err := ownMappings()
	if err != nil {
		return err
	}
	for _, m := range mappings {
		if !droppable(&m, program) {
			continue
		}
		runs := []pageRun{{m.start, m.end}}
		if m.anonymous > 0 || m.swap > 0 {
			if runs, err = cleanRuns(&m); err != nil {
				return err
			}
		}
		for _, r := range runs {
			if _, _, errno := unix.Syscall(unix.SYS_MADVISE, uintptr(r.start), uintptr(r.end-r.start), unix.MADV_DONTNEED); errno != 0 {
				return fmt.Errorf("give back %x-%x of this program: %w", r.start, r.end, errno)
			}
		}
	}
	return nil
}

// droppable: code and constants of the program, which nobody writes to as a rule.
func droppable(m *mapping, program string) bool {
	return m.name == program && strings.HasPrefix(m.permissions, "r") && m.permissions[1] != 'w'
}

type pageRun struct{ start, end uint64 }

// cleanRuns are the parts of a mapping in which all is as in the file. What was written to, as relocations are and where
// a trap was set, exists nowhere else.
func cleanRuns(m *mapping) ([]pageRun, error) {
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	page := uint64(os.Getpagesize())
	words := make([]byte, (m.end-m.start)/page*8)
	if _, err := f.ReadAt(words, int64(m.start/page*8)); err != nil {
		return nil, fmt.Errorf("read /proc/self/pagemap: %w", err)
	}
	return clean(words, m.start, page), nil
}

// clean reads the words of /proc/PID/pagemap, from an address on (Documentation/admin-guide/mm/pagemap.rst).
func clean(words []byte, start, page uint64) (runs []pageRun) {
	const present, swapped, ofFile = 1 << 63, 1 << 62, 1 << 61
	for at := start; len(words) >= 8; words, at = words[8:], at+page {
		w := binary.NativeEndian.Uint64(words)
		if w&swapped != 0 || w&present != 0 && w&ofFile == 0 {
			continue
		}
		if n := len(runs); n > 0 && runs[n-1].end == at {
			runs[n-1].end += page
		} else {
			runs = append(runs, pageRun{at, at + page})
		}
	}
	return runs
}
