package target

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestParseSelector(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Selector
	}{
		{":8000", Selector{kind: byPort, addr: netip.AddrPortFrom(netip.Addr{}, 8000)}},
		{" 8000 ", Selector{kind: byPort, addr: netip.AddrPortFrom(netip.Addr{}, 8000)}},
		{"0.0.0.0:8000", Selector{kind: byPort, addr: netip.AddrPortFrom(netip.Addr{}, 8000)}},
		{"localhost:8000", Selector{kind: byPort, addr: netip.AddrPortFrom(netip.Addr{}, 8000)}},
		{"127.0.0.1:8000", Selector{kind: byPort, addr: netip.MustParseAddrPort("127.0.0.1:8000")}},
		{"[::1]:8000", Selector{kind: byPort, addr: netip.MustParseAddrPort("[::1]:8000")}},
		{"pid:123", Selector{kind: byPID, pid: 123}},
		{"name:uvicorn", Selector{kind: byName, value: "uvicorn"}},
		{"cgroup:/system.slice/api.service/", Selector{kind: byCgroup, value: "/system.slice/api.service"}},
		{"cgroup:/sys/fs/cgroup/api", Selector{kind: byCgroup, value: "/api"}},
		{"cgroup:/sys/fs/cgroup/unified/api", Selector{kind: byCgroup, value: "/api"}},
	} {
		got, err := ParseSelector(c.in)
		c.want.text = strings.TrimSpace(c.in)
		if err != nil || got != c.want {
			t.Errorf("%q: %+v, %v; want %+v", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{"", ":", ":0", ":70000", "eight", "pid:", "pid:-1", "name:", "cgroup:api", "1.2.3:80", "http://host:80"} {
		if got, err := ParseSelector(in); !errors.Is(err, ErrSelector) {
			t.Errorf("%q: %+v, %v; want ErrSelector", in, got, err)
		}
	}
}

func find(t *testing.T, selector string) (*Target, error) {
	t.Helper()
	s, err := ParseSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return s.Find()
}

// A server as uvicorn --workers makes it: a parent that binds, children that inherit. On "more"
// the parent starts another child, on "less" it ends the first; it answers with the child's pid.
const workersTruth = `
import os, signal, socket, sys
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
children = []
def more():
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pause()
    children.append(pid)
    return pid
a, b = more(), more()
print(s.getsockname()[1], a, b, flush=True)
for line in sys.stdin:
    if line == "more\n":
        print(more(), flush=True)
    else:
        pid = children.pop(0)
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        print(pid, flush=True)
for pid in children:
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
`

func anyPython(t *testing.T) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("NO python3: the search for processes is not verified")
	}
	return python
}

func pidsOf(list []Process) string {
	var s []string
	for _, p := range list {
		s = append(s, fmt.Sprint(p.PID))
	}
	return strings.Join(s, " ")
}

func TestFindAndRefreshWorkers(t *testing.T) {
	server := start(t, anyPython(t), workersTruth)
	var port, first, second int
	server.numbers(t, &port, &first, &second)

	// A shim such as pyenv's has become the interpreter by now; the pid is the server's.
	want := fmt.Sprintf("%d %d %d", server.pid, first, second)
	var target *Target
	for _, selector := range []string{fmt.Sprintf(":%d", port), fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("pid:%d", server.pid), fmt.Sprintf("pid:%d", second)} {
		got, err := find(t, selector)
		if err != nil {
			t.Fatalf("%s: %v", selector, err)
		}
		if pidsOf(got.Processes) != want {
			t.Errorf("%s: processes %s, want %s", selector, pidsOf(got.Processes), want)
		}
		if int(got.Port) != port || got.Address != netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)) {
			t.Errorf("%s: at %v, port %d", selector, got.Address, got.Port)
		}
		target = got
	}
	old := target.Processes
	for _, p := range old {
		if !ProcessAlive(p) || p.Exe == "" || p.Cmdline == "" || p.StartTime == 0 {
			t.Errorf("process %+v", p)
		}
	}

	if added, gone, err := target.Refresh(); err != nil || len(added)+len(gone) != 0 {
		t.Errorf("refresh without a change: added %v, gone %v, %v", added, gone, err)
	}
	_, _ = server.stdin.Write([]byte("more\nless\n"))
	var more, less int
	server.numbers(t, &more)
	server.numbers(t, &less)
	target.Selector, _ = ParseSelector(fmt.Sprintf(":%d", port))
	added, gone, err := target.Refresh()
	if err != nil || pidsOf(added) != fmt.Sprint(more) || pidsOf(gone) != fmt.Sprint(less) {
		t.Errorf("added %s, gone %s, %v; want %d, %d", pidsOf(added), pidsOf(gone), err, more, less)
	}
	for _, p := range old {
		if ProcessAlive(p) != (p.PID != less) {
			t.Errorf("process %d alive: %v", p.PID, ProcessAlive(p))
		}
		p.StartTime++
		if ProcessAlive(p) {
			t.Errorf("process %d: a reused number counts as alive", p.PID)
		}
	}
}

func TestFindSaysWhatToDo(t *testing.T) {
	listen(t) // two ports, so that this process is no single service
	listen(t)
	free := listen(t)
	port := free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	for _, c := range []struct {
		selector string
		want     error
		says     string
	}{
		{fmt.Sprintf(":%d", port), ErrNoListener, "these listen: :"},
		{"pid:4194304", ErrNoProcess, "pid:4194304"},
		{fmt.Sprintf("pid:%d", os.Getpid()), ErrAmbiguous, "choose one with :PORT"},
		{"name:no-such-program", ErrNoProcess, "ps -e"},
		{"cgroup:/no/such/group", ErrNoProcess, "ps -e"},
	} {
		_, err := find(t, c.selector)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %v that says %q", c.selector, err, c.want, c.says)
		}
	}
}

func TestRefreshWhenTheServiceIsGone(t *testing.T) {
	l := listen(t)
	target, err := find(t, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	added, gone, err := target.Refresh()
	if !errors.Is(err, ErrNoListener) || len(added) != 0 || len(gone) == 0 || len(target.Processes) != 0 {
		t.Errorf("added %v, gone %v, %v", added, gone, err)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestFindByName(t *testing.T) {
	script := t.TempDir() + "/ragscope_target_test.py"
	if err := os.WriteFile(script, []byte(workersTruth), 0o600); err != nil {
		t.Fatal(err)
	}
	server := launch(t, exec.Command(anyPython(t), script))
	var port, first, second int
	server.numbers(t, &port, &first, &second)
	target, err := find(t, "name:ragscope_target_test")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d %d %d", server.pid, first, second); pidsOf(target.Processes) != want || int(target.Port) != port {
		t.Errorf("processes %s at %d, want %s at %d", pidsOf(target.Processes), target.Port, want, port)
	}

	// A second instance makes the name ambiguous.
	another := launch(t, exec.Command(anyPython(t), script))
	another.numbers(t, &port, &first, &second)
	if _, err := find(t, "name:ragscope_target_test"); !errors.Is(err, ErrAmbiguous) || !strings.Contains(err.Error(), fmt.Sprintf(":%d (", port)) {
		t.Errorf("two services of that name: %v", err)
	}
}

// A server in a network namespace of its own, as in a container.
const containerTruth = `
import fcntl, http.server, socket, struct, sys, threading
s = socket.socket()
fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 1)) # SIOCSIFFLAGS: IFF_UP
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"paths": {"/inside/{id}": {"get": {}}}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a):
        pass
server = http.server.HTTPServer(("0.0.0.0", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
`

func TestFindInAnotherNetworkNamespace(t *testing.T) {
	cmd := exec.Command(anyPython(t), "-c", containerTruth)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		t.Skip("NOT ROOT: targets in other network namespaces are not verified")
	}
	server := launch(t, cmd)
	var port int
	server.numbers(t, &port)
	for _, selector := range []string{fmt.Sprintf(":%d", port), fmt.Sprintf("pid:%d", server.pid)} {
		target, err := find(t, selector)
		if err != nil {
			t.Fatalf("%s: %v", selector, err)
		}
		if pidsOf(target.Processes) != fmt.Sprint(server.pid) {
			t.Errorf("%s: processes %s, want %d", selector, pidsOf(target.Processes), server.pid)
		}
		r, err := target.FetchRouter(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", selector, err)
		}
		if got := r.Endpoint("GET", "/inside/1"); got != "GET /inside/{id}" {
			t.Errorf("%s: %s", selector, got)
		}
	}
}

func TestBelow(t *testing.T) {
	for _, c := range []struct {
		path, parent string
		want         bool
	}{{"/a", "/a", true}, {"/a/b", "/a", true}, {"/ab", "/a", false}, {"/a", "/", true}} {
		if got := below(c.path, c.parent); got != c.want {
			t.Errorf("%s below %s: %v", c.path, c.parent, got)
		}
	}
}

func TestParseStat(t *testing.T) {
	line := "123 (a (b) c) S 7 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 9 0 98765 1 2 3 4 5 140726"
	if got, err := parseStat(line); err != nil || got != (stat{"a (b) c", 'S', 7, 98765, 140726}) {
		t.Errorf("%+v %v", got, err)
	}
	for _, bad := range []string{"", "1 (x) S", ") (", "1 (x) S y 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 9 0 z"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestParseSocket(t *testing.T) {
	for _, c := range []struct {
		line string
		want string
		ok   bool
	}{
		{"   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5551 1 0 100 0 0 10 0", "127.0.0.1:8000", true},
		{"   0: 00000000000000000000000000000000:1F40 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 5551 1", "[::]:8000", true},
		{"   0: 0000000000000000FFFF00000100007F:1F40 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 5551 1", "127.0.0.1:8000", true},
		{"   0: 0100007F:1F40 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 5551 1", "", false},
		{"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode", "", false},
		{"   0: 01007F:1F40 00000000:0000 0A 0:0 0:0 0 0 0 5551 1", "", false},
	} {
		got, ok := parseSocket(c.line)
		if ok != c.ok || ok && (got.address.String() != c.want || got.inode != 5551) {
			t.Errorf("%s: %+v %v, want %s", c.line, got, ok, c.want)
		}
	}
}

func TestParseMapping(t *testing.T) {
	got, ok := parseMapping("7f00-7f10 r-xp 00001000 fe:01 42      /opt/my libs/x.so (deleted)")
	if want := (mapping{0x7f00, 0x7f10, 0x1000, "/opt/my libs/x.so", true}); !ok || got != want {
		t.Errorf("%+v %v, want %+v", got, ok, want)
	}
	for _, line := range []string{"", "7f00-7f10 rw-p 00000000 00:00 0 ", "7f00-7f10 rw-p 00000000 00:00 0 [heap]", "x-y r-xp 0 0 0 /x"} {
		if _, ok := parseMapping(line); ok {
			t.Errorf("%q was accepted", line)
		}
	}
}

// TestDropSupervisor: a socket that systemd handed over does not make the whole host a target.
func TestDropSupervisor(t *testing.T) {
	for _, c := range []struct {
		init  string
		roots map[int]bool
		want  bool // process 1 stays
	}{
		{"systemd", map[int]bool{1: true, 50: true}, false},
		{"systemd", map[int]bool{1: true}, false},
		{"gunicorn", map[int]bool{1: true}, true},
	} {
		dropSupervisor(table{1: {name: c.init}}, c.roots)
		if c.roots[1] != c.want {
			t.Errorf("%s: %v", c.init, c.roots)
		}
	}
}
