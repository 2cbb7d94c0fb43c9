// Command agent watches a service from the kernel: every request of it, every call it makes,
// and where the time of both goes. This package is the command line; see internal/watch.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/ragscope/ragscope/internal/command"
)

// memoryLimit keeps the garbage collector busy before the agent gets big; maps and caches are
// bounded on their own.
const memoryLimit = 256 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	code := run(ctx, os.Args)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	app := &cli.App{
		Name:                 "agent",
		Usage:                "find out from the kernel what makes an API slow, without touching it",
		Version:              command.Version(),
		EnableBashCompletion: true,
		HideHelpCommand:      true,
		Suggest:              true,
		Commands:             []*cli.Command{runCommand(), recordCommand(), doctorCommand()},
		ExitErrHandler:       func(*cli.Context, error) {},
	}
	err := app.RunContext(ctx, args)
	if err != nil && err.Error() != "" {
		fmt.Fprintln(os.Stderr, "agent:", err)
	}
	return command.Exit(err)
}
