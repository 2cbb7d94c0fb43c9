package target

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// mapping is a line of /proc/PID/maps that belongs to a file.
type mapping struct {
	start, end, offset uint64
	path               string // as the process sees it
	deleted            bool   // the file was replaced on disk since
}

// readMaps lists the file mappings of a process in address order.
func readMaps(pid int) ([]mapping, error) {
	f, err := os.Open(procPath(pid, "maps"))
	if err != nil {
		return nil, fmt.Errorf("read the mappings of process %d: %w", pid, err)
	}
	defer f.Close() //nolint:errcheck // read only
	return parseMaps(f)
}

func parseMaps(r io.Reader) ([]mapping, error) {
	var list []mapping
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if m, ok := parseMapping(lines.Text()); ok {
			list = append(list, m)
		}
	}
	return list, lines.Err()
}

// parseMapping reads `start-end perms offset dev inode   path`.
func parseMapping(line string) (mapping, bool) {
	head := strings.Fields(line)
	slash := strings.IndexByte(line, '/')
	if len(head) < 6 || slash < 0 || !strings.HasPrefix(head[5], "/") {
		return mapping{}, false
	}
	from, to, _ := strings.Cut(head[0], "-")
	start, err1 := strconv.ParseUint(from, 16, 64)
	end, err2 := strconv.ParseUint(to, 16, 64)
	offset, err3 := strconv.ParseUint(head[2], 16, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return mapping{}, false
	}
	m := mapping{start: start, end: end, offset: offset}
	m.path, m.deleted = strings.CutSuffix(line[slash:], " (deleted)")
	m.path = strings.ReplaceAll(m.path, `\012`, "\n")
	return m, true
}

// library is a file mapped by a process, opened for analysis.
type library struct {
	*image
	code machine
	path string // openable from here: /proc/PID/root/…
	name string // as the process sees it
	bias uint64 // address in the process = address in the file + bias
}

// close ends the reading of its file; of no library, nothing.
func (l *library) close() {
	if l != nil {
		l.image.close()
	}
}

// openLibrary opens the first mapped file whose base name satisfies match and that accept likes. The caller closes it.
// It returns nil without an error when none does.
func openLibrary(pid int, maps []mapping, match func(base string) bool, accept func(*image) bool) (*library, error) {
	tried := map[string]bool{}
	var last error
	for _, m := range maps {
		if tried[m.path] || !match(filepath.Base(m.path)) {
			continue
		}
		tried[m.path] = true
		path := procPath(pid, "root") + m.path
		if m.deleted {
			path = procPath(pid, fmt.Sprintf("map_files/%x-%x", m.start, m.end))
		}
		img, err := openImage(path)
		if err != nil {
			last = err
			continue
		}
		code := machineOf(img.machine)
		bias, ok := biasOf(img, m)
		if code == nil || !accept(img) || !ok {
			img.close()
			continue
		}
		return &library{image: img, code: code, path: path, name: m.path, bias: bias}, nil
	}
	return nil, last
}

// biasOf compares a mapping with the segment it shows.
func biasOf(img *image, m mapping) (uint64, bool) {
	if img.fixed {
		return 0, true
	}
	const page = 4096
	for _, s := range img.segments {
		if s.offset&^(page-1) == m.offset {
			return m.start - s.address&^(page-1), true
		}
	}
	return 0, false
}

// probe describes a trap at the function at address, at its first emulated instruction.
func (l *library) probe(name string, address uint64, argument int) *Probe {
	delta, emulated := l.code.trap(l.image, address, argument)
	return l.describe(name, address, argument, delta, emulated)
}

// entry describes a trap for a return probe of the function at address, as near to its start as that needs.
func (l *library) entry(name string, address uint64) *Probe {
	delta, emulated := l.code.entry(l.image, address)
	return l.describe(name, address, 0, delta, emulated)
}

func (l *library) describe(name string, address uint64, argument int, delta uint64, emulated bool) *Probe {
	offset, ok := l.fileOffset(address + delta)
	if !ok || !l.isCode(address) {
		return nil
	}
	return &Probe{Name: name, Path: l.path, Offset: offset, Arg: argument, Emulated: emulated, Delta: delta}
}
