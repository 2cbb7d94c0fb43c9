package truth

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// graceful is how long a process may take to end after SIGTERM before it is killed.
const graceful = 5 * time.Second

// Stand owns the processes of a run and the folder of their logs.
type Stand struct {
	Dir string

	hidden bool // from its processes: separate debug files, which few machines have

	mu       sync.Mutex
	children []*Process
	closers  []func() // of what is no process
}

// NewStand makes a stand with its logs in dir, which exists. The caller must Close it.
func NewStand(dir string) *Stand { return &Stand{Dir: dir} }

// Process is one that a stand started, the leader of its process group.
type Process struct {
	PID  int
	Name string

	log  string
	done chan struct{}
	err  error // how it ended; valid after done
	in   io.WriteCloser
	out  io.Reader
}

// spawner is the one thread that starts processes: the kernel sends Pdeathsig when the thread
// that forked ends, and Go ends threads as it likes.
var spawner = sync.OnceValue(func() chan func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for start := range work {
			start()
		}
	}()
	return work
})

// start starts a program, its output in a log of its name. With pipes, stdin and stdout are the
// caller's to talk through.
func (s *Stand) start(name string, pipes bool, env []string, argv ...string) (*Process, error) {
	p := &Process{Name: name, log: filepath.Join(s.Dir, name+".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	if s.hidden { // in a file system of its own
		argv = append([]string{"unshare", "-m", "--propagation", "private", "sh", "-c", `mount -t tmpfs none /usr/lib/debug && exec "$@"`, "sh"}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir = s.Dir
	cmd.Stdout, cmd.Stderr = log, log
	// SIGTERM, so that a parent that dies with us still ends its own workers.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if pipes {
		cmd.Stdout = nil
		if p.in, err = cmd.StdinPipe(); err != nil {
			return nil, err
		}
		if p.out, err = cmd.StdoutPipe(); err != nil {
			return nil, err
		}
	}
	started := make(chan error)
	spawner() <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	p.PID = cmd.Process.Pid
	s.mu.Lock()
	s.children = append(s.children, p)
	s.mu.Unlock()
	go func() {
		_, waited := cmd.Process.Wait()
		p.err = waited
		close(p.done)
	}()
	return p, nil
}

// Stop ends the process and whatever is in its group, and returns when it has ended.
func (p *Process) Stop() {
	_ = syscall.Kill(-p.PID, syscall.SIGTERM) // gone already is as good
	select {
	case <-p.done:
	case <-time.After(graceful):
	}
	_ = syscall.Kill(-p.PID, syscall.SIGKILL)
	<-p.done
}

// atClose adds what ends after the processes.
func (s *Stand) atClose(end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closers = append(s.closers, end)
}

// Close stops all processes, the youngest first.
func (s *Stand) Close() {
	s.mu.Lock()
	children, closers := s.children, s.closers
	s.children, s.closers = nil, nil
	s.mu.Unlock()
	for i := len(children) - 1; i >= 0; i-- {
		children[i].Stop()
	}
	for _, end := range closers {
		end()
	}
}

// await calls ready until it succeeds, the process ends, or the time is over.
func (p *Process) await(limit time.Duration, ready func() error) error {
	end := time.Now().Add(limit)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s has ended: %s", p.Name, p.tail())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is not ready after %s: %w: %s", p.Name, limit, err, p.tail())
		}
	}
}

// tail is the end of its log.
func (p *Process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	if len(b) > 1500 {
		b = b[len(b)-1500:]
	}
	return strings.TrimSpace(string(b))
}

var errNotReady = errors.New("not ready yet")
