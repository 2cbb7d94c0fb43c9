package watch

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// crowdEnv makes a process of this program a part of a crowd: "port from connections": it opens them from
// the address 127.0.0.from, asks once on each, says "open", and asks once more for each line on its stdin.
const crowdEnv = "RAGSCOPE_WATCH_CROWD"

func beCrowd(config string) error {
	var port, from, n int
	if _, err := fmt.Sscan(config, &port, &from, &n); err != nil {
		return err
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(from))}, Timeout: 30 * time.Second}
	conns := make([]net.Conn, n)
	for i := range conns {
		var err error
		if conns[i], err = d.DialContext(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
	}
	answer := make([]byte, 256)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		for i, c := range conns {
			if _, err := io.WriteString(c, "GET /crowd HTTP/1.1\r\nHost: t\r\n\r\n"); err != nil {
				return fmt.Errorf("connection %d: %w", i, err)
			}
			for got := 0; !whole(answer[:got]); {
				k, err := c.Read(answer[got:])
				if err != nil {
					return fmt.Errorf("connection %d: %w", i, err)
				}
				got += k
			}
		}
		fmt.Println("asked")
	}
	return nil
}

// whole reports whether b is an answer of the target to its end.
func whole(b []byte) bool {
	var n int
	head, body, ended := bytes.Cut(b, []byte("\r\n\r\n"))
	_, err := fmt.Sscanf(string(head), "HTTP/1.1 200 OK\r\nContent-Length: %d", &n)
	return ended && err == nil && len(body) == n
}

type crowd struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	log bytes.Buffer
}

func startCrowd(t *testing.T, port string, from, n int) *crowd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{Cmd: exec.Command(self)}
	c.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d", crowdEnv, port, from, n))
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.Stderr = &c.log
	if c.in, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return c
}

// ask lets every connection of the crowd ask once; answered waits until all have.
func (c *crowd) ask(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(c.in, "\n"); err != nil {
		t.Fatalf("%v: %s", err, &c.log)
	}
}

func (c *crowd) answered(t *testing.T) {
	t.Helper()
	if !c.out.Scan() {
		t.Fatalf("a part of the crowd has ended: %s", &c.log)
	}
}

// resident is a process's resident memory in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(raw))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// A crowd of connections, all open at once: the target answers each, and what the agent does not see
// for lack of room it counts.
func TestHostileCrowd(t *testing.T) {
	parts, each := 1, ofSize(1_000, 12_500)
	if each > 10_000 {
		parts = 8 // a process may have 20,000 files here, and an address 28,000 ports
	}
	a := startHostile(t, parts)
	g := startAgent(t, a, 0)
	g.await(t)
	before := resident(t, g.Process.Pid)
	var all []*crowd
	for k := range parts {
		all = append(all, startCrowd(t, a.port(), k+2, each))
	}
	const rounds = 3
	for range rounds {
		for _, c := range all {
			c.ask(t)
		}
		for _, c := range all {
			c.answered(t)
		}
	}
	during := resident(t, g.Process.Pid)
	for _, c := range all {
		c.in.Close()
		_ = c.Wait()
	}
	time.Sleep(2 * settle)
	after := resident(t, g.Process.Pid)
	rec, _ := g.finish(t)
	seen, _ := of(rec, "GET /crowd")
	want, unseen := int64(rounds*parts*each), int64(0)
	for _, l := range rec.Losses {
		if l.Count > 0 {
			t.Logf("lost: %+v", l)
			unseen += int64(l.Count)
		}
	}
	t.Logf("%d connections at once: %d of %d requests seen; agent %d MB before, %d during, %d after", parts*each, seen, want, before>>20, during>>20, after>>20)
	if seen != want && (unseen == 0 || seen > want) {
		t.Errorf("%d requests of %d, and nothing says why", seen, want)
	}
	if limit := 400 << 20; during > limit {
		t.Errorf("the agent takes %d MB", during>>20)
	}
}

// An agent in a group with little memory stays inside it, or is killed by the kernel: the target does not notice.
func TestHostileLittleMemory(t *testing.T) {
	onlyLong(t)
	const base = "/sys/fs/cgroup/memory"
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: NOT TESTED WITH LITTLE MEMORY: run the tests as root")
	}
	group := filepath.Join(base, fmt.Sprintf("ragscope-test-%d", os.Getpid()))
	limit := filepath.Join(group, "memory.limit_in_bytes")
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Skipf("SKIPPED: NOT TESTED WITH LITTLE MEMORY: %v", err)
	}
	t.Cleanup(func() {
		waitUntil(t, "the group to be empty", func() bool { return os.Remove(group) == nil })
	})
	if err := os.WriteFile(limit, []byte("64M"), 0o644); err != nil {
		t.Skipf("SKIPPED: NOT TESTED WITH LITTLE MEMORY: %v", err)
	}
	a := startHostile(t, 1)
	l := a.load(t, 8, strings.Repeat("x", 500))
	g := startAgent(t, a, 0)
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(g.Process.Pid)), 0o644); err != nil {
		t.Skipf("SKIPPED: NOT TESTED WITH LITTLE MEMORY: %v", err)
	}
	started := <-g.ready
	goal := l.answered.Load() + 50_000
	waitUntil(t, "load under little memory", func() bool { return l.answered.Load() > goal || l.failed.Load() > 0 })
	l.unharmed(t)
	t.Cleanup(func() { _ = g.Process.Kill(); _ = g.Wait() }) // before the group is removed
	if started != nil {
		t.Logf("64 MB are too little to start: %v: %s", started, g.log)
		return
	}
	rec, got := g.finish(t)
	t.Logf("%d requests answered under 64 MB, %d seen", l.answered.Load(), len(got))
	if len(got) == 0 || rec.Target.Service == "" {
		t.Error("the agent lived and saw nothing")
	}
}
