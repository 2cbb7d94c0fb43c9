package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// running is what the state file says of a started part.
type running struct {
	Name  string `json:"name"`
	PID   int    `json:"pid"`
	Start string `json:"start"` // see startTime
	Ports []int  `json:"ports"`
	Log   string `json:"log"`
}

// stack is the parts that this command has started.
type stack struct {
	cfg      settings
	family   *family
	progress *progress
	failed   chan error // a part ended by itself
	running  []running
	lock     chan struct{} // holds one token: guards running and the state file
}

func stateFile(s settings) string { return filepath.Join(s.state, "stack.json") }

func newStack(s settings, keep bool) (*stack, error) {
	if err := os.MkdirAll(s.cache, 0o755); err != nil {
		return nil, fmt.Errorf("cache folder (DEMO_CACHE_DIR moves it): %w", err)
	}
	f, err := newFamily(s.logDir(), s.state, keep)
	if err != nil {
		return nil, err
	}
	return &stack{cfg: s, family: f, progress: newProgress(os.Stdout), failed: make(chan error, 16), lock: make(chan struct{}, 1)}, nil
}

// setup installs and builds, and starts nothing that stays.
func setup(ctx context.Context, s settings) error {
	st, err := newStack(s, false)
	if err != nil {
		return err
	}
	defer st.family.stop()
	release, err := st.lockCache(ctx)
	if err != nil {
		return err
	}
	defer release()
	return runSteps(ctx, st.progress, installSteps(s, st.family))
}

// lockCache keeps two checkouts from building into one cache at the same time.
func (st *stack) lockCache(ctx context.Context) (release func(), err error) {
	file, err := os.Create(st.cfg.cached("lock"))
	if err != nil {
		return nil, err
	}
	for told := false; ; told = true {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", file.Name(), err), file.Close())
		}
		if !told {
			st.progress.say("waiting: another setup uses %s", st.cfg.cache)
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// up runs the stack until ctx ends or a part fails; with keep it leaves the stack running instead.
func up(ctx context.Context, s settings, keep bool) error {
	st, err := newStack(s, keep)
	if err != nil {
		return err
	}
	if err := st.start(ctx); err != nil {
		st.stop()
		return err
	}
	st.progress.say("the stack is up: http://%s (docs at /docs); logs in %s", loopback(s.apiPort), s.logDir())
	if keep {
		st.progress.say("it stays up; 'go run ./deploy/demo/stack down' stops it")
		return nil
	}
	st.progress.say("Ctrl-C stops it")
	defer st.stop()
	select {
	case <-ctx.Done():
		st.progress.say("stopping")
		return nil
	case err := <-st.failed:
		return err
	}
}

// start installs what is missing, and starts and fills all parts, as much as possible side by side.
func (st *stack) start(ctx context.Context) error {
	if left := marked(st.cfg.state); len(left) > 0 {
		return fmt.Errorf("a stack of this checkout is already running (%d processes): 'go run ./deploy/demo/stack down' stops it", len(left))
	}
	wanted := parts(st.cfg)
	if err := checkPorts(wanted); err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(st.cfg.state, "bin"), 0o755), writePrometheusConfig(st.cfg)); err != nil {
		return err
	}
	release, err := st.lockCache(ctx)
	if err != nil {
		return err
	}
	defer release()
	steps := append(installSteps(st.cfg, st.family), fillSteps(st.cfg, st.family)...)
	for _, p := range wanted {
		if p.off != "" {
			st.progress.say("%-12s off: %s", p.name, p.off)
			continue
		}
		steps = append(steps, step{p.name, p.after, func(ctx context.Context) (string, error) { return st.startPart(ctx, p) }})
	}
	return runSteps(ctx, st.progress, steps)
}

func checkPorts(wanted []part) error {
	var errs []error
	for _, p := range wanted {
		for _, l := range p.ports {
			if p.off == "" {
				errs = append(errs, portFree(p.name, l))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return exitError{exitEnvironment, err}
	}
	return nil
}

// portFree tries to listen, and says who is in the way.
func portFree(name string, l listener) error {
	socket, err := net.Listen("tcp", loopback(l.port))
	if err == nil {
		return socket.Close()
	}
	if holder := portHolder(l.port); holder != "" {
		return fmt.Errorf("port %d for %s is taken by %s: stop it, or set %s to another port", l.port, name, holder, l.variable)
	}
	return fmt.Errorf("port %d for %s cannot be used (%w): set %s to another port", l.port, name, err, l.variable)
}

func (st *stack) startPart(ctx context.Context, p part) (string, error) {
	c, err := st.family.start(program{name: p.name, argv: p.argv, env: p.env, dir: p.dir})
	if errors.Is(err, exec.ErrNotFound) {
		return "", unavailable("%s is not installed", p.argv[0])
	} else if err != nil {
		return "", err
	}
	entry := running{Name: p.name, PID: c.pid, Start: startTime(c.pid), Log: c.log}
	var where []string
	for _, l := range p.ports {
		entry.Ports = append(entry.Ports, l.port)
		where = append(where, loopback(l.port))
	}
	if err := st.remember(entry); err != nil {
		return "", err
	}
	if err := waitReady(ctx, c, p.ready, p.within); err != nil {
		return "", err
	}
	go func() {
		<-c.done
		st.failed <- fmt.Errorf("%s ended by itself: %s%s", p.name, ended(c.err), tail(c.log))
	}()
	return "up on " + strings.Join(where, " and "), nil
}

func (st *stack) remember(entry running) error {
	st.lock <- struct{}{}
	defer func() { <-st.lock }()
	st.running = append(st.running, entry)
	text, err := json.MarshalIndent(st.running, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(stateFile(st.cfg), text)
}

// stop ends all parts.
func (st *stack) stop() {
	st.family.stop()
	if err := os.Remove(stateFile(st.cfg)); err != nil && !errors.Is(err, os.ErrNotExist) {
		st.progress.say("the state file stays: %v", err)
	}
}

func readState(s settings) ([]running, error) {
	text, err := os.ReadFile(stateFile(s))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var state []running
	if err := json.Unmarshal(text, &state); err != nil {
		return nil, fmt.Errorf("%s: %w", stateFile(s), err)
	}
	return state, nil
}

// down stops a stack that another command left running, or that was cut off.
func down(s settings) error {
	state, err := readState(s)
	if err != nil {
		return err
	}
	stopped := 0
	for i := len(state) - 1; i >= 0; i-- {
		if r := state[i]; r.Start != "" && startTime(r.PID) == r.Start {
			stopped++
			stopGroup(r)
		}
	}
	left := marked(s.state)
	sweep(s.state)
	if err := os.Remove(stateFile(s)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if stopped+len(left) == 0 {
		fmt.Println("nothing was running")
		return nil
	}
	fmt.Printf("stopped %d parts, and %d processes that they had left\n", stopped, len(left))
	return nil
}

func stopGroup(r running) {
	_ = syscall.Kill(-r.PID, syscall.SIGTERM)
	for deadline := time.Now().Add(graceful); startTime(r.PID) == r.Start && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	_ = syscall.Kill(-r.PID, syscall.SIGKILL)
}

func printStatus(w io.Writer, s settings) error {
	state, err := readState(s)
	if err != nil {
		return err
	}
	if len(state) == 0 {
		fmt.Fprintln(w, "nothing is running; 'go run ./deploy/demo/stack up --keep' starts the stack")
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PART\tPID\tSTATE\tRSS\tPORTS\tLOG")
	for _, r := range state {
		alive, memory := "ended", "-"
		if startTime(r.PID) == r.Start {
			alive, memory = "running", fmt.Sprintf("%d MB", residentBytes(r.PID)>>20)
		}
		var ports []string
		for _, p := range r.Ports {
			ports = append(ports, strconv.Itoa(p))
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\n", r.Name, r.PID, alive, memory, strings.Join(ports, ","), r.Log)
	}
	return table.Flush()
}
