package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// marker is set in the environment of every process of the stack, and inherited by whatever those start. So the last
// sweep finds even a grandchild that left its process group.
const marker = "DEMO_STACK"

// graceful is how long a process may take to end after SIGTERM before it is killed.
const graceful = 10 * time.Second

// program is what to start.
type program struct {
	name string   // also of its log
	argv []string // the program and its arguments
	env  []string // NAME=value, added to our own environment
	dir  string
	// terminal leaves the process in our own process group, so that it may ask for a password.
	terminal bool
}

// family is all processes that this command started, and answers for their end.
type family struct {
	logDir string
	mark   string // value of marker
	keep   bool   // the processes are to outlive this command
	spawn  chan func()

	mu       sync.Mutex
	children []*child
}

// child is a started process, the leader of its process group.
type child struct {
	name  string
	pid   int
	log   string
	alone bool          // leads a process group of its own
	done  chan struct{} // closed when it has ended
	err   error         // how; valid after done
}

// newFamily adopts: orphaned descendants become our children, so that their end can be seen.
func newFamily(logDir, mark string, keep bool) (*family, error) {
	if err := os.MkdirAll(logDir, 0o755); err != nil {
		return nil, fmt.Errorf("folder for the logs: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become the reaper of orphans: %w", err)
	}
	f := &family{logDir: logDir, mark: mark, keep: keep, spawn: make(chan func())}
	// The kernel sends Pdeathsig when the *thread* that forked ends, so one thread that never ends does all of it.
	go func() {
		runtime.LockOSThread()
		for start := range f.spawn {
			start()
		}
	}()
	return f, nil
}

// start starts a program with its output in a log of its name.
func (f *family) start(p program) (*child, error) {
	path := filepath.Join(f.logDir, p.name+".log")
	log, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Env = append(append(os.Environ(), p.env...), marker+"="+f.mark)
	cmd.Dir = p.dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !p.terminal}
	if !f.keep {
		// SIGTERM, not SIGKILL: the part then still ends its own children (Ollama's runner, uvicorn's workers).
		cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	}
	if p.terminal {
		cmd.Stdin = os.Stdin
	}
	started := make(chan error)
	f.spawn <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", p.argv[0], err)
	}
	c := &child{name: p.name, pid: cmd.Process.Pid, log: path, alone: !p.terminal, done: make(chan struct{})}
	f.mu.Lock()
	f.children = append(f.children, c)
	f.mu.Unlock()
	go func() {
		c.err = cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// run starts a program and waits for its end. When ctx ends first, the program is stopped.
func (f *family) run(ctx context.Context, p program) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := f.start(p)
	if err != nil {
		return err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		c.stop()
		return ctx.Err()
	}
	c.signal(syscall.SIGKILL) // whatever it left in its group
	if c.err != nil {
		return fmt.Errorf("%s: %w%s", strings.Join(p.argv, " "), c.err, tail(c.log))
	}
	return nil
}

// signal reaches the whole process group.
func (c *child) signal(sig syscall.Signal) {
	target := -c.pid
	if !c.alone {
		target = c.pid
	}
	if err := syscall.Kill(target, sig); errors.Is(err, syscall.EPERM) {
		// It runs as root through sudo, which did not ask for a password a moment ago.
		_ = exec.Command("sudo", "-n", "kill", "-"+strconv.Itoa(int(sig)), "--", strconv.Itoa(target)).Run()
	}
}

// stop ends the process group and returns when its leader has ended.
func (c *child) stop() {
	select {
	case <-c.done: // it has ended by itself; its group may live on
	default:
		c.signal(syscall.SIGTERM)
		select {
		case <-c.done:
		case <-time.After(graceful):
		}
	}
	c.signal(syscall.SIGKILL)
	<-c.done
}

// stop ends all children side by side, and then whatever they left.
func (f *family) stop() {
	f.mu.Lock()
	children := f.children
	f.children = nil
	f.mu.Unlock()
	var all sync.WaitGroup
	for _, c := range children {
		all.Go(c.stop)
	}
	all.Wait()
	sweep(f.mark)
}

// tail returns the end of a log, to be appended to an error, indented.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	lines = lines[max(0, len(lines)-8):]
	return fmt.Sprintf("\n    %s\n  (all of it: %s)", strings.Join(lines, "\n    "), path)
}
