// Command loader drives load against an API, understands Locust's command line and file
// formats, keeps an honest clock, and joins what it saw with what the agent saw. This package
// is the command line; see internal/scenario, internal/load and internal/locust.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/ragscope/ragscope/internal/command"
)

func main() {
	stop, abort := interrupts()
	os.Exit(run(stop, abort, os.Args))
}

// interrupts returns two contexts: the first ends with the first SIGINT or SIGTERM, and the
// load ends in good order; the second ends with the second one, and requests that are under
// way are given up.
func interrupts() (stop, abort context.Context) {
	stop, first := context.WithCancel(context.Background())
	abort, second := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, unix.SIGTERM)
	go func() { // lives as long as the process
		<-signals
		slog.Warn("interrupted: waiting for the requests that are under way; interrupt again to give them up")
		first()
		<-signals
		second()
	}()
	return stop, abort
}

func run(stop, abort context.Context, args []string) int {
	cli.VersionFlag = &cli.BoolFlag{Name: "version", Aliases: []string{"V", "v"}, Usage: "print the version"}
	app := &cli.App{
		Name:                      "loader",
		Usage:                     "load an API, with Locust's command line and an honest clock",
		UsageText:                 "loader --host http://localhost:8000 -u 50 -r 10 -t 5m --headless --csv results/baseline   (the same as loader run …)\nloader run --host http://localhost:8000 --scenario baseline --headless --csv results/baseline --agent http://127.0.0.1:9470\nloader report --results results --out results/report.md",
		Description:               "A command that was written for Locust works with the word changed; the default command is run.\nExit codes: 0 fine, 1 thresholds missed or requests failed, 2 wrong usage, 3 the environment does not allow it.",
		Version:                   command.Version(),
		EnableBashCompletion:      true,
		HideHelpCommand:           true,
		Suggest:                   true,
		DisableSliceFlagSeparator: true, // thresholds may hold commas; tags are split by hand
		ExitErrHandler:            func(*cli.Context, error) {},
		Action:                    unknownCommand,
	}
	app.Commands = []*cli.Command{runCommand(abort), convertCommand(), reportCommand(), mergeCommand()}
	err := app.RunContext(stop, normalise(args))
	if err != nil && err.Error() != "" {
		fmt.Fprintln(os.Stderr, "loader:", err)
	}
	return exitCode(err)
}

func unknownCommand(c *cli.Context) error {
	if c.Args().Present() {
		return command.Wrong("unknown command %q; there are run, convert, report and merge, see loader --help", c.Args().First())
	}
	return cli.ShowAppHelp(c)
}

func exitCode(err error) int {
	var coded *command.Error
	var coder cli.ExitCoder
	if !errors.As(err, &coded) && errors.As(err, &coder) {
		return coder.ExitCode()
	}
	return command.Exit(err)
}
