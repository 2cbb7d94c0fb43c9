package memory

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process is one that is watched. Its folder in /proc is held open: once the process has ended,
// reading through it fails, also where another process has taken the number.
type process struct {
	dir  *os.Root
	base float64 // CPU seconds before the sampler's start
	cpu  float64 // CPU seconds at the last reading
	rss  uint64  // then
}

// errEnded is what reading a process that has ended says.
var errEnded = errors.New("it has ended")

// counters are the kernel's own figures of a process, in bytes. They cost three small files of
// /proc, about 70 µs in all (BenchmarkSample), whatever the size of the process.
type counters struct {
	rss, vms, swap      uint64
	anonymous           uint64
	threads, fds        int
	cpu, started        float64 // seconds of CPU; seconds since boot
	name                string
	withoutAddressSpace bool // a zombie
}

func open(pid int) (*process, error) {
	dir, err := os.OpenRoot("/proc/" + strconv.Itoa(pid))
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, errEnded
		}
		return nil, err
	}
	return &process{dir: dir}, nil
}

func (p *process) close() { _ = p.dir.Close() } // nothing was written

// read takes the counters now.
func (p *process) read() (c counters, err error) {
	status, err := p.file("status")
	if err != nil {
		return c, err
	}
	if err := c.parseStatus(status); err != nil {
		return c, err
	}
	if c.withoutAddressSpace {
		return c, errEnded
	}
	stat, err := p.file("stat")
	if err != nil {
		return c, err
	}
	if err := c.parseStat(string(stat)); err != nil {
		return c, err
	}
	c.fds = p.openFiles()
	return c, nil
}

func (p *process) file(name string) ([]byte, error) {
	b, err := p.dir.ReadFile(name)
	return b, gone(name, err)
}

// gone says which file of a process could not be read, or that the process has ended.
func gone(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ESRCH), errors.Is(err, os.ErrNotExist):
		return errEnded
	}
	return fmt.Errorf("read %s: %w", name, err)
}

// openFiles counts the open file descriptors, 0 where that is not allowed. Since Linux 6.2 the
// size of the folder is their number.
func (p *process) openFiles() int {
	if info, err := p.dir.Stat("fd"); err == nil && info.Size() > 0 {
		return int(info.Size())
	}
	d, err := p.dir.Open("fd")
	if err != nil {
		return 0
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return 0
	}
	return len(names)
}

// parseStatus reads what proc(5) calls status: "VmRSS:      1234 kB".
func (c *counters) parseStatus(b []byte) error {
	found := 0
	for line := range bytes.Lines(b) {
		name, value, ok := strings.Cut(string(line), ":")
		if !ok {
			continue
		}
		to := (*uint64)(nil)
		switch name {
		case "VmSize":
			to = &c.vms
		case "VmRSS":
			to = &c.rss
		case "RssAnon":
			to = &c.anonymous
		case "VmSwap":
			to = &c.swap
		case "Threads":
			n, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil {
				return fmt.Errorf("line %q of status: %w", line, err)
			}
			c.threads = n
		}
		if to == nil {
			continue
		}
		n, err := kilobytes(value)
		if err != nil {
			return fmt.Errorf("line %q of status: %w", line, err)
		}
		*to = n
		found++
	}
	c.withoutAddressSpace = found == 0
	return nil
}

// kilobytes reads "   1234 kB" as bytes.
func kilobytes(s string) (uint64, error) {
	n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(s), " kB"), 10, 64)
	return n << 10, err
}

// parseStat reads the CPU time and the start of `pid (name) state …`; the name may hold spaces
// and brackets. The unit is 1/100 s on every architecture, whatever the kernel's own.
func (c *counters) parseStat(line string) error {
	start, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if start < 0 || end < start {
		return fmt.Errorf("no process name in stat %q", line)
	}
	c.name = line[start+1 : end]
	const user, system, started = 11, 12, 19 // fields 14, 15 and 22 of proc(5)
	f := strings.Fields(line[end+1:])
	if len(f) <= started {
		return fmt.Errorf("too few fields in stat %q", line)
	}
	var sum float64
	for _, field := range [...]int{user, system} {
		v, err := strconv.ParseUint(f[field], 10, 64)
		if err != nil {
			return fmt.Errorf("stat %q: %w", line, err)
		}
		sum += float64(v) / 100
	}
	born, err := strconv.ParseUint(f[started], 10, 64)
	if err != nil {
		return fmt.Errorf("stat %q: %w", line, err)
	}
	c.cpu, c.started = sum, float64(born)/100
	return nil
}

// mappings reads smaps: all mappings with their pages counted.
func (p *process) mappings() ([]mapping, error) {
	f, err := p.dir.Open("smaps")
	if err != nil {
		return nil, gone("smaps", err)
	}
	defer f.Close()
	maps, err := parseSmaps(f)
	return maps, gone("smaps", err)
}
