// Command stack starts, watches and stops the demo: a RAG API and every service that it needs, on loopback.
//
// In: the environment (DEMO_…, see settings.go) and the package registries (apt, pip, Go modules, Maven). Out: running
// processes with their logs under .demo/logs, and for the command demo a folder of results. What is slow to make is
// kept outside the checkout, in the user's cache, and made once. It never leaves a process behind, unless "up --keep"
// was asked for, and it never measures anything itself but the rate that the warm-up finds.
//
//	go run ./deploy/demo/stack setup       install and build what is missing
//	go run ./deploy/demo/stack up          … and run the stack until Ctrl-C
//	go run ./deploy/demo/stack up --keep   … and leave it running
//	go run ./deploy/demo/stack status      what runs, where, with how much memory
//	go run ./deploy/demo/stack down        stop it
//	go run ./deploy/demo/stack demo        the whole demonstration: stack, agent, load, report
//	go run ./deploy/demo/stack env         every knob with its present value
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// Exit codes of DESIGN.md §5.
const (
	exitFine        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitEnvironment = 3
)

const usage = "usage: stack setup | up [--keep] | down | status | demo | env"

func main() {
	// Signals are caught until the very end: a second Ctrl-C must not cut the clean-up short.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := command(ctx, os.Args[1:])
	interrupted := ctx.Err() != nil
	stop()
	if err == nil {
		os.Exit(exitFine)
	}
	if interrupted {
		fmt.Fprintln(os.Stderr, "interrupted; everything that was started is stopped")
		os.Exit(128 + int(syscall.SIGINT))
	}
	fmt.Fprintln(os.Stderr, "stack:", err)
	var coded exitError
	if errors.As(err, &coded) {
		os.Exit(coded.code)
	}
	os.Exit(exitFailed)
}

func command(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return exitError{exitUsage, errors.New(usage)}
	}
	cfg, err := loadSettings(os.LookupEnv)
	if err != nil {
		return exitError{exitUsage, err}
	}
	keep := slices.Equal(args, []string{"up", "--keep"})
	if len(args) > 1 && !keep {
		return exitError{exitUsage, fmt.Errorf("%q is not understood; %s", args[1], usage)}
	}
	switch args[0] {
	case "setup":
		return setup(ctx, cfg)
	case "up":
		return up(ctx, cfg, keep)
	case "down":
		return down(cfg)
	case "status":
		return printStatus(os.Stdout, cfg)
	case "demo":
		return demo(ctx, cfg)
	case "env":
		return printSettings(os.Stdout, cfg)
	}
	return exitError{exitUsage, fmt.Errorf("%q is no command; %s", args[0], usage)}
}

// exitError is an error that decides the exit code.
type exitError struct {
	code int
	error
}

func (e exitError) Unwrap() error { return e.error }

// unavailable says that this machine lacks something.
func unavailable(format string, args ...any) error {
	return exitError{exitEnvironment, fmt.Errorf(format, args...)}
}
