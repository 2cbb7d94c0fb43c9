package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
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

// TestMain lets the test binary play a supervisor that is killed: see TestKilledSupervisorLeavesNothing.
func TestMain(m *testing.M) {
	if mark := os.Getenv("TEST_SUPERVISOR"); mark != "" {
		f, err := newFamily(mark, mark, false)
		if err == nil {
			_, err = f.start(program{name: "child", argv: []string{"sleep", "1000"}})
		}
		fmt.Println("started", err)
		select {}
	}
	os.Exit(m.Run())
}

func testFamily(t *testing.T) *family {
	t.Helper()
	dir := t.TempDir()
	f, err := newFamily(dir, dir, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.stop)
	return f
}

// eventually waits for something that another process does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func TestStopEndsEvenWhatLeftTheGroup(t *testing.T) {
	for name, script := range map[string]string{
		"child alone":                    "exec sleep 1000",
		"grandchild in the group":        "sleep 1000 & wait",
		"grandchild in its own session":  "setsid sleep 1000 & wait",
		"orphan":                         "(setsid sleep 1000 &) ; exec sleep 1000",
		"child that has ended by itself": "setsid sleep 1000 & exit 3",
	} {
		t.Run(name, func(t *testing.T) {
			f := testFamily(t)
			if _, err := f.start(program{name: "p", argv: []string{"sh", "-c", script}}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the sleepers run", func() bool {
				for _, pid := range marked(f.mark) {
					if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); strings.HasPrefix(string(comm), "sleep") {
						return true
					}
				}
				return false
			})
			f.stop()
			if left := marked(f.mark); len(left) > 0 {
				t.Errorf("still running: %v", left)
			}
		})
	}
}

func TestKilledSupervisorLeavesNothing(t *testing.T) {
	mark := t.TempDir()
	supervisor := exec.Command(os.Args[0])
	supervisor.Env = append(os.Environ(), "TEST_SUPERVISOR="+mark)
	out, err := supervisor.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := supervisor.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if line != "started <nil>\n" || len(marked(mark)) != 1 {
		t.Fatalf("supervisor says %q, %d processes", line, len(marked(mark)))
	}
	if err := supervisor.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = supervisor.Wait() // killed, as intended
	eventually(t, "the child ends with its supervisor", func() bool { return len(marked(mark)) == 0 })
}

func TestRunStopsWithItsContext(t *testing.T) {
	f := testFamily(t)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- f.run(ctx, program{name: "long", argv: []string{"sh", "-c", "sleep 1000 & wait"}}) }()
	eventually(t, "it runs", func() bool { return len(marked(f.mark)) >= 2 })
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	eventually(t, "nothing is left", func() bool { return len(marked(f.mark)) == 0 })
}

func TestFailedRunShowsItsLastLines(t *testing.T) {
	err := testFamily(t).run(t.Context(), program{name: "bad", argv: []string{"sh", "-c", "echo no such thing; exit 7"}})
	if err == nil || !strings.Contains(err.Error(), "exit status 7") || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("got %v", err)
	}
}

func TestTakenPortNamesHolderAndVariable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	err = portFree("redis", listener{port, "DEMO_REDIS_PORT"})
	if err == nil {
		t.Fatal("a taken port counts as free")
	}
	for _, want := range []string{strconv.Itoa(port), "redis", "DEMO_REDIS_PORT", fmt.Sprintf("pid %d", os.Getpid())} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	l.Close()
	if err := portFree("redis", listener{port, "DEMO_REDIS_PORT"}); err != nil {
		t.Errorf("a free port: %v", err)
	}
}

func TestWaitReady(t *testing.T) {
	never := func(context.Context) error { return errors.New("connection refused") }
	for _, test := range []struct {
		name, script string
		ready        check
		within       time.Duration
		want         []string
	}{
		{"in time", "sleep 1000", func(context.Context) error { return nil }, time.Minute, nil},
		{"never", "echo starting; sleep 1000", never, 300 * time.Millisecond, []string{"not ready within 300ms", "connection refused", "starting"}},
		{"ended", "echo bad option; exit 4", never, time.Minute, []string{"exit status 4", "bad option"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := testFamily(t).start(program{name: "p", argv: []string{"sh", "-c", test.script}})
			if err != nil {
				t.Fatal(err)
			}
			err = waitReady(t.Context(), c, test.ready, test.within)
			if (err == nil) != (test.want == nil) {
				t.Fatalf("got %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

func TestDownStopsWhatTheStateFileSays(t *testing.T) {
	state := t.TempDir()
	s := settings{state: state}
	f, err := newFamily(filepath.Join(state, "logs"), state, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.stop)
	st := &stack{cfg: s, family: f, progress: newProgress(os.Stderr), failed: make(chan error, 1), lock: make(chan struct{}, 1)}
	part := part{name: "p", argv: []string{"sh", "-c", "setsid sleep 1000 & wait"}, within: time.Minute, ready: func(context.Context) error { return nil }}
	if _, err := st.startPart(t.Context(), part); err != nil {
		t.Fatal(err)
	}
	stranger := exec.Command("sleep", "1000")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	// A process id that was used again must not be hit.
	if err := st.remember(running{Name: "old", PID: stranger.Process.Pid, Start: "1"}); err != nil {
		t.Fatal(err)
	}
	if err := down(s); err != nil {
		t.Fatal(err)
	}
	if left := marked(state); len(left) > 0 {
		t.Errorf("still running: %v", left)
	}
	if syscall.Kill(stranger.Process.Pid, 0) != nil || startTime(stranger.Process.Pid) == "" {
		t.Error("a process that is not of the stack was stopped")
	}
	if _, err := os.Stat(stateFile(s)); err == nil {
		t.Error("the state file is still there")
	}
}
