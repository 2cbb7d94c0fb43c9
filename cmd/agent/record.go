package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
		Description: `Leaves recording.json, memory_report.json, memory_profile.svg and, of each kind of stack, a profile and a
   flame graph (cpu.pb.gz and cpu.svg, off_cpu…, memory…) in a folder and a summary on the screen.

   sudo agent record --target :8000 --duration 60s --out results`,
		Flags: append(append(watchFlags(), cpuFlags()...), fileFlags(time.Minute)...),
		Action: func(c *cli.Context) error {
			return watchIntoFiles(c, summary, writeFacts, "recording.json")
		},
	}
}

// fileFlags are those of every command that watches for a while and leaves files.
func fileFlags(long time.Duration) []cli.Flag {
	return []cli.Flag{
		&cli.DurationFlag{Name: "duration", Aliases: []string{"d"}, EnvVars: command.Env("duration"), Value: long, Usage: "how long; Ctrl-C ends it earlier, and what was seen is kept"},
		&cli.PathFlag{Name: "out", Aliases: []string{"o"}, EnvVars: command.Env("out"), Value: "results", Usage: "`FOLDER` for the files"},
	}
}

// watchIntoFiles watches for a while, prints a summary and writes files, the main one last.
func watchIntoFiles(c *cli.Context, print func(io.Writer, *recording.Recording), write func(*started, *recording.Recording, string) error, main string) error {
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
	print(c.App.Writer, rec) // also where the files cannot be written
	if err := errors.Join(write(w, rec, out), w.finish()); err != nil {
		return command.NotAllowed(err)
	}
	fmt.Fprintf(c.App.Writer, "\n%s\n", filepath.Join(out, main))
	return nil
}

// finish completes the file of the requests.
func (s *started) finish() error {
	if err := s.FlushRequests(); err != nil {
		return err
	}
	return s.keep()
}

// writeFacts writes the recording and, of each kind of stack that was sampled, the profile and its
// flame graph.
func writeFacts(w *started, rec *recording.Recording, dir string) error {
	var profiles []*stack.Profile
	for _, kind := range []stack.Kind{stack.CPU, stack.OffCPU, stack.Alloc} {
		tally := w.Tally(kind)
		if tally == nil {
			continue
		}
		total := tally.Total(time.Now())
		if samples, _ := total.Totals(); samples > 0 {
			profiles = append(profiles, total)
		}
	}
	return writeResults(dir, rec, profiles)
}

// writeResults writes first what tells most in the least room: on a disk that is nearly full the
// pictures are missing, which pprof draws of the profiles. A file that fails does not take
// the others with it.
func writeResults(dir string, rec *recording.Recording, profiles []*stack.Profile) error {
	errs := []error{recording.Write(filepath.Join(dir, "recording.json"), rec)}
	for _, p := range profiles {
		errs = append(errs, pprofile.WriteFile(filepath.Join(dir, p.Kind.String()+".pb.gz"), p))
	}
	errs = append(errs, writeMemory(nil, rec, dir))
	for _, p := range profiles {
		errs = append(errs, flame.WriteFile(filepath.Join(dir, p.Kind.String()+".svg"), p, flame.Options{Title: rec.Target.Service, Subtitle: p.Kind.Sees()}))
	}
	return errors.Join(errs...)
}

// writeStacks writes the profile of a kind and its flame graph, if there are samples.
func writeStacks(w *started, rec *recording.Recording, kind stack.Kind, dir string) error {
	tally := w.Tally(kind)
	if tally == nil {
		return nil
	}
	total := tally.Total(time.Now())
	if samples, _ := total.Totals(); samples == 0 {
		return nil
	}
	subtitle := kind.Sees()
	if a := rec.Memory.Allocations; kind == stack.Malloc && a != nil {
		subtitle += fmt.Sprintf("; watched for %.2f s of %.2f s", a.WatchedSeconds, a.Seconds)
	}
	path := filepath.Join(dir, kind.String())
	return errors.Join(
		pprofile.WriteFile(path+".pb.gz", total),
		flame.WriteFile(path+".svg", total, flame.Options{Title: rec.Target.Service, Subtitle: subtitle}))
}
