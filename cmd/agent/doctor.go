package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/target"
	"github.com/ragscope/ragscope/internal/watch"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "what this kernel, these rights and this target allow, and how to mend what is missing",
		Description: `Loads and attaches everything for a moment, as "agent run" would, and says what is degraded.

   sudo agent doctor
   sudo agent doctor --target :8000 --json`,
		Flags: append(command.Flags(),
			&cli.StringFlag{Name: "target", Aliases: []string{"t"}, EnvVars: command.Env("target"), Usage: "look at this target too: `:8000` or ADDRESS:PORT, pid:123, name:uvicorn or cgroup:/path"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		),
		Action: doctorAction,
	}
}

func doctorAction(c *cli.Context) error {
	if selector := c.String("target"); selector != "" {
		if _, err := target.ParseSelector(selector); err != nil {
			return command.Wrong("--target: %w", err)
		}
	}
	log := slog.New(slog.DiscardHandler) // the findings say it all
	if c.IsSet("log-level") || c.IsSet("log-format") {
		var err error
		if log, err = command.Logger(c, os.Stderr); err != nil {
			return err
		}
	}
	findings := watch.Examine(c.String("target"), log)
	if c.Bool("json") {
		enc := json.NewEncoder(c.App.Writer)
		enc.SetIndent("", "  ")
		if err := enc.Encode(findings); err != nil {
			return err
		}
	} else {
		for _, f := range findings {
			fmt.Fprintf(c.App.Writer, "%-8s  %-28s %s\n", f.Verdict, f.What, f.Detail)
			if f.Mend != "" {
				fmt.Fprintf(c.App.Writer, "%-8s  %-28s → %s\n", "", "", f.Mend)
			}
		}
	}
	for _, f := range findings {
		if f.Verdict == watch.Missing && f.Needed {
			return command.NotAllowed(errors.New(f.What + ": " + f.Detail))
		}
	}
	return nil
}
