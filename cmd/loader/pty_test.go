package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a pseudo-terminal of 100 columns and 20 rows.
func openTerminal(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("SKIPPED: NOT TESTED ON A TERMINAL: %v", err)
	}
	number, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(user.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 20, Col: 100})
	}
	if err == nil {
		program, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = user.Close() })
	return user, program
}

// typed is a program on a terminal.
type typed struct {
	keys *os.File
	cmd  *exec.Cmd
	mu   sync.Mutex
	seen bytes.Buffer
	done chan struct{}
}

func onTerminal(t *testing.T, program string, args ...string) *typed {
	t.Helper()
	user, end := openTerminal(t)
	p := &typed{keys: user, cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = end, end, end
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = end.Close()
	go func() {
		defer close(p.done)
		buf := make([]byte, 4096)
		for {
			n, err := user.Read(buf)
			p.mu.Lock()
			p.seen.Write(buf[:n])
			p.mu.Unlock()
			if err != nil { // EIO: the program has ended
				return
			}
		}
	}()
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

func (p *typed) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.String()
}

func (p *typed) await(t *testing.T, what string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(p.text(), what); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q did not come:\n%s", what, p.text())
		}
	}
}

func (p *typed) press(t *testing.T, key string) {
	t.Helper()
	if _, err := p.keys.WriteString(key); err != nil {
		t.Fatal(err)
	}
}

func (p *typed) exit() int {
	<-p.done
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// On a terminal there is a live table. Ctrl-C lets the requests that are under way end, a second
// one gives them up; all files are written either way.
func TestOnATerminal(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "loader")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, twice := range map[string]bool{"once": false, "twice": true} {
		t.Run(name, func(t *testing.T) {
			release := make(chan bool)
			var slow atomic.Int64
			api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					slow.Add(1)
					select {
					case <-release:
					case <-r.Context().Done():
					}
				}
			}))
			defer api.Close()
			defer func() {
				if twice {
					close(release)
				}
			}()
			file, prefix := filepath.Join(dir, "s.yaml"), filepath.Join(dir, name)
			if err := os.WriteFile(file, []byte("name: t\nthink_time: 20ms\nspawn_rate: 100\nusers: 4\nrun_time: 5m\ntasks: [{request: {path: /quick}, weight: 30}, {request: {path: /slow}}]\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			p := onTerminal(t, program, "run", "--host", api.URL, "--scenario", file, "--headless", "--seed", "3", "--csv", prefix, "--html", prefix+".html")
			p.await(t, "of 5:00, 4:5")    // the bar
			p.await(t, "\x1b[5A\r\x1b[J") // bar, head, two tasks and all were drawn again
			for slow.Load() == 0 {
				time.Sleep(10 * time.Millisecond)
			}
			p.press(t, "\x03")
			p.await(t, "STOPPING")
			if twice {
				p.press(t, "\x03")
			} else {
				close(release)
			}
			if code := p.exit(); code != 0 {
				t.Errorf("exit code %d:\n%s", code, p.text())
			}
			stats, err := os.ReadFile(prefix + "_stats.csv")
			if got := strings.Contains(string(stats), fmt.Sprintf("GET,/slow,%d,0", slow.Load())); err != nil || got == twice {
				t.Errorf("%d slow requests, given up %v: %v\n%s", slow.Load(), twice, err, stats)
			}
			for _, f := range []string{"_stats_history.csv", "_recording.json", ".html"} {
				if _, err := os.Stat(prefix + f); err != nil {
					t.Error(err)
				}
			}
			if gaveUp := strings.Contains(p.text(), "requests were given up at the end"); gaveUp != twice {
				t.Errorf("given up %v:\n%s", gaveUp, p.text())
			}
		})
	}
}
