package main

import "github.com/urfave/cli/v2"

// reportCommand turns the recordings of a results folder into the performance report.
func reportCommand() *cli.Command {
	return &cli.Command{
		Name:  "report",
		Usage: "write the seven-section performance report, every figure measured",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "results", Usage: "folder with one *_recording.json per scenario", Required: true},
			&cli.StringFlag{Name: "agent", Usage: "base `URL` of a running agent, for the whole run and the CPU profile"},
			&cli.StringFlag{Name: "out", Usage: "`FILE` to write, .md or .html; the other is written beside it"},
		},
		Action: func(*cli.Context) error { return cli.Exit("loader report is not built yet", 3) },
	}
}
