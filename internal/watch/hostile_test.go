package watch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/target"
)

// The tests of this file hold the agent against targets and ends that nobody wishes for. RAGSCOPE_LONG=1 makes
// the numbers large.

func ofSize(short, long int) int {
	if os.Getenv("RAGSCOPE_LONG") != "" {
		return long
	}
	return short
}

// onlyLong leaves a test to make bench: make test has its like without the real agent, or is long enough.
func onlyLong(t *testing.T) {
	t.Helper()
	if os.Getenv("RAGSCOPE_LONG") == "" {
		t.Skip("run with RAGSCOPE_LONG=1, as make bench does")
	}
}

const agentEnv = "RAGSCOPE_WATCH_AGENT"

// TestMain makes this program what a test started it as.
func TestMain(m *testing.M) {
	for env, be := range map[string]func(string) error{agentEnv: beAgent, crowdEnv: beCrowd} {
		if config := os.Getenv(env); config != "" {
			if err := be(config); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
	}
	os.Exit(m.Run())
}

// beAgent watches "selector folder hz" until its stdin ends, then leaves recording.json.
func beAgent(config string) error {
	f := strings.Fields(config)
	hz, err := strconv.Atoi(f[2])
	if err != nil {
		return err
	}
	lines, err := os.Create(filepath.Join(f[1], "requests.jsonl"))
	if err != nil {
		return err
	}
	opts := Options{CPUHz: hz, Requests: lines, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	if opts.Selector, err = target.ParseSelector(f[0]); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	w, err := Start(ctx, opts)
	if err != nil {
		return err
	}
	defer w.Close()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	time.Sleep(2 * settle)
	stop()
	return errors.Join(<-done, w.FlushRequests(), recording.Write(filepath.Join(f[1], "recording.json"), w.Recording()))
}

// agent is one in a process of its own.
type agent struct {
	*exec.Cmd
	dir   string
	stdin io.WriteCloser
	log   *bytes.Buffer
	ready chan error // told once
}

func startAgent(t *testing.T, a app, hz int) *agent {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	g := &agent{Cmd: exec.Command(self), dir: t.TempDir(), log: &bytes.Buffer{}, ready: make(chan error, 1)}
	g.Env = append(os.Environ(), fmt.Sprintf("%s=:%s %s %d", agentEnv, a.port(), g.dir, hz))
	g.Stderr = g.log
	g.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if g.stdin, err = g.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := g.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Process.Kill(); _ = g.Wait() })
	go func() {
		_, err := bufio.NewReader(out).ReadString('\n')
		g.ready <- err
	}()
	return g
}

func (g *agent) await(t *testing.T) {
	t.Helper()
	if err := <-g.ready; err != nil {
		t.Fatalf("the agent did not start: %v: %s", err, g.log)
	}
}

// finish lets it end and returns what it left.
func (g *agent) finish(t *testing.T) (*recording.Recording, []told) {
	t.Helper()
	g.stdin.Close()
	if err := g.Wait(); err != nil {
		t.Fatalf("the agent ended with %v: %s", err, g.log)
	}
	rec, err := recording.Read(filepath.Join(g.dir, "recording.json"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(g.dir, "requests.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return rec, lines[told](t, raw)
}

func (a app) port() string { return a.url[strings.LastIndexByte(a.url, ':')+1:] }

func startHostile(t *testing.T, workers int) app {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: NOT TESTED AGAINST THE REAL AGENT: run the tests as root")
	}
	python, err := exec.LookPath("/usr/bin/python3")
	if err != nil {
		t.Skipf("SKIPPED: NOT TESTED AGAINST THE REAL AGENT: %v", err)
	}
	port := freePort(t)
	return startHostileAt(t, python, port, workers)
}

func startHostileAt(t *testing.T, python string, port, workers int) app {
	a := app{url: fmt.Sprintf("http://127.0.0.1:%d", port)}
	cmd := exec.Command(python, "testdata/hostile.py", strconv.Itoa(port))
	cmd.Env = append(os.Environ(), fmt.Sprintf("WORKERS=%d", workers), "PYTHONDONTWRITEBYTECODE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endGroup(cmd) })
	a.process = cmd
	waitUntil(t, "the target", func() bool { return a.get("/up") == nil })
	return a
}

func endGroup(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // gone already is as good
	_ = cmd.Wait()
}

func (a app) get(path string) error {
	res, err := http.Get(a.url + path)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// load asks the target from some connections until it is stopped; it returns how many requests were
// answered and how many were not.
type load struct {
	answered, failed atomic.Int64
	stop             context.CancelFunc
	wait             sync.WaitGroup
	first            atomic.Value
}

func (a app) load(t *testing.T, connections int, header string) *load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &load{stop: stop}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}, Timeout: 30 * time.Second}
	for range connections {
		l.wait.Add(1)
		go func() {
			defer l.wait.Done()
			for ctx.Err() == nil {
				req, err := http.NewRequest(http.MethodGet, a.url+"/load", nil)
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("X-Filler", header)
				if err := exchange(client, req); err != nil {
					l.failed.Add(1)
					l.first.CompareAndSwap(nil, err)
				} else {
					l.answered.Add(1)
				}
			}
		}()
	}
	t.Cleanup(func() { l.end(); client.CloseIdleConnections() })
	return l
}

func exchange(client *http.Client, req *http.Request) error {
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}

func (l *load) end() { l.stop(); l.wait.Wait() }

// unharmed reports whether the target answered everything.
func (l *load) unharmed(t *testing.T) {
	t.Helper()
	l.end()
	if l.failed.Load() > 0 || l.answered.Load() == 0 {
		t.Errorf("the target noticed: %d requests answered, %d not; the first: %v", l.answered.Load(), l.failed.Load(), l.first.Load())
	}
}

func lost(rec *recording.Recording, reason string) (n uint64) {
	for _, l := range rec.Losses {
		if l.Reason == reason {
			n += l.Count
		}
	}
	return n
}

func TestHostileBodies(t *testing.T) {
	a := startHostile(t, 1)
	w := attach(t, a, kernel.Full)
	size := ofSize(64<<20, 1<<30)
	body := io.LimitReader(zeroes{}, int64(size))
	req, err := http.NewRequest(http.MethodPost, a.url+"/in", body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = int64(size)
	if err := exchange(http.DefaultClient, req); err != nil {
		t.Fatal(err)
	}
	if err := a.get(fmt.Sprintf("/big/%d", size)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * settle)
	if err := w.FlushRequests(); err != nil {
		t.Fatal(err)
	}
	got := lines[told](t, w.requests.Bytes())
	if len(got) != 2 || !got[0].Complete || !got[1].Complete || got[0].Status != 200 || got[1].Status != 200 {
		t.Errorf("of a body of %d bytes in, and one out: %+v", size, got)
	}
	for _, l := range w.Recording().Losses {
		if l.Count > 0 && l.Source != "stacks" {
			t.Errorf("lost: %+v", l)
		}
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { return len(p), nil }

// Paths without number end in 200 routes and one for the rest; all requests are counted.
func TestHostilePaths(t *testing.T) {
	onlyLong(t)
	a := startHostile(t, 1)
	w := attach(t, a, kernel.Linked)
	w.mu.Lock()
	w.lines = nil // a million of them, kept in this process, would be all that its memory tells
	w.mu.Unlock()
	n := 1_000_000
	var wait sync.WaitGroup
	for k := range 8 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			if err := askPaths(a, k, n/8); err != nil {
				t.Error(err)
			}
		}()
	}
	wait.Wait()
	time.Sleep(2 * settle)
	rec := w.Recording()
	seen := int64(0)
	for _, e := range rec.Endpoints {
		seen += e.Requests
	}
	if seen != int64(n/8*8) || len(rec.Endpoints) > target.MaxRoutes+1 || !slices.ContainsFunc(rec.Endpoints, func(e recording.Endpoint) bool { return e.Endpoint == "GET "+target.Other }) {
		t.Errorf("%d requests of %d, %d endpoints", seen, n/8*8, len(rec.Endpoints))
	}
	t.Logf("%d paths: %d MB resident", n, rec.Overhead.AgentRSSBytes>>20)
}

// askPaths sends n requests for paths of its own on one connection.
func askPaths(a app, k, n int) error {
	c, err := net.Dial("tcp", "127.0.0.1:"+a.port())
	if err != nil {
		return err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for i := range n {
		if _, err := fmt.Fprintf(c, "GET /y%s/w%s HTTP/1.1\r\nHost: t\r\n\r\n", letters(i), letters(k)); err != nil {
			return err
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return err
		}
	}
	return nil
}

// letters writes a number as a word, so that no router takes it for an identifier.
func letters(i int) string {
	s := ""
	for ; i > 0 || s == ""; i /= 20 {
		s += string(rune('a' + i%20))
	}
	return s
}

// A target that becomes another program keeps its number; what was known of the old one's memory
// must not be believed of the new one's.
func TestHostileExec(t *testing.T) {
	a := startHostile(t, 1)
	w := attach(t, a, kernel.Full)
	for range ofSize(1, 5) {
		old := program(w.Watcher)
		if err := a.get("/exec"); err != nil {
			t.Fatal(err)
		}
		again := func() bool { return a.get("/up") == nil }
		waitUntil(t, "the new program", again)
		began := time.Now()
		waitUntil(t, "the agent to watch the new program", func() bool {
			is := program(w.Watcher)
			return is != 0 && is != old
		})
		t.Logf("watched again %v after its first answer", time.Since(began).Round(time.Millisecond))
		before := w.Recording()
		for range 50 {
			if err := a.get("/after"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * settle)
		n, cpu := of(w.Recording(), "GET /after")
		n0, cpu0 := of(before, "GET /after")
		if n-n0 != 50 || cpu <= cpu0 {
			t.Errorf("after exec: %d requests of 50, %g s of CPU; losses %v", n-n0, cpu-cpu0, w.losses())
		}
	}
}

// program is what the target's process runs, until it runs another; 0 while it is not attached to.
func program(w *Watcher) uint64 {
	entered := func(p recording.Probe) bool { return p.Probe == "context_enter" && p.Attached }
	if !slices.ContainsFunc(w.kernel.Probes(), entered) {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.target.Processes) != 1 {
		return 0
	}
	return w.target.Processes[0].Image
}

func of(rec *recording.Recording, endpoint string) (requests int64, cpu float64) {
	for _, e := range rec.Endpoints {
		if e.Endpoint == endpoint {
			return e.Requests, e.CPUSeconds
		}
	}
	return 0, 0
}

func TestHostileForks(t *testing.T) {
	onlyLong(t)
	a := startHostile(t, 1)
	w := attach(t, a, kernel.Full)
	n := 600
	for range n {
		if err := a.get("/fork"); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(2 * settle)
	if got, _ := of(w.Recording(), "GET /fork"); got != int64(n) {
		t.Errorf("%d requests of %d", got, n)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := len(w.target.Processes); p > 2 {
		t.Errorf("%d processes are watched, one is alive", p)
	}
}

func TestHostileTwoAgents(t *testing.T) {
	a := startHostile(t, 1)
	first, second := startAgent(t, a, 0), startAgent(t, a, 0)
	first.await(t)
	second.await(t)
	const n = 300
	for range n {
		if err := a.get("/both"); err != nil {
			t.Fatal(err)
		}
	}
	for _, g := range []*agent{first, second} {
		rec, _ := g.finish(t)
		if got, cpu := of(rec, "GET /both"); got != n || cpu == 0 {
			t.Errorf("one of two agents saw %d requests of %d, with %g s of CPU", got, n, cpu)
		}
	}
	if err := a.get("/alone"); err != nil {
		t.Error(err)
	}
}

// orphans lists the BPF programs and links that no process holds, neither themselves nor through a map
// that they use (a program that others call by an array of programs has no file of its own). Who holds
// what is read from /proc: bpftool's own list of processes is now and then empty.
func orphans(t *testing.T) (out []string) {
	t.Helper()
	path, err := exec.LookPath("bpftool")
	if err != nil {
		t.Skip("SKIPPED: NOT TESTED WHAT STAYS ATTACHED: bpftool is not installed (apt-get install bpftool)")
	}
	for _, what := range []string{"prog", "link"} {
		raw, err := exec.Command(path, "-j", what, "list").Output()
		if err != nil {
			t.Fatal(err)
		}
		var all []struct {
			ID   int    `json:"id"`
			Name string `json:"name"`
			Maps []int  `json:"map_ids"`
		}
		if err := json.Unmarshal(raw, &all); err != nil {
			t.Fatal(err)
		}
		held := heldByProcesses(t)
		for _, o := range all {
			if !held[fmt.Sprint(what, o.ID)] && !slices.ContainsFunc(o.Maps, func(id int) bool { return held[fmt.Sprint("map", id)] }) {
				out = append(out, fmt.Sprintf("%s %d %s", what, o.ID, o.Name))
			}
		}
	}
	return out
}

var bpfFile = regexp.MustCompile(`(?m)^(prog|link|map)_id:\t(\d+)$`)

// heldByProcesses names what the files of all processes hold: "prog7", "link3", "map12".
func heldByProcesses(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]bool{}
	for _, f := range files {
		if to, err := os.Readlink(f); err != nil || !strings.Contains(to, "bpf") {
			continue
		}
		info, err := os.ReadFile(strings.Replace(f, "/fd/", "/fdinfo/", 1))
		if err != nil {
			continue // closed meanwhile
		}
		for _, m := range bpfFile.FindAllSubmatch(info, -1) {
			held[string(m[1])+string(m[2])] = true
		}
	}
	return held
}

// An agent that is killed at any moment leaves the target, the kernel and the file system as they were.
func TestHostileKill(t *testing.T) {
	a := startHostile(t, 1)
	l := a.load(t, 4, "")
	rng := rand.New(rand.NewPCG(1, 2))
	pinned := pins(t)
	for i := range ofSize(3, 50) {
		g := startAgent(t, a, []int{0, 97}[i%2])
		if i%3 == 0 {
			g.await(t)
		}
		time.Sleep(time.Duration(rng.IntN(2500)) * time.Millisecond)
		if err := g.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = g.Wait()
		left := orphans(t)
		t.Cleanup(func() {
			if t.Failed() && len(left) > 0 {
				t.Logf("left by a killed agent, or another program: %q", left)
			}
		})
		waitUntil(t, "what the killed agent had attached to go", func() bool {
			now := orphans(t)
			left = slices.DeleteFunc(left, func(o string) bool { return !slices.Contains(now, o) })
			return len(left) == 0
		})
		if files, err := filepath.Glob(filepath.Join(g.dir, "*")); err != nil || len(files) > 1 {
			t.Errorf("the killed agent left %v (%v)", files, err)
		}
	}
	if after := pins(t); !slices.Equal(pinned, after) {
		t.Errorf("pinned before: %v, after: %v", pinned, after)
	}
	l.unharmed(t)
}

// pins lists what is pinned in the BPF file system.
func pins(t *testing.T) (out []string) {
	t.Helper()
	_ = filepath.WalkDir("/sys/fs/bpf", func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			out = append(out, path)
		}
		return nil
	})
	return out
}

// An agent that does not get to run loses events: it says how many, marks what may be wrong, and is
// right again afterwards.
func TestHostileStop(t *testing.T) {
	a := startHostile(t, 1)
	g := startAgent(t, a, 0)
	g.await(t)
	l := a.load(t, 8, strings.Repeat("x", 900))
	pause := func(s syscall.Signal) {
		if err := g.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(200 * time.Millisecond)
	pause(syscall.SIGSTOP)
	before := l.answered.Load()
	enough := int64(ofSize(18_000, 40_000)) // 16 MB of ring buffer are full long before
	for end := time.Now().Add(60 * time.Second); l.answered.Load() < before+enough && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	pause(syscall.SIGCONT)
	time.Sleep(time.Second)
	l.unharmed(t)
	const n = 100
	for range n {
		if err := a.get("/after"); err != nil {
			t.Fatal(err)
		}
	}
	rec, got := g.finish(t)
	incomplete := int64(0)
	for _, e := range rec.Endpoints {
		incomplete += e.Incomplete
	}
	full := lost(rec, "ring buffer full")
	t.Logf("%d answered, %d events lost, %d requests seen, %d of them marked", l.answered.Load(), full, len(got), incomplete)
	if full == 0 || incomplete == 0 {
		t.Errorf("%d requests while the agent stood still: %d events lost, %d requests marked", enough, full, incomplete)
	}
	if late := lost(rec, "event came too late to be put in order"); late > 100 {
		t.Errorf("%d events of a full ring buffer were taken out of order", late)
	}
	right := 0
	for _, r := range got {
		if r.Endpoint == "GET /after" && r.Complete && r.Status == 200 {
			right++
		}
		if r.Seconds > 20 {
			t.Errorf("a request of %g s: %+v", r.Seconds, r)
		}
	}
	if right != n {
		t.Errorf("%d requests of %d are whole after the loss", right, n)
	}
}

// Who ends the agent while the stack sampler loads does not wait for that.
func TestHostileEndWhileLoading(t *testing.T) {
	a := startHostile(t, 1)
	selector, err := target.ParseSelector(":" + a.port())
	if err != nil {
		t.Fatal(err)
	}
	w, err := Start(t.Context(), Options{Selector: selector, CPUHz: 97, Log: slog.New(slog.DiscardHandler)})
	if errors.Is(err, kernel.ErrNotPermitted) || errors.Is(err, kernel.ErrNotSupported) {
		t.Skipf("SKIPPED: NOT TESTED AGAINST THE REAL AGENT: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n := w.Recording().NotMeasured; !slices.ContainsFunc(n, func(m recording.NotMeasured) bool { return m.Why == errNotLoaded.Error() }) {
		t.Errorf("the sampler loaded first, or nothing is said of it: %v", n)
	}
}

// When the whole target goes and comes back on its port, it is watched again.
func TestHostileComesBack(t *testing.T) {
	a := startHostile(t, 1)
	w := attach(t, a, kernel.Full)
	if err := a.get("/before"); err != nil {
		t.Fatal(err)
	}
	endGroup(a.process)
	waitUntil(t, "the agent to notice", func() bool { return errors.Is(w.Ready(), ErrTargetGone) })
	if n := w.Recording().NotMeasured; !slices.ContainsFunc(n, func(m recording.NotMeasured) bool {
		return strings.Contains(m.Why, "target") && strings.Contains(m.Why, "ended")
	}) {
		t.Errorf("the recording does not say that the target ended: %v", n)
	}
	port, err := strconv.Atoi(a.port())
	if err != nil {
		t.Fatal(err)
	}
	again := startHostileAt(t, a.process.Path, port, 1)
	waitUntil(t, "the agent to attach again", func() bool { return w.Ready() == nil })
	for range 50 {
		if err := again.get("/after"); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(2 * settle)
	rec := w.Recording()
	if n, cpu := of(rec, "GET /after"); n != 50 || cpu == 0 {
		t.Errorf("after it came back: %d requests of 50, %g s of CPU", n, cpu)
	}
	if n, _ := of(rec, "GET /before"); n != 1 {
		t.Errorf("what was seen before is gone: %d requests of 1", n)
	}
}
