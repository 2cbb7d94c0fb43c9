package target

import (
	"bufio"
	"cmp"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// listener is a TCP socket in the state LISTEN.
type listener struct {
	address netip.AddrPort
	inode   uint64 // of the socket; unique on a host
	netns   uint64 // inode of its network namespace
}

// readListeners lists the listening sockets of every network namespace that a process is in.
func readListeners(t table) []listener {
	seen := map[uint64]bool{}
	var list []listener
	for _, pid := range t.pids() {
		ns := netnsOf(pid)
		if ns == 0 || seen[ns] {
			continue
		}
		seen[ns] = true
		for _, file := range []string{"net/tcp", "net/tcp6"} {
			list = append(list, readSockets(procPath(pid, file), ns)...)
		}
	}
	return list
}

func (t table) pids() []int {
	list := make([]int, 0, len(t))
	for pid := range t {
		list = append(list, pid)
	}
	slices.Sort(list)
	return list
}

// netnsOf is the inode of a process's network namespace, 0 where it may not be read.
func netnsOf(pid int) uint64 {
	link, err := os.Readlink(procPath(pid, "ns/net"))
	if err != nil {
		return 0
	}
	return bracketed(link, "net:[")
}

// bracketed reads n of "kind:[n]", 0 for anything else.
func bracketed(link, prefix string) uint64 {
	rest, ok := strings.CutPrefix(link, prefix)
	if !ok {
		return 0
	}
	n, _ := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 64)
	return n
}

func readSockets(path string, netns uint64) []listener {
	f, err := os.Open(path)
	if err != nil {
		return nil // IPv6 may be off, the process gone
	}
	defer f.Close() //nolint:errcheck // read only
	var list []listener
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if l, ok := parseSocket(lines.Text()); ok {
			l.netns = netns
			list = append(list, l)
		}
	}
	return list
}

// parseSocket reads a line of /proc/net/tcp or tcp6 if it is of a listening socket:
// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`.
func parseSocket(line string) (listener, bool) {
	const local, state, inode, listening = 1, 3, 9, "0A"
	f := strings.Fields(line)
	if len(f) <= inode || f[state] != listening {
		return listener{}, false
	}
	host, port, _ := strings.Cut(f[local], ":")
	p, err1 := strconv.ParseUint(port, 16, 16)
	n, err2 := strconv.ParseUint(f[inode], 10, 64)
	address, ok := parseAddress(host)
	if err1 != nil || err2 != nil || !ok {
		return listener{}, false
	}
	return listener{address: netip.AddrPortFrom(address, uint16(p)), inode: n}, true
}

// parseAddress reads an address printed as 32-bit words of this machine's byte order; all
// supported machines are little-endian.
func parseAddress(s string) (netip.Addr, bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b)%4 != 0 {
		return netip.Addr{}, false
	}
	for w := b; len(w) > 0; w = w[4:] {
		slices.Reverse(w[:4])
	}
	a, ok := netip.AddrFromSlice(b)
	return a.Unmap(), ok
}

// reachable replaces a wildcard by the loopback address.
func reachable(a netip.AddrPort) netip.AddrPort {
	switch {
	case a.Addr() == netip.IPv6Unspecified(): // accepts IPv4 as well, but that can be switched off
		return netip.AddrPortFrom(netip.IPv6Loopback(), a.Port())
	case a.Addr().IsUnspecified():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port())
	}
	return a
}

// holders lists which of inodes each process has open.
func (t table) holders(inodes map[uint64]bool) map[int][]uint64 {
	found := map[int][]uint64{}
	for pid := range t {
		dir, err := os.Open(procPath(pid, "fd"))
		if err != nil {
			continue
		}
		names, _ := dir.Readdirnames(-1)
		_ = dir.Close()
		for _, n := range names {
			link, err := os.Readlink(procPath(pid, "fd/"+n))
			if err != nil {
				continue
			}
			if i := bracketed(link, "socket:["); i != 0 && inodes[i] {
				found[pid] = append(found[pid], i)
			}
		}
	}
	return found
}

// describe lists listeners for a message: `:8000 (uvicorn), :9470 (agent)`.
func describe(t table, list []listener) string {
	const most = 12
	if len(list) == 0 {
		return "nothing"
	}
	inodes := map[uint64]bool{}
	for _, l := range list {
		inodes[l.inode] = true
	}
	names := map[uint64]string{}
	holders := t.holders(inodes)
	for _, pid := range t.pids() {
		for _, i := range holders[pid] {
			if names[i] == "" {
				names[i] = fmt.Sprintf(" (%s, pid %d)", t[pid].name, pid)
			}
		}
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b listener) int {
		return cmp.Or(cmp.Compare(a.address.Port(), b.address.Port()), a.address.Compare(b.address))
	})
	var text []string
	known := map[string]bool{}
	for _, l := range list {
		if s := fmt.Sprintf(":%d%s", l.address.Port(), names[l.inode]); !known[s] {
			known[s] = true
			text = append(text, s)
		}
	}
	if len(text) > most {
		text = append(text[:most], fmt.Sprintf("and %d more", len(text)-most))
	}
	return strings.Join(text, ", ")
}
