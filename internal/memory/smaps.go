package memory

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// mapping is one of a process's address space, sizes in bytes.
type mapping struct {
	start, end  uint64
	permissions string // "rw-p"
	file        bool   // of a file
	name        string // its path, or "[heap]"; "" for anonymous memory
	rss, pss    uint64
	anonymous   uint64
	swap        uint64
}

// parseSmaps reads /proc/PID/smaps.
func parseSmaps(r io.Reader) ([]mapping, error) {
	var out []mapping
	in := bufio.NewScanner(r)
	in.Buffer(nil, 64<<10) // a path has up to 4 kB, escaped up to 16
	for in.Scan() {
		line := in.Text()
		key, value, ok := strings.Cut(line, ":")
		if !ok || strings.ContainsAny(key, "- ") { // the head of a mapping; its device holds a colon
			m, err := parseMapping(line)
			if err != nil {
				return nil, err
			}
			out = append(out, m)
			continue
		}
		if len(out) == 0 {
			return nil, fmt.Errorf("smaps begins with %q", line)
		}
		if err := out[len(out)-1].set(key, value); err != nil {
			return nil, fmt.Errorf("line %q of smaps: %w", line, err)
		}
	}
	return out, in.Err()
}

func (m *mapping) set(key, value string) (err error) {
	var to *uint64
	switch key {
	case "Rss":
		to = &m.rss
	case "Pss":
		to = &m.pss
	case "Anonymous":
		to = &m.anonymous
	case "Swap":
		to = &m.swap
	default:
		return nil
	}
	*to, err = kilobytes(value)
	return err
}

// parseMapping reads "7f1c2a000000-7f1c2a021000 rw-p 00000000 00:00 0   [heap]".
func parseMapping(line string) (m mapping, err error) {
	f := strings.Fields(line)
	if len(f) < 5 {
		return m, fmt.Errorf("mapping %q has too few fields", line)
	}
	from, to, ok := strings.Cut(f[0], "-")
	if !ok {
		return m, fmt.Errorf("mapping %q has no range", line)
	}
	if m.start, err = strconv.ParseUint(from, 16, 64); err != nil {
		return m, fmt.Errorf("mapping %q: %w", line, err)
	}
	if m.end, err = strconv.ParseUint(to, 16, 64); err != nil {
		return m, fmt.Errorf("mapping %q: %w", line, err)
	}
	m.permissions, m.file = f[1], f[4] != "0"
	m.name = strings.Join(f[5:], " ")
	return m, nil
}
