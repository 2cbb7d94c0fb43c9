package kernel

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/ragscope/ragscope/bpf"
	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/target"
)

// loaded is the kernel side, one for all tests since loading takes a second; where it cannot be
// tested, that is said loudly.
func loaded(t *testing.T) *Kernel {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: THE KERNEL SIDE IS NOT TESTED: run the tests as root")
	}
	k, err := load()
	if errors.Is(err, ErrNotPermitted) || errors.Is(err, ErrNotSupported) {
		t.Skipf("SKIPPED: THE KERNEL SIDE IS NOT TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var load = sync.OnceValues(func() (*Kernel, error) { return Load(slog.New(slog.DiscardHandler)) })

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Geteuid() == 0 {
		if k, err := load(); err == nil {
			k.Close()
		}
	}
	os.Exit(code)
}

func TestEveryProgramLoads(t *testing.T) {
	k := loaded(t)
	for name, err := range k.failed {
		t.Errorf("program %s: %v", name, err)
	}
	for _, load := range objects {
		spec, err := load()
		if err != nil {
			t.Fatal(err)
		}
		for name := range spec.Programs {
			name = strings.TrimSuffix(name, oldSuffix) // one of the two
			if k.programs[name] == nil {
				t.Errorf("program %s is not there", name)
			}
		}
	}
	attached := map[string]bool{}
	for _, p := range k.Probes() {
		attached[p.Probe] = p.Attached
	}
	for _, h := range hostHooks {
		if !attached[h] {
			t.Errorf("hook %s is not attached", h)
		}
	}
}

func TestTrapPrice(t *testing.T) {
	c := loaded(t).Cost()
	if !c.Known {
		t.Fatalf("the cost is not known: %s", c.Why)
	}
	if c.TrapPrice < 0.1e-6 || c.TrapPrice > 100e-6 {
		t.Errorf("a trap costs %.3f µs", c.TrapPrice*1e6)
	}
	t.Logf("a trap costs %.2f µs", c.TrapPrice*1e6)
}

// Nothing of ours is left in the kernel, whatever others load meanwhile.
func TestCloseLeavesNothing(t *testing.T) {
	loaded(t)
	k, err := Load(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p := startPeer(t)
	p.watch(t, k)
	var programs []ebpf.ProgramID
	for _, prog := range k.programs {
		info, err := prog.Info()
		if err != nil {
			t.Fatal(err)
		}
		if id, ok := info.ID(); ok {
			programs = append(programs, id)
		}
	}
	if len(programs) < len(hostHooks) {
		t.Fatalf("only %d programs have an id", len(programs))
	}
	k.Close()
	k.Close() // twice does no harm
	for _, id := range programs {
		waitFor(t, fmt.Sprintf("program %d to be gone", id), func() bool {
			prog, err := ebpf.NewProgramFromID(id)
			if err == nil {
				prog.Close()
			}
			return errors.Is(err, os.ErrNotExist)
		})
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 20 s for %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// seen collects what comes off the ring buffer. Its events own their bytes.
type seen struct {
	mu     sync.Mutex
	events []event.Event
}

func follow(t *testing.T, k *Kernel) *seen {
	s := &seen{}
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		k.Read(ctx, func(e *event.Event) {
			c := *e
			c.Head, c.Tail = slices.Clone(e.Head), slices.Clone(e.Tail)
			s.mu.Lock()
			s.events = append(s.events, c)
			s.mu.Unlock()
		}, func(bool) {})
	})
	t.Cleanup(func() {
		stop()
		done.Wait()
	})
	return s
}

// of returns the events of a process on sockets, in order of time.
func (s *seen) of(pid int) (out []event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Sock != 0 && int(e.PID) == pid {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b event.Event) int { return int(a.Time - b.Time) })
	return out
}

// count says how many events of a type a process has.
func (s *seen) count(pid int, what event.Type) (n int) {
	for _, e := range s.of(pid) {
		if e.Type == what {
			n++
		}
	}
	return n
}

// peer is testdata/peer.py, running.
type peer struct {
	pid  int
	port int
	in   io.Writer
	out  *bufio.Scanner
}

func startPeer(t *testing.T) *peer {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: THE SOCKET PROGRAMS ARE NOT TESTED: python3 is not installed")
	}
	cmd := exec.Command(python, "testdata/peer.py")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	p := &peer{pid: cmd.Process.Pid, in: in, out: bufio.NewScanner(out)}
	if _, err := fmt.Sscan(p.answer(t), &p.port); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *peer) answer(t *testing.T) string {
	t.Helper()
	if !p.out.Scan() {
		t.Fatalf("the peer has ended: %v", p.out.Err())
	}
	return p.out.Text()
}

func (p *peer) tell(t *testing.T, words ...any) {
	t.Helper()
	if _, err := fmt.Fprintln(p.in, words...); err != nil {
		t.Fatal(err)
	}
}

func (p *peer) watch(t *testing.T, k *Kernel) {
	t.Helper()
	py, err := target.InspectPython(p.pid)
	if err != nil {
		t.Logf("watched as a program that is not Python: %v", err)
		py = nil
	}
	if err := k.ServePort(uint16(p.port)); err != nil {
		t.Fatal(err)
	}
	if err := k.Watch(p.pid, py); err != nil {
		t.Fatal(err)
	}
}

func body(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('A' + i%26)
	}
	return string(b)
}

// exchange lets the peer serve one connection: it reads n bytes at once and writes m.
func (p *peer) exchange(t *testing.T, read, write string, n, m int) {
	t.Helper()
	p.tell(t, "serve", read, write, n, m)
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p.answer(t) // accepted
	if _, err := io.WriteString(c, body(n)); err != nil {
		t.Fatal(err)
	}
	p.tell(t, "go") // on loopback they are in its socket now
	if got, err := io.ReadAll(c); err != nil || string(got) != body(m) {
		t.Fatalf("%d bytes of %d came back: %v", len(got), m, err)
	}
	p.answer(t) // done
}

// A look-up of a name is no connection.
func TestDatagrams(t *testing.T) {
	k := loaded(t)
	p := startPeer(t)
	p.watch(t, k)
	s := follow(t, k)
	p.tell(t, "datagram")
	p.answer(t)
	p.exchange(t, "read", "write", 10, 10)
	waitFor(t, "the events of the exchange", func() bool { return s.count(p.pid, event.Send) > 0 })
	for _, e := range s.of(p.pid) {
		if int(e.LPort) != p.port {
			t.Errorf("%+v", e)
		}
	}
}

func TestTransfers(t *testing.T) {
	k := loaded(t)
	p := startPeer(t)
	p.watch(t, k)
	s := follow(t, k)
	unreadable := k.counter(bpf.SocketCounterCOUNT_PAYLOAD_UNREADABLE)
	tests := []struct {
		read, write string
		n, m        int
		tail        int // bytes captured at the end of what is read, of written
		sentTail    int
	}{
		{"read", "write", 10, 10, 0, 0},
		{"read", "write", 1024, 512, 0, 0},
		{"read", "write", 1030, 520, 6, 8},
		{"recv", "send", 6000, 6000, 256, 256},
		{"readv", "writev", 6000, 6000, 256, 256},
		{"readv", "writev", 90, 40, 0, 0},
		{"recvmsg", "sendmsg", 6000, 6000, 256, 256},
		{"recvmsg", "sendmsg", 300, 300, 0, 0},
		{"peek", "send", 700, 10, 0, 0},
	}
	for i, tt := range tests {
		t.Run(fmt.Sprintf("%s %d, %s %d", tt.read, tt.n, tt.write, tt.m), func(t *testing.T) {
			before := len(s.of(p.pid))
			p.exchange(t, tt.read, tt.write, tt.n, tt.m)
			waitFor(t, "the events of the exchange", func() bool { return s.count(p.pid, event.Send) > i })
			var recv, send *event.Event
			events := s.of(p.pid)[before:]
			for k := range events {
				switch e := &events[k]; e.Type {
				case event.Recv:
					if recv != nil {
						t.Errorf("read twice: %d and %d bytes", recv.Len, e.Len)
					}
					recv = e
				case event.Send:
					send = e
				}
			}
			if recv == nil || send == nil {
				t.Fatalf("events %+v", events)
			}
			captured(t, "read", recv, tt.n, 1024, tt.tail)
			captured(t, "written", send, tt.m, 512, tt.sentTail)
			if recv.Arrive == 0 || recv.Arrive > recv.Time || recv.Time > send.Time {
				t.Errorf("arrived at %d, read at %d, written at %d", recv.Arrive, recv.Time, send.Time)
			}
			if recv.Sock != send.Sock || !recv.Has(event.Inbound) || recv.LPort != uint16(p.port) {
				t.Errorf("%+v and %+v are one inbound connection to port %d", recv, send, p.port)
			}
		})
	}
	waitFor(t, "accepts and closes", func() bool {
		return s.count(p.pid, event.Accept) >= len(tests) || k.processes[p.pid].python == nil
	})
	if l := k.counter(bpf.SocketCounterCOUNT_PAYLOAD_UNREADABLE); l > unreadable {
		t.Errorf("%d payloads could not be read", l-unreadable)
	}
}

// captured checks what was kept of n bytes: at most limit at the begin, tail at the end.
func captured(t *testing.T, what string, e *event.Event, n, limit, tail int) {
	t.Helper()
	all := body(n)
	if int(e.Len) != n || string(e.Head) != all[:min(n, limit)] || string(e.Tail) != all[n-tail:] {
		t.Errorf("%s: %d bytes, head %d, tail %d %q; want %d bytes, head %d, tail %d %q", what, e.Len, len(e.Head), len(e.Tail), e.Tail, n, min(n, limit), tail, all[n-tail:])
	}
}

// What the peer does after Unwatch is not told; what others do is.
// Kernels before 6.10 get the other kind of probes; they report the same.
func TestOldProbes(t *testing.T) {
	loaded(t)
	for _, multi := range []bool{false, true} {
		if multi && !HaveMulti() {
			t.Log("this kernel has the old probes alone")
			continue
		}
		k, err := loadFor(slog.New(slog.DiscardHandler), multi)
		if err != nil {
			t.Fatal(err)
		}
		for name, err := range k.failed {
			t.Errorf("multi %v: program %s: %v", multi, name, err)
		}
		p, s := startPeer(t), follow(t, k)
		p.watch(t, k)
		for range 3 {
			p.exchange(t, "read", "write", 10, 10)
		}
		waitFor(t, "the last connection to close", func() bool { return s.count(p.pid, event.Send) == 3 })
		if n := s.count(p.pid, event.Accept); n != 3 {
			t.Errorf("multi %v: %d of 3 connections were seen to be accepted", multi, n)
		}
		t.Logf("multi %v: a trap costs %.2f µs", multi, k.Cost().TrapPrice*1e6)
		t.Cleanup(k.Close)
	}
}

func TestUnwatch(t *testing.T) {
	k := loaded(t)
	first, second := startPeer(t), startPeer(t)
	first.watch(t, k)
	second.watch(t, k)
	s := follow(t, k)
	first.exchange(t, "read", "write", 10, 10)
	waitFor(t, "the first exchange", func() bool { return s.count(first.pid, event.Send) == 1 })
	k.Unwatch(first.pid)
	first.exchange(t, "read", "write", 10, 10)
	second.exchange(t, "read", "write", 10, 10)
	waitFor(t, "the exchange of the one still watched", func() bool { return s.count(second.pid, event.Send) == 1 })
	if n := s.count(first.pid, event.Send) + s.count(first.pid, event.Recv); n != 2 {
		t.Errorf("%d transfers are told of a process that is watched for 2", n)
	}
}

// frames lists the HTTP/2 frames that the peer wrote: "type/length/stream/begin".
func (s *seen) frames(pid int) (out []string) {
	for _, e := range s.of(pid) {
		if e.Type != event.Frames || !e.Has(event.Sent) {
			continue
		}
		if !e.EachFrame(func(f event.Frame) {
			line := fmt.Sprintf("%d/%d/%d/%s", f.Type, f.Length, f.Stream, f.Payload[:min(4, len(f.Payload))])
			for name, has := range map[string]bool{" more": f.More, " cut": f.Cut, " open": f.Open} {
				if has && f.Type == 1 {
					line += name
				}
			}
			if f.Type == 1 && !f.More && !f.Open && len(f.Payload) != min(int(f.Length), 1024) {
				line += fmt.Sprintf(", %d bytes kept", len(f.Payload))
			}
			out = append(out, line)
		}) {
			out = append(out, "not well formed")
		}
	}
	return out
}

func frame(kind, stream byte, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, 4, 0, 0, 0, stream}) + payload
}

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

func TestFrames(t *testing.T) {
	k := loaded(t)
	p := startPeer(t)
	if err := k.Watch(p.pid, nil); err != nil {
		t.Fatal(err)
	}
	s := follow(t, k)
	head, data := "path"+strings.Repeat("h", 1100), "body"+strings.Repeat("d", 3000)
	all := preface + frame(4, 0, "") + frame(1, 1, head) + frame(0, 1, data) + frame(8, 0, "zzzz") + frame(1, 3, "last")
	want := []string{"4/0/0/", "1/1104/1/path cut", "0/3004/1/body", "1/4/3/last"}
	cuts := func(at ...int) string {
		var parts []string
		from := 0
		for _, to := range append(at, len(all)) {
			parts = append(parts, hex.EncodeToString([]byte(all[from:to])))
			from = to
		}
		return strings.Join(parts, ",")
	}
	var every []int
	for i := 24; i < len(all); i += 97 {
		every = append(every, i)
	}
	tests := map[string]string{
		"one buffer":                          cuts(),
		"a header over two segments":          cuts(24+9+4, 24+9+9+300),
		"every 97 bytes":                      cuts(every...),
		"a header over two writes":            strings.ReplaceAll(cuts(24+9+4), ",", " "),
		"the preface alone":                   strings.ReplaceAll(cuts(24), ",", " "),
		"the preface and half a frame header": strings.ReplaceAll(cuts(24+5), ",", " "),
	}
	lost := []bpf.SocketCounter{bpf.SocketCounterCOUNT_FRAMES_DESYNC, bpf.SocketCounterCOUNT_FRAMES_CLIPPED, bpf.SocketCounterCOUNT_PAYLOAD_UNREADABLE}
	var before []uint64
	for _, c := range lost {
		before = append(before, k.counter(c))
	}
	for name, parts := range tests {
		t.Run(name, func(t *testing.T) {
			l := sink(t, "")
			before := len(s.frames(p.pid))
			p.tell(t, "client", l, parts)
			p.answer(t)
			waitFor(t, "the frames", func() bool { return len(s.frames(p.pid)) >= before+len(want) })
			if got := s.frames(p.pid)[before:]; !slices.Equal(got, want) {
				t.Errorf("frames %q\nwant   %q", got, want)
			}
		})
	}
	for i, c := range lost {
		if n := k.counter(c) - before[i]; n > 0 {
			t.Errorf("%s: %d", lossReasons[c], n)
		}
	}
}

// A payload that is written in pieces is told in pieces, so that the header block can be joined.
func TestFramePayloadOverWrites(t *testing.T) {
	k := loaded(t)
	p := startPeer(t)
	if err := k.Watch(p.pid, nil); err != nil {
		t.Fatal(err)
	}
	s := follow(t, k)
	all := preface + frame(1, 1, body(700)) + frame(1, 3, "last")
	p.tell(t, "client", sink(t, ""), hex.EncodeToString([]byte(all[:24+9])), hex.EncodeToString([]byte(all[24+9:24+9+100])), hex.EncodeToString([]byte(all[24+9+100:])))
	p.answer(t)
	var got []string
	parts := func() string {
		got = nil
		var joined []byte
		for _, e := range s.of(p.pid) {
			if e.Type == event.Frames {
				e.EachFrame(func(f event.Frame) {
					got = append(got, fmt.Sprintf("stream %d: %d bytes, more %t, cut %t, open %t", f.Stream, len(f.Payload), f.More, f.Cut, f.Open))
					if f.Stream == 1 {
						joined = append(joined, f.Payload...)
					}
				})
			}
		}
		return string(joined)
	}
	waitFor(t, "the frames", func() bool { parts(); return len(got) >= 4 })
	if joined := parts(); joined != body(700) {
		t.Errorf("the parts join to %d bytes that differ from the 700 sent", len(joined))
	}
	want := []string{
		"stream 1: 0 bytes, more false, cut false, open true", "stream 1: 100 bytes, more true, cut false, open true",
		"stream 1: 600 bytes, more true, cut false, open false", "stream 3: 4 bytes, more false, cut false, open false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("frames %q\nwant   %q", got, want)
	}
}

// sink listens, greets each client, and throws away what it sends. It returns its port.
func sink(t *testing.T, greeting string) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, greeting)
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// A server may send its settings before the client's preface is written.
func TestFramesAfterServerSpokeFirst(t *testing.T) {
	k := loaded(t)
	p := startPeer(t)
	if err := k.Watch(p.pid, nil); err != nil {
		t.Fatal(err)
	}
	s := follow(t, k)
	p.tell(t, "client", sink(t, frame(4, 0, "")), "<", hex.EncodeToString([]byte(preface+frame(4, 0, "")+frame(1, 1, "path"))))
	p.answer(t)
	waitFor(t, "the transfer", func() bool { return s.count(p.pid, event.Send)+len(s.frames(p.pid)) > 0 })
	if got := s.frames(p.pid); !slices.Equal(got, []string{"4/0/0/", "1/4/1/path"}) {
		t.Errorf("frames %q: the connection is not known as HTTP/2", got)
	}
}
