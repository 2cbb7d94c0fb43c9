package target

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// What Find fails with; each comes wrapped in what was looked for and what can be done.
var (
	ErrNoListener = errors.New("no TCP listener")
	ErrNoProcess  = errors.New("no such process")
	ErrAmbiguous  = errors.New("more than one service")
	ErrSelector   = errors.New("not a target")
)

// Selector says which processes to watch. Make one with ParseSelector.
type Selector struct {
	kind  kind
	text  string         // as written, without blanks
	value string         // name or control group
	addr  netip.AddrPort // kind byPort: the address is invalid when any will do
	pid   int
}

type kind int

const (
	byPort kind = iota + 1
	byPID
	byName
	byCgroup
)

// String is the selector as it was written.
func (s Selector) String() string { return s.text }

// ParseSelector reads ":8000", "8000", "127.0.0.1:8000", "pid:123", "name:uvicorn" or
// "cgroup:/path".
func ParseSelector(text string) (Selector, error) {
	text = strings.TrimSpace(text)
	s := Selector{text: text}
	prefix, rest, _ := strings.Cut(text, ":")
	var err error
	switch prefix {
	case "pid":
		s.kind = byPID
		if s.pid, err = strconv.Atoi(rest); err != nil || s.pid <= 0 {
			return Selector{}, fmt.Errorf("%q: %w: after pid: comes the number of a process", text, ErrSelector)
		}
	case "name":
		s.kind, s.value = byName, rest
		if rest == "" {
			return Selector{}, fmt.Errorf("%q: %w: after name: comes the name of a program, as in name:uvicorn", text, ErrSelector)
		}
	case "cgroup":
		s.kind, s.value = byCgroup, cgroupPath(rest)
		if !strings.HasPrefix(rest, "/") {
			return Selector{}, fmt.Errorf("%q: %w: after cgroup: comes a path, as in cgroup:/system.slice/api.service", text, ErrSelector)
		}
	default:
		s.kind = byPort
		if s.addr, err = parsePort(text); err != nil {
			return Selector{}, fmt.Errorf("%q: %w: write :PORT, ADDRESS:PORT, pid:NUMBER, name:PROGRAM or cgroup:/PATH", text, ErrSelector)
		}
	}
	return s, nil
}

// parsePort reads a port with or without an address; 0.0.0.0, [::] and localhost mean any.
func parsePort(text string) (netip.AddrPort, error) {
	host, port, found := cutLast(text, ":")
	if !found {
		host, port = "", text
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil || p == 0 {
		return netip.AddrPort{}, ErrSelector
	}
	if host == "" || host == "localhost" || host == "*" {
		return netip.AddrPortFrom(netip.Addr{}, uint16(p)), nil
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return netip.AddrPort{}, err
	}
	if a = a.Unmap(); a.IsUnspecified() {
		a = netip.Addr{}
	}
	return netip.AddrPortFrom(a, uint16(p)), nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// cgroupPath is the path as /proc/PID/cgroup writes it, also for one below the mount point.
func cgroupPath(path string) string {
	for _, mount := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if rest, ok := strings.CutPrefix(path, mount); ok && (rest == "" || rest[0] == '/') {
			path = rest
			break
		}
	}
	if path = strings.TrimRight(path, "/"); path == "" {
		return "/"
	}
	return path
}

// Find resolves the selector now. The target's processes are all those that hold the listening
// socket, in whichever network namespace it is, and their descendants.
func (s Selector) Find() (*Target, error) {
	t, err := readTable()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	all := readListeners(t)
	var found []listener
	switch s.kind {
	case byPort:
		found, err = s.onPort(t, all)
	case byPID:
		if _, ok := t[s.pid]; !ok {
			return nil, fmt.Errorf("%s: %w", s.text, ErrNoProcess)
		}
		found, err = s.ofProcesses(t, all, map[int]bool{s.pid: true})
	case byName:
		found, err = s.ofProcesses(t, all, t.named(s.value))
	case byCgroup:
		found, err = s.ofProcesses(t, all, t.inCgroup(s.value))
	default:
		err = ErrSelector
	}
	if err != nil {
		return nil, err
	}
	return s.resolve(t, found)
}

// onPort finds the listeners of a port: those of this network namespace first, else those of the
// only other one that has any.
func (s Selector) onPort(t table, all []listener) ([]listener, error) {
	own := netnsOf(os.Getpid())
	var here, elsewhere []listener
	for _, l := range all {
		if l.address.Port() != s.addr.Port() || s.addr.Addr().IsValid() && !serves(l.address.Addr(), s.addr.Addr()) {
			continue
		}
		if l.netns == own {
			here = append(here, l)
		} else {
			elsewhere = append(elsewhere, l)
		}
	}
	if len(here) > 0 {
		return here, nil
	}
	for _, l := range elsewhere {
		if l.netns != elsewhere[0].netns {
			return nil, fmt.Errorf("%s: %w: several containers listen on that port: %s; choose one with pid:NUMBER or cgroup:/PATH", s.text, ErrAmbiguous, describe(t, elsewhere))
		}
	}
	if len(elsewhere) == 0 {
		return nil, fmt.Errorf("%s: %w on that port; these listen: %s; start the service first, or choose one of these", s.text, ErrNoListener, describe(t, all))
	}
	return elsewhere, nil
}

// serves says whether a listener at local answers connections to the address wanted.
func serves(local, wanted netip.Addr) bool {
	return local == wanted || local.IsUnspecified() && (local.Is6() || wanted.Is4())
}

// ofProcesses finds the listeners that some processes, or their descendants, hold. All of them
// must be on one port.
func (s Selector) ofProcesses(t table, all []listener, roots map[int]bool) ([]listener, error) {
	if len(roots) == 0 {
		return nil, fmt.Errorf("%s: %w; see `ps -e` for what runs", s.text, ErrNoProcess)
	}
	inodes := map[uint64]bool{}
	for _, l := range all {
		inodes[l.inode] = true
	}
	tree := t.withDescendants(roots)
	held := map[uint64]bool{}
	for pid, list := range t.holders(inodes) {
		if tree[pid] {
			for _, i := range list {
				held[i] = true
			}
		}
	}
	var found []listener
	ports := map[uint16]bool{}
	for _, l := range all {
		if held[l.inode] {
			found = append(found, l)
			ports[l.address.Port()] = true
		}
	}
	switch len(ports) {
	case 0:
		return nil, fmt.Errorf("%s: %w in %d process(es); is it still starting, or a client?", s.text, ErrNoListener, len(tree))
	case 1:
		return found, nil
	}
	return nil, fmt.Errorf("%s: %w: it listens on %s; choose one with :PORT", s.text, ErrAmbiguous, describe(t, found))
}

// resolve makes a Target of the listeners found, which share a port.
func (s Selector) resolve(t table, found []listener) (*Target, error) {
	inodes := map[uint64]bool{}
	for _, l := range found {
		inodes[l.inode] = true
	}
	roots := map[int]bool{}
	for pid := range t.holders(inodes) {
		roots[pid] = true
	}
	dropSupervisor(t, roots)
	if len(roots) == 0 {
		return nil, fmt.Errorf("%s: %w can be attributed to a process: the right to read /proc/PID/fd of others is missing (run as root), or the service has not started behind its activation socket", s.text, ErrNoListener)
	}
	target := &Target{Selector: s, Address: best(found), Port: found[0].address.Port(), netns: found[0].netns}
	for pid := range t.withDescendants(roots) {
		if p, err := readProcess(pid); err == nil { // else it ended meanwhile
			target.Processes = append(target.Processes, p)
		}
	}
	if len(target.Processes) == 0 {
		return nil, fmt.Errorf("%s: %w: it ended while it was looked at", s.text, ErrNoProcess)
	}
	slices.SortFunc(target.Processes, func(a, b Process) int { return a.PID - b.PID })
	target.Service = serviceOf(target.Processes)
	return target, nil
}

// dropSupervisor leaves out the host's init, which holds the sockets that it hands to services:
// everything descends from it.
func dropSupervisor(t table, roots map[int]bool) {
	if roots[1] && (len(roots) > 1 || t[1].name == "systemd" || t[1].name == "init") {
		delete(roots, 1)
	}
}

// best is the address to connect to: IPv4 before IPv6, since a client's name resolution mostly is.
func best(found []listener) netip.AddrPort {
	a := found[0].address
	for _, l := range found {
		if l.address.Addr().Is4() {
			a = l.address
			break
		}
	}
	return reachable(a)
}
