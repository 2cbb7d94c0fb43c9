package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/locust"
	"github.com/ragscope/ragscope/internal/recording"
)

// mergeCommand adds up what several loaders measured at the same time.
func mergeCommand() *cli.Command {
	return &cli.Command{
		Name:      "merge",
		Usage:     "add up the recordings of loaders that ran at the same time",
		UsageText: "loader merge one_recording.json two_recording.json --out all_recording.json --csv results/all",
		Description: "Histograms, counts and sums add exactly. Prints the tables of the whole.\n" +
			"With --csv it writes PREFIX_stats.csv, PREFIX_failures.csv and PREFIX_exceptions.csv; a recording has no history.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out", EnvVars: []string{"RAGSCOPE_OUT"}, Usage: "write the recording of the whole to `FILE`"},
			&cli.StringFlag{Name: "csv", EnvVars: []string{"RAGSCOPE_CSV"}, Usage: "write Locust's CSV files with this `PREFIX`"},
		},
		Action: mergeRecordings,
	}
}

func mergeRecordings(c *cli.Context) error {
	if !c.Args().Present() {
		return command.Wrong("merge: name the recordings, as in loader merge a_recording.json b_recording.json --out all.json")
	}
	var parts []*recording.Recording
	for _, file := range c.Args().Slice() {
		r, err := recording.Read(file)
		if err != nil {
			return command.Wrong("merge: %w", err)
		}
		parts = append(parts, r)
	}
	whole, err := recording.MergeLoaders(parts...)
	if err != nil {
		return command.Wrong("%w", err)
	}
	for _, n := range whole.NotMeasured {
		slog.Warn("not measured: "+n.What, "why", n.Why)
	}
	if err := writeMerged(c, whole); err != nil {
		return command.NotAllowed(fmt.Errorf("results are not complete: %w", err))
	}
	return nil
}

func writeMerged(c *cli.Context, whole *recording.Recording) error {
	stats := locust.FromRecording(whole)
	columns, _, _ := terminal(os.Stderr)
	width := locust.NameWidth(columns)
	fmt.Fprintf(c.App.Writer, "%s\n%s\n%s\n%s", stats.Table(width, false), stats.PercentileTable(width), load.RecordingClocks(whole), stats.ErrorTable(width))
	var errs []error
	if out := c.String("out"); out != "" {
		errs = append(errs, os.MkdirAll(filepath.Dir(out), 0o755), recording.Write(out, whole))
	}
	if prefix := c.String("csv"); prefix != "" {
		errs = append(errs, os.MkdirAll(filepath.Dir(prefix), 0o755), stats.WriteMerged(prefix))
	}
	return errors.Join(errs...)
}
