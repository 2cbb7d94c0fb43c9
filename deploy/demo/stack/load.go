package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// loadRun is one run of the loader.
type loadRun struct {
	scenario string
	files    string // the prefix of its result files, as the suite names them
	length   time.Duration
	rate     float64 // requests a second, the open model; or else
	users    int     // users with the scenario's think time, started one after the other over most of the run
}

// secondsPerUser is about one think time (1 to 3 s) and one answer: the pace of one user in the closed model.
const secondsPerUser = 2.1

// plan scales the suite's scenarios to a machine whose baseline is rate: the suite's own ratios are 50 : 100 : 200.
func plan(s settings, rate float64) []loadRun {
	runs := map[string]loadRun{
		"baseline": {files: "baseline_50qps", rate: rate},
		"ramp":     {files: "ramp_up", users: max(1, int(math.Round(2*rate*secondsPerUser)))},
		"peak":     {files: "stress_100qps", rate: 2 * rate},
		"breaking": {files: "breaking_point", rate: 4 * rate},
	}
	var planned []loadRun
	for _, name := range s.scenarios {
		run := runs[name]
		run.scenario, run.length = name, s.scenarioTime
		planned = append(planned, run)
	}
	return planned
}

// argv is the loader's command line.
func (r loadRun) argv(s settings, prefix string) []string {
	argv := []string{s.load, "run", "--headless", "--scenario", r.scenario, "--host", "http://" + loopback(s.apiPort),
		"--run-time", fmt.Sprintf("%ds", int(r.length.Seconds())), "--queries", queriesFile(s), "--csv", prefix}
	if r.users > 0 {
		spawn := float64(r.users) / (0.8 * r.length.Seconds())
		return append(argv, "--users", strconv.Itoa(r.users), "--spawn-rate", strconv.FormatFloat(spawn, 'f', 2, 64))
	}
	return append(argv, "--rate", strconv.FormatFloat(r.rate, 'f', 2, 64))
}

// runScenario runs one scenario with the agent watching, and says in a line what the client saw.
func (st *stack) runScenario(ctx context.Context, run loadRun, dir string) error {
	offered := fmt.Sprintf("%.1f req/s", run.rate)
	if run.users > 0 {
		offered = fmt.Sprintf("up to %d users", run.users)
	}
	st.progress.say("%-12s %s for %s …", run.scenario, offered, run.length)
	prefix := filepath.Join(dir, run.files)
	argv := append(run.argv(st.cfg, prefix), "--agent", st.agentURL(), "--html", prefix+".html")
	cpu := startCPU()
	if err := st.runLoader(ctx, "load-"+run.scenario, argv); err != nil {
		return err
	}
	busy := cpu.busy()
	seen, err := readTotals(prefix + "_stats.csv")
	if err != nil {
		return err
	}
	st.progress.say("%-12s %s, CPU %.0f %%", run.scenario, seen, 100*busy)
	return nil
}

// runLoader takes failed requests and missed thresholds, exit code 1, for a result and not for an error.
func (st *stack) runLoader(ctx context.Context, name string, argv []string) error {
	err := st.family.run(ctx, program{name: name, argv: argv, dir: st.cfg.root})
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitFailed {
		return nil
	}
	return err
}

// totals is the Aggregated row of the loader's statistics.
type totals struct {
	requests, failures int
	perSecond          float64
	p50, p95, p99      time.Duration
}

func (t totals) String() string {
	return fmt.Sprintf("%d requests, %.1f/s, %d failed, p50 %s, p95 %s, p99 %s", t.requests, t.perSecond, t.failures, t.p50, t.p95, t.p99)
}

func readTotals(path string) (totals, error) {
	file, err := os.Open(path)
	if err != nil {
		return totals{}, err
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return totals{}, fmt.Errorf("%s: %w", path, err)
	}
	if len(rows) < 2 {
		return totals{}, fmt.Errorf("%s has no rows", path)
	}
	row := rows[len(rows)-1]
	var errs []error
	field := func(name string) float64 {
		at := slices.Index(rows[0], name)
		if at < 0 || at >= len(row) {
			errs = append(errs, fmt.Errorf("%s has no column %q", path, name))
			return 0
		}
		if strings.EqualFold(row[at], "N/A") {
			return 0
		}
		value, err := strconv.ParseFloat(row[at], 64)
		errs = append(errs, err)
		return value
	}
	ms := func(name string) time.Duration { return time.Duration(field(name) * float64(time.Millisecond)) }
	t := totals{
		requests: int(field("Request Count")), failures: int(field("Failure Count")), perSecond: field("Requests/s"),
		p50: ms("50%"), p95: ms("95%"), p99: ms("99%"),
	}
	return t, errors.Join(errs...)
}
