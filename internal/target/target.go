package target

import (
	"fmt"
	"net/netip"
)

// Target is a service that is watched: its processes, and where it answers.
type Target struct {
	Service   string         // a name for it, derived from its directory or command line; may be set
	Selector  Selector       // that found it
	Address   netip.AddrPort // where to connect, in the network namespace of its processes
	Port      uint16
	Processes []Process // in the order of their numbers

	netns uint64          // inode of the network namespace it listens in
	host  map[string]bool // names in /proc when Changed looked last
}

// Refresh looks again, for workers that came and went, or became another program by exec, since
// Find or the last Refresh, and takes over the result. When the service is gone, all its processes are, and the error is Find's.
func (t *Target) Refresh() (added, gone []Process, err error) {
	now, err := t.Selector.Find()
	if err != nil {
		gone, t.Processes = t.Processes, nil
		return nil, gone, fmt.Errorf("look for the target again: %w", err)
	}
	type identity struct {
		pid          int
		start, image uint64
	}
	before, after := map[identity]bool{}, map[identity]bool{}
	for _, p := range t.Processes {
		before[identity{p.PID, p.StartTime, p.Image}] = true
	}
	for _, p := range now.Processes {
		id := identity{p.PID, p.StartTime, p.Image}
		after[id] = true
		if !before[id] {
			added = append(added, p)
		}
	}
	for _, p := range t.Processes {
		if !after[identity{p.PID, p.StartTime, p.Image}] {
			gone = append(gone, p)
		}
	}
	t.Processes, t.Address, t.Port, t.netns = now.Processes, now.Address, now.Port, now.netns
	return added, gone, nil
}
