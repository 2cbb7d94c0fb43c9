package memory

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

// unlimited is from where on a figure of cgroup v1 means none: it is the largest page-aligned one.
const unlimited = 1 << 62

// Limits holds the readings against limits; only What, Basis and Bytes of those are given.
func Limits(ticks []recording.MemoryTick, limits []recording.MemoryLimit) []recording.MemoryLimit {
	var peak uint64
	for _, t := range ticks {
		peak = max(peak, t.RSS)
	}
	out := slices.Clone(limits)
	for i := range out {
		l := &out[i]
		l.Peak, l.Of, l.Share = peak, "RSS of all processes", float64(peak)/float64(l.Bytes)
	}
	return out
}

// CgroupLimit is the smallest limit of a process's cgroup and of those around it; nil where there
// is none.
func CgroupLimit(pid int) (*recording.MemoryLimit, error) {
	bytes, file, err := cgroupLimit("/proc", "/sys/fs/cgroup", pid)
	if err != nil || bytes == 0 {
		return nil, err
	}
	return &recording.MemoryLimit{What: "cgroup", Basis: file, Bytes: bytes}, nil
}

// cgroupLimit is the smallest limit of a process's cgroup and of those around it, with the file
// that says so; 0 where there is none.
func cgroupLimit(proc, root string, pid int) (bytes uint64, file string, err error) {
	b, err := os.ReadFile(path.Join(proc, strconv.Itoa(pid), "cgroup"))
	if err != nil {
		return 0, "", err
	}
	seen := false
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3) // "4:memory:/path" of v1, "0::/path" of v2
		if len(f) < 3 {
			continue
		}
		var folders []string
		name := ""
		switch {
		case f[0] == "0" && f[1] == "":
			folders, name = []string{root, path.Join(root, "unified")}, "memory.max"
		case slices.Contains(strings.Split(f[1], ","), "memory"):
			folders, name = []string{path.Join(root, "memory")}, "memory.limit_in_bytes"
		}
		for _, folder := range folders {
			n, where, found := smallest(folder, f[2], name)
			seen = seen || found
			if n > 0 && (bytes == 0 || n < bytes) {
				bytes, file = n, where
			}
		}
	}
	if !seen {
		return 0, "", errors.New("the cgroup of the target has no memory controller, or lies outside of what can be seen here")
	}
	return bytes, file, nil
}

// smallest looks from a cgroup up to the root for the smallest limit. found: there was one of the
// files. In a container the path of the host does not exist, and the container's own cgroup is
// mounted as the root.
func smallest(folder, group, name string) (bytes uint64, file string, found bool) {
	for at := path.Clean("/" + group); ; at = path.Dir(at) {
		where := path.Join(folder, at, name)
		if b, err := os.ReadFile(where); err == nil {
			found = true
			n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64) // "max": none
			if err == nil && n < unlimited && (bytes == 0 || n < bytes) {
				bytes, file = n, where
			}
		}
		if at == "/" {
			return bytes, file, found
		}
	}
}

// ParseSize reads a size as "2GB" (10⁹ bytes each), "512MiB" or "1000000".
func ParseSize(s string) (uint64, error) {
	units := map[string]float64{"": 1, "b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "tb": 1e12, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit, ok := units[strings.ToLower(strings.TrimSpace(s[len(digits):]))]
	n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if err != nil || !ok || !(n >= 0 && n*unit < 1<<62) {
		return 0, fmt.Errorf("%q is no size: give one as 2GB or 512MiB", s)
	}
	return uint64(n * unit), nil
}
