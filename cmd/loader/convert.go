package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/locust/locustfile"
	"github.com/ragscope/ragscope/internal/scenario"
)

func convertCommand() *cli.Command {
	return &cli.Command{
		Name:      "convert",
		Usage:     "turn a locustfile into a scenario file",
		ArgsUsage: "LOCUSTFILE",
		UsageText: "loader convert locustfile.py -o scenario.yaml\nloader convert --strict locustfile.py > scenario.yaml",
		Description: "The locustfile is parsed with python3 and never run. What could not be translated is listed on standard error,\n" +
			"line by line, with the reason. Lines marked \"note\" lose nothing of what is sent or checked.",
		Flags: append([]cli.Flag{
			&cli.PathFlag{Name: "o", Usage: "write the scenario to `FILE` instead of standard output"},
			&cli.BoolFlag{Name: "strict", Usage: "exit code 1 when anything that is sent or checked could not be translated"},
		}, command.Flags()...),
		Action: convert,
	}
}

func convert(c *cli.Context) error {
	if c.Args().Len() != 1 {
		return command.Wrong("name one locustfile: loader convert locustfile.py -o scenario.yaml")
	}
	file := c.Args().First()
	res, err := locustfile.Convert(file)
	if res == nil {
		return command.Wrong("%w", err)
	}
	for _, p := range res.Problems {
		mark := ""
		if p.Note {
			mark = "note: "
		}
		fmt.Fprintln(c.App.ErrWriter, mark+p.String())
	}
	lost := len(res.Lost())
	if out := c.Path("o"); out != "" {
		if writeErr := os.WriteFile(out, res.Scenario, 0o644); writeErr != nil {
			return command.NotAllowed(writeErr)
		}
	} else if _, writeErr := c.App.Writer.Write(res.Scenario); writeErr != nil {
		return command.NotAllowed(writeErr)
	}
	fmt.Fprintf(c.App.ErrWriter, "%s: %d places could not be translated, %d notes\n", file, lost, len(res.Problems)-lost)
	switch {
	case err != nil:
		return &command.Error{Code: command.Failed, Err: err}
	case lost > 0 && c.Bool("strict"):
		return &command.Error{Code: command.Failed, Err: fmt.Errorf("%d places could not be translated", lost)}
	}
	return nil
}

// loadLocustfile converts a locustfile for this run. A run that sends something else than the
// locustfile says would be worse than none.
func loadLocustfile(file string, o scenario.Options) (*scenario.Scenario, error) {
	res, err := locustfile.Convert(file)
	if err != nil {
		return nil, err
	}
	if lost := res.Lost(); len(lost) > 0 {
		errs := []error{fmt.Errorf("%s is not run as Python, and %d places of it have no translation", file, len(lost))}
		for _, p := range lost {
			errs = append(errs, errors.New(p.String()))
		}
		return nil, errors.Join(append(errs, fmt.Errorf("convert it with loader convert %s -o scenario.yaml, complete that, and run it with --scenario scenario.yaml", file))...)
	}
	for _, p := range res.Problems {
		slog.Info(p.Why, "at", fmt.Sprintf("%s:%d", p.File, p.Line), "what", p.What)
	}
	s, err := scenario.Parse("converted "+file, res.Scenario, os.DirFS(filepath.Dir(file)), o)
	if err == nil {
		s.Name = strings.TrimSuffix(filepath.Base(file), ".py")
	}
	return s, err
}
