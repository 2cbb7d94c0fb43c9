package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/report"
)

// Exit codes of the report: the input is wrong, or the environment does not allow it.
const (
	exitReportUsage       = 2
	exitReportEnvironment = 3
)

// agentPatience bounds one answer of the agent.
const agentPatience = 30 * time.Second

// reportCommand turns the recordings of a results folder into the performance report.
func reportCommand() *cli.Command {
	return &cli.Command{
		Name:      "report",
		Usage:     "write the seven-section performance report, every figure measured",
		UsageText: "loader report --results results --out results/report.md\nloader report --results results --agent http://127.0.0.1:9470 --out results/report.html",
		Description: "Reads every *_recording.json of the results folder, one per scenario, as `loader run --agent` leaves them.\n" +
			"With --agent it also takes the whole run and the CPU profile from a running agent.\n" +
			"Writes the report as Markdown and as one HTML page, and recording.json, memory_profile.svg,\n" +
			"memory_report.json, latency_report.json and the profiles into the results folder.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "results", Usage: "`DIR` with one *_recording.json per scenario", Value: "results", EnvVars: []string{"RAGSCOPE_RESULTS"}},
			&cli.StringFlag{Name: "agent", Usage: "base `URL` of a running agent, for the whole run and the CPU profile", EnvVars: []string{"RAGSCOPE_AGENT"}},
			&cli.StringFlag{Name: "out", Usage: "`FILE` to write, .md or .html; the other form is written beside it (default: report.md in the results folder)", EnvVars: []string{"RAGSCOPE_OUT"}},
		},
		Action: makeReport,
	}
}

func makeReport(c *cli.Context) error {
	if c.Args().Present() {
		return cli.Exit(fmt.Sprintf("report takes no argument %q: name the folder with --results", c.Args().First()), exitReportUsage)
	}
	dir, out := c.String("results"), c.String("out")
	if out == "" {
		out = filepath.Join(dir, "report.md")
	}
	if ext := filepath.Ext(out); ext != ".md" && ext != ".html" {
		return cli.Exit(fmt.Sprintf("--out %s: end it in .md or .html", out), exitReportUsage)
	}
	in, err := readScenarios(dir)
	if err != nil {
		return cli.Exit(err.Error(), exitReportUsage)
	}
	if agent := c.String("agent"); agent != "" {
		if err := fromAgent(c.Context, strings.TrimSuffix(agent, "/"), &in); err != nil {
			return cli.Exit(err.Error(), exitReportEnvironment)
		}
	} else {
		fromFolder(dir, &in)
	}
	if err := in.Complete(); err != nil {
		return cli.Exit(err.Error(), exitReportUsage)
	}
	written, err := report.Write(in, dir, out)
	if err != nil {
		return cli.Exit(fmt.Sprintf("%v: free some space or choose another folder with --out", err), exitReportEnvironment)
	}
	for _, path := range written {
		fmt.Fprintln(c.App.Writer, path)
	}
	return nil
}

// readScenarios reads the folder's recordings, one per scenario. A recording that cannot be
// read is an error: a report without it would be silently wrong.
func readScenarios(dir string) (in report.Input, err error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return in, fmt.Errorf("results folder %s does not exist: run `loader run --agent URL --csv %s/NAME` first, or name the right folder with --results", dir, dir)
	case err != nil:
		return in, fmt.Errorf("results folder: %w", err)
	case !info.IsDir():
		return in, fmt.Errorf("%s is not a folder: give --results the folder that holds the recordings", dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return in, fmt.Errorf("results folder: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || !strings.HasSuffix(e.Name(), "_recording.json") {
			continue
		}
		rec, err := recording.Read(filepath.Join(dir, e.Name()))
		if err != nil {
			return in, err
		}
		if rec.Scenario == nil {
			rec.Scenario = &recording.Scenario{Name: strings.TrimSuffix(e.Name(), "_recording.json")}
		}
		in.Scenarios = append(in.Scenarios, rec)
	}
	if len(in.Scenarios) == 0 {
		return in, fmt.Errorf("no *_recording.json in %s: run the scenarios with `loader run --agent URL`, which leaves one each", dir)
	}
	return in, nil
}

// fromFolder takes the profiles that an earlier report or `agent record` left in the folder.
func fromFolder(dir string, in *report.Input) {
	for _, kind := range report.ProfileKinds {
		p := report.Profile{Kind: kind}
		p.Pprof, _ = os.ReadFile(filepath.Join(dir, kind+".pb.gz"))
		if p.SVG, _ = os.ReadFile(filepath.Join(dir, kind+".svg")); p.SVG == nil {
			p.Why = "there is no " + kind + ".svg in the results folder and no agent was asked"
		}
		in.Profiles = append(in.Profiles, p)
	}
}

// fromAgent takes the recording of the whole run, without which it fails, and the profiles,
// of which the report says why one is not there.
func fromAgent(ctx context.Context, base string, in *report.Input) error {
	body, err := get(ctx, base+"/api/v1/recording")
	if err != nil {
		return fmt.Errorf("the agent's recording: %w; start the agent, or leave out --agent to report on the scenarios alone", err)
	}
	whole, err := recording.Decode(strings.NewReader(string(body)))
	if err != nil {
		return fmt.Errorf("the agent's recording: %w", err)
	}
	if other := differentTarget(whole, in.Scenarios); other != "" {
		return fmt.Errorf("the agent at %s watches %s, but the scenarios ran against %s: name the agent that watched them", base, whole.Target.Address, other)
	}
	in.Whole = whole
	for _, kind := range report.ProfileKinds {
		in.Profiles = append(in.Profiles, askProfile(ctx, base, kind))
	}
	return nil
}

func askProfile(ctx context.Context, base, kind string) report.Profile {
	p := report.Profile{Kind: kind}
	if profile, err := get(ctx, base+"/api/v1/profile/"+kind+"?format=pprof"); err == nil {
		p.Pprof = profile
	}
	switch flame, err := get(ctx, base+"/api/v1/profile/"+kind+"?format=svg"); {
	case err != nil:
		p.Why = err.Error()
	case !strings.Contains(string(flame[:min(len(flame), 1024)]), "<svg"):
		p.Why = "the agent's answer is not an SVG picture"
	default:
		p.SVG = flame
	}
	return p
}

// differentTarget returns the address that the scenarios were recorded at, when it is not the
// agent's; "" when they agree or one of them does not say.
func differentTarget(whole *recording.Recording, scenarios []*recording.Recording) string {
	i := slices.IndexFunc(scenarios, func(r *recording.Recording) bool {
		return r.Target.Address != "" && whole.Target.Address != "" && r.Target.Address != whole.Target.Address
	})
	if i < 0 {
		return ""
	}
	return scenarios[i].Target.Address
}

func get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, agentPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("%s is not a URL: %w", url, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no answer: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: the answer broke off: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		reason := strings.TrimSpace(string(body[:min(len(body), 200)]))
		return nil, fmt.Errorf("%s answered %s: %s", url, resp.Status, reason)
	}
	return body, nil
}
