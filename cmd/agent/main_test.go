package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// plays makes this test binary something else: the agent, or a service to be watched.
const plays = "RAGSCOPE_TEST_PLAYS"

func TestMain(m *testing.M) {
	switch os.Getenv(plays) {
	case "agent":
		main()
	case "service":
		service()
	}
	for _, v := range os.Environ() { // what the developer's shell has is not what is tested
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "RAGSCOPE_") && name != plays {
			_ = os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

// service is a target that is not Python. It tells its address and ends with its standard input.
func service() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasPrefix(r.URL.Path, "/openapi"):
				http.NotFound(w, r)
				return
			case r.URL.Path == "/burn":
				for begin := cpuTime(); cpuTime()-begin < burn; {
				}
			}
			_, _ = io.WriteString(w, "fine\n")
		}))
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// burn is the CPU time that a request for /burn takes.
const burn = 50 * time.Millisecond

// cpuTime is that of this process.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return burn
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// child is a service in another process.
type child struct {
	port string // ":8000"
	pid  int
	end  func() // and wait until it has; more than once does no harm
}

func startService(t *testing.T) child {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), plays+"=service")
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
	c := child{pid: cmd.Process.Pid, end: sync.OnceFunc(func() { in.Close(); _ = cmd.Wait() })}
	t.Cleanup(c.end)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	c.port = ":" + port
	return c
}

// ask sends n requests, each on a connection of its own, and waits for the answers.
func (c child) ask(t *testing.T, path string, n int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	for range n {
		body(t, client, "http://127.0.0.1"+c.port+path, http.StatusOK)
	}
}

func body(t *testing.T, client *http.Client, url string, status int) string {
	t.Helper()
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		t.Fatalf("GET %s: %s, %v: %s", url, res.Status, err, b)
	}
	return string(b)
}

// patience is for what never takes so long unless it is broken.
const patience = 60 * time.Second

// result is what a command left.
type result struct {
	code     int
	out, err string
}

// call runs the agent in this process until it ends by itself.
func call(t *testing.T, args ...string) result {
	t.Helper()
	return begin(t, args...).end(t)
}

// running is the agent in this process.
type running struct {
	stop  context.CancelFunc // Ctrl-C
	lines chan string        // of standard error, as they come; closed at the end
	done  chan result
}

func begin(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{stop, make(chan string, 10_000), make(chan result, 1)}
	oldOut, oldErr := os.Stdout, os.Stderr
	outRead, outWrite := pipe(t)
	errRead, errWrite := pipe(t)
	os.Stdout, os.Stderr = outWrite, errWrite
	var res result
	var readers sync.WaitGroup
	readers.Go(func() { b, _ := io.ReadAll(outRead); res.out = string(b) })
	readers.Go(func() {
		defer close(r.lines)
		for s := bufio.NewScanner(errRead); s.Scan(); {
			res.err += s.Text() + "\n"
			r.lines <- s.Text()
		}
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		res.code = run(ctx, append([]string{"agent"}, args...))
		os.Stdout, os.Stderr = oldOut, oldErr
		outWrite.Close()
		errWrite.Close()
		readers.Wait()
		outRead.Close()
		errRead.Close()
		r.done <- res
	}()
	t.Cleanup(func() { stop(); <-ended })
	return r
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// until waits for a line that contains text and returns it.
func (r *running) until(t *testing.T, text string) string {
	t.Helper()
	late := time.After(patience)
	seen := ""
	for {
		select {
		case line, ok := <-r.lines:
			if !ok {
				t.Fatalf("the agent ended before it said %q:\n%s", text, seen)
			}
			if seen += line + "\n"; strings.Contains(line, text) {
				return line
			}
		case <-late:
			t.Fatalf("the agent did not say %q:\n%s", text, seen)
		}
	}
}

func (r *running) end(t *testing.T) result {
	t.Helper()
	select {
	case res := <-r.done:
		return res
	case <-time.After(patience):
		t.Fatal("the agent does not end")
	}
	return result{}
}

// examined is what doctor said, once.
var examined *result

// needRoot skips what attaches to the kernel.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: NOT TESTED AGAINST THE KERNEL: run the tests as root")
	}
	if examined == nil {
		r := call(t, "doctor")
		examined = &r
	}
	if examined.code != 0 {
		t.Skipf("SKIPPED: NOT TESTED AGAINST THE KERNEL: %s", examined.err)
	}
}

// wants checks a command's exit code and that all of texts are in its message.
func (r result) wants(t *testing.T, code int, texts ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d", r.code, code)
	}
	for _, s := range texts {
		if !strings.Contains(r.err, s) {
			t.Errorf("the message does not say %q", s)
		}
	}
	if t.Failed() {
		t.Logf("standard error: %s\nstandard output: %s", r.err, r.out)
	}
}
