package target

import (
	"os"
	"strconv"
)

// Changed says whether Refresh may find something else than it did: a process of the target has
// ended, or one has begun that descends from it. It reads the list of the host's processes and
// looks at those only that are new, so it costs a fiftieth of Refresh; what it cannot see is a
// process of another parent that listens on the same port.
func (t *Target) Changed() bool {
	names, err := processNames()
	if err != nil || t.host == nil {
		t.host = names
		return true
	}
	own := map[int]bool{}
	for _, p := range t.Processes {
		own[p.PID] = true
		if !ProcessAlive(p) {
			return true
		}
	}
	changed := false
	for name := range names {
		if t.host[name] {
			continue
		}
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil && (own[pid] || own[s.parent]) {
			changed = true
		}
	}
	t.host = names
	return changed || len(own) == 0
}

// processNames lists /proc: the numbers of all processes, among other names.
func processNames() (map[string]bool, error) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer d.Close() //nolint:errcheck // read only
	list, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool, len(list))
	for _, n := range list {
		names[n] = true
	}
	return names, nil
}
