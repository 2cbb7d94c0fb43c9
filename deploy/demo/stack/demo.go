package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// overheadBudget lets the agent keep its full precision: the demonstration wants every stage, and
// its report says what that cost.
const overheadBudget = "10%"

// agentPatience is how long the agent may take until it has attached to the API.
const agentPatience = 30 * time.Second

// demo runs the whole demonstration: stack, warm-up, agent, scenarios, report, verdict.
func demo(ctx context.Context, s settings) error {
	for _, binary := range []string{s.agent, s.load} {
		if _, err := os.Stat(binary); err != nil {
			return unavailable("%s is missing: run 'make build' first", binary)
		}
	}
	st, err := newStack(s, false)
	if err != nil {
		return err
	}
	agentListener := listener{s.agentPort, "DEMO_AGENT_PORT"}
	if err := portFree("the agent", agentListener); err != nil {
		return exitError{exitEnvironment, err}
	}
	defer st.stop()
	if err := st.askForRights(ctx); err != nil {
		return err
	}
	if err := st.start(ctx); err != nil {
		return err
	}
	// From here on a part that ends by itself ends the demonstration.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case err := <-st.failed:
			cancel(err)
		case <-ctx.Done():
		}
	}()
	if err := st.measure(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
	return nil
}

// measure is the part of the demonstration that needs the running stack.
func (st *stack) measure(ctx context.Context) error {
	s := st.cfg
	partial := s.results + ".partial"
	if err := errors.Join(os.RemoveAll(partial), os.MkdirAll(partial, 0o755)); err != nil {
		return err
	}
	whole := false
	defer func() {
		if !whole {
			_ = os.RemoveAll(partial) // what stopped the run is the error to report
		}
	}()

	if err := st.lookForOthers(ctx); err != nil {
		return err
	}
	if err := st.prime(ctx); err != nil {
		return fmt.Errorf("warm-up: %w", err)
	}
	rate := s.rate
	if rate == 0 {
		var err error
		if rate, err = st.findRate(ctx); err != nil {
			return fmt.Errorf("warm-up: %w", err)
		}
	}
	st.progress.say("%-12s baseline at %.1f req/s (DEMO_RATE=%.1f repeats it)", "rate", rate, rate)

	agent, err := st.startAgent(ctx)
	if err != nil {
		return err
	}
	for _, run := range plan(s, rate) {
		if err := st.runScenario(ctx, run, partial); err != nil {
			return err
		}
	}
	st.progress.say("%-12s from the recordings", "report")
	report := program{name: "report", dir: s.root, argv: []string{s.load, "report", "--results", partial, "--agent", st.agentURL(),
		"--out", filepath.Join(partial, "report.md")}}
	whole = true
	if err := st.family.run(ctx, report); err != nil {
		return fmt.Errorf("%w\n  what the scenarios left is kept in %s", err, partial)
	}
	agent.stop()
	if err := replace(s.results, partial); err != nil {
		return err
	}
	st.stop()
	st.progress.say("everything is stopped")
	return printVerdict(os.Stdout, s.results)
}

// lookForOthers warns of whatever else uses the machine, while the stack itself is idle.
func (st *stack) lookForOthers(ctx context.Context) error {
	cpu := startCPU()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	if busy := cpu.busy(); busy > 0.2 {
		st.progress.say("%-12s other processes keep the CPU %.0f %% busy: every figure will show it", "warning", 100*busy)
	}
	return nil
}

func (st *stack) agentURL() string { return "http://" + loopback(st.cfg.agentPort) }

// askForRights asks for the password now, not in the middle of the run.
func (st *stack) askForRights(ctx context.Context) error {
	if os.Geteuid() == 0 {
		return nil
	}
	if _, err := exec.LookPath("sudo"); err != nil {
		return unavailable("the agent loads eBPF programs and needs root: run this as root, or install sudo")
	}
	st.progress.say("the agent loads eBPF programs and needs root: sudo may ask for your password")
	ask := exec.CommandContext(ctx, "sudo", "-v")
	ask.Stdin, ask.Stdout, ask.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := ask.Run(); err != nil {
		return unavailable("sudo gave no rights (%v): run this as root", err)
	}
	return nil
}

// startAgent starts the agent and waits until it has attached.
func (st *stack) startAgent(ctx context.Context) (*child, error) {
	begin := time.Now()
	argv := []string{st.cfg.agent, "run", "--target", ":" + strconv.Itoa(st.cfg.apiPort), "--listen", loopback(st.cfg.agentPort),
		"--service", "demo-rag-api", "--overhead-budget", overheadBudget}
	if os.Geteuid() != 0 {
		argv = append([]string{"sudo", "-n"}, argv...)
	}
	c, err := st.family.start(program{name: "agent", argv: argv, dir: st.cfg.root})
	if err != nil {
		return nil, err
	}
	if err := waitReady(ctx, c, httpReady(st.agentURL()+"/healthz"), agentPatience); err != nil {
		var exit *exec.ExitError
		if errors.As(c.ended(), &exit) && exit.ExitCode() == exitEnvironment {
			return nil, unavailable("the agent cannot work here%s\n  'bin/agent doctor --target :%d' says what is missing", tail(c.log), st.cfg.apiPort)
		}
		return nil, fmt.Errorf("agent: %w", err)
	}
	st.progress.say("%-12s attached, %s (%.1fs)", "agent", st.agentURL(), time.Since(begin).Seconds())
	return c, nil
}

// ended is how the process ended, nil while it runs.
func (c *child) ended() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// replace puts a finished folder in the place of an older one.
func replace(dir, by string) error {
	old := dir + ".old"
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if err := os.Rename(dir, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(by, dir); err != nil {
		return err
	}
	return os.RemoveAll(old)
}
