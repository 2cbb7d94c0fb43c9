package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/export/flame"
	"github.com/ragscope/ragscope/internal/export/pprofile"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/stack"
)

func recordCommand() *cli.Command {
	return &cli.Command{
		Name:  "record",
		Usage: "watch a target for a while and leave the facts in files",
		Description: `Leaves recording.json and, of each kind of stack, a profile and a flame graph (cpu.pb.gz and cpu.svg,
memory.pb.gz and memory.svg) in a folder and a summary on the screen.

   sudo agent record --target :8000 --duration 60s --out results`,
		Flags: append(watchFlags(),
			&cli.DurationFlag{Name: "duration", Aliases: []string{"d"}, EnvVars: command.Env("duration"), Value: time.Minute, Usage: "how long; Ctrl-C ends it earlier, and what was seen is kept"},
			&cli.PathFlag{Name: "out", Aliases: []string{"o"}, EnvVars: command.Env("out"), Value: "results", Usage: "`FOLDER` for the files"},
		),
		Action: recordAction,
	}
}

func recordAction(c *cli.Context) error {
	if c.Duration("duration") <= 0 {
		return command.Wrong("--duration %s: give a time above 0, as 60s", c.Duration("duration"))
	}
	out := c.Path("out")
	undo := func() {}
	w, err := start(c, nil, func() (err error) {
		if undo, err = makeFolder(out); err != nil {
			return command.NotAllowed(fmt.Errorf("--out: %w", err))
		}
		return nil
	})
	if err != nil {
		undo()
		return err
	}
	defer w.close()
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("duration"))
	defer cancel()
	if err := w.Run(ctx); err != nil {
		return command.NotAllowed(err)
	}
	rec := w.Recording()
	if err := w.Ready(); err != nil {
		w.log.Warn("the target had ended", "error", err)
	}
	summary(c.App.Writer, rec) // also where the files cannot be written
	if err := writeAll(w, rec, out); err != nil {
		return command.NotAllowed(err)
	}
	fmt.Fprintf(c.App.Writer, "\n%s\n", filepath.Join(out, "recording.json"))
	return nil
}

// writeAll writes what was seen. One file that fails does not take the others with it.
func writeAll(w *started, rec *recording.Recording, out string) error {
	requests := w.FlushRequests()
	if requests == nil {
		requests = w.keep()
	}
	return errors.Join(writeFacts(w, rec, out), requests)
}

// writeFacts writes the recording and, of each kind of stack that was sampled, the profile and its flame
// graph. One that fails does not take the others with it.
func writeFacts(w *started, rec *recording.Recording, dir string) error {
	var errs []error
	for _, kind := range stack.Kinds {
		tally := w.Tally(kind)
		if tally == nil {
			continue
		}
		total := tally.Total(time.Now())
		if samples, _ := total.Totals(); samples == 0 {
			continue
		}
		path := filepath.Join(dir, kind.String())
		errs = append(errs,
			pprofile.WriteFile(path+".pb.gz", total),
			flame.WriteFile(path+".svg", total, flame.Options{Title: rec.Target.Service, Subtitle: kind.Sees()}))
	}
	return errors.Join(append(errs, recording.Write(filepath.Join(dir, "recording.json"), rec))...)
}
