// Command agent watches a service from the kernel: every request of it, every call it makes,
// and where the time of both goes. This package is the command line; see internal/watch.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/watch"
)

func main() {
	watch.BoundMemory()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for files
	code := run(ctx, os.Args)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	app := &cli.App{
		Name:  "agent",
		Usage: "find out from the kernel what makes an API slow, without touching it",
		UsageText: `agent doctor --target :8000
agent run --target :8000
agent record --target :8000 --duration 60s --out results
agent memory --target :8000 --duration 3m --out results`,
		Description:          "Exit codes: 0 fine, 2 wrong usage, 3 the environment does not allow it; agent doctor says what is missing.",
		Version:              command.Version(),
		EnableBashCompletion: true,
		HideHelpCommand:      true,
		Commands:             []*cli.Command{runCommand(), recordCommand(), memoryCommand(), doctorCommand()},
		Action:               noCommand,
		OnUsageError:         usageError,
		ExitErrHandler:       func(*cli.Context, error) {},
	}
	for _, c := range app.Commands {
		c.Before, c.OnUsageError, c.HideHelpCommand = prepare, usageError, true
	}
	err := app.RunContext(ctx, args)
	if err != nil && err.Error() != "" {
		fmt.Fprintln(os.Stderr, "agent:", err)
	}
	return command.Exit(err)
}

// noCommand answers a command line that names none.
func noCommand(c *cli.Context) error {
	if c.Args().Present() {
		return command.Wrong("unknown command %q: there are run, record, memory and doctor, see agent --help", c.Args().First())
	}
	return cli.ShowAppHelp(c)
}

// usageError says what is wrong and where to look; the whole help would bury it.
func usageError(c *cli.Context, err error, _ bool) error {
	return command.Wrong("%w; see %s --help", err, c.Command.HelpName)
}

// prepare completes a command's flags from the configuration file before anything reads them.
func prepare(c *cli.Context) error {
	if c.Args().Present() { // and flags after it were not read
		return command.Wrong("unexpected argument %q; see %s --help", c.Args().First(), c.Command.HelpName)
	}
	if err := command.Configure(c); err != nil {
		return err
	}
	_, err := command.Logger(c, io.Discard)
	return err
}
