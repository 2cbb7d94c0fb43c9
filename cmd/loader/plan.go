package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/scenario"
)

// plan reads the scenario and lets the flags override it. Every error is one of usage.
func plan(c *cli.Context) (*scenario.Scenario, error) {
	s, err := readScenario(c)
	var coded *command.Error
	if err != nil && !errors.As(err, &coded) {
		err = command.Wrong("%w", err)
	}
	if err != nil {
		return nil, err
	}
	classes := c.Args().Slice()
	if len(classes) == 0 {
		classes = words([]string{os.Getenv("LOCUST_USER_CLASSES")})
	}
	if err := s.Only(classes); err != nil {
		return nil, &command.Error{Code: command.Failed, Err: err} // Locust's code
	}
	if err := s.Filter(words(c.StringSlice("tags")), words(c.StringSlice("exclude-tags"))); err != nil {
		return nil, command.Wrong("%w", err)
	}
	if c.Bool("equal-weights") {
		s.Equalize()
	}
	if err := amounts(c, s); err != nil {
		return nil, err
	}
	for _, text := range c.StringSlice("threshold") {
		list, err := thresholds(text)
		if err != nil {
			return nil, command.Wrong("--threshold: %w", err)
		}
		s.Thresholds = append(s.Thresholds, list...)
	}
	if err := s.CheckThresholds(); err != nil {
		return nil, command.Wrong("%w", err)
	}
	if c.IsSet("host") {
		s.SetHost(c.String("host"))
	}
	if err := s.CheckUsers(); err != nil {
		return nil, command.Wrong("%w", err)
	}
	return s, nil
}

// thresholds reads one --threshold, or the file that @FILE names.
func thresholds(text string) ([]scenario.Threshold, error) {
	if file, ok := strings.CutPrefix(text, "@"); ok {
		return scenario.ReadThresholds(file)
	}
	th, err := scenario.ParseThreshold(text)
	return []scenario.Threshold{th}, err
}

func readScenario(c *cli.Context) (*scenario.Scenario, error) {
	o := dataOptions(c)
	name := c.String("scenario")
	if f := c.String("locustfile"); name == "" && f != "" {
		if err := missing(f); err != nil {
			return nil, err
		}
		if strings.HasSuffix(f, ".py") {
			return loadLocustfile(f, o)
		}
		name = f
	}
	if name == "" {
		return scenario.Suite(o)
	}
	return scenario.Load(name, o)
}

// dataOptions replaces data sets as the flags say.
func dataOptions(c *cli.Context) (o scenario.Options) {
	if q := c.String("queries"); q != "" {
		o.Data = map[string]string{"queries": q}
	}
	return o
}

// amounts applies the flags that say how much is sent.
func amounts(c *cli.Context, s *scenario.Scenario) error {
	if c.IsSet("users") && c.IsSet("rate") {
		return command.Wrong("--users is the closed model, --rate the open one: give one of them")
	}
	if c.IsSet("users") {
		if s.Users, s.Rate, s.Stages = c.Int("users"), 0, nil; s.Users < 1 {
			return command.Wrong("--users %d: at least one user is needed", s.Users)
		}
	}
	if len(s.Stages) > 0 && c.IsSet("spawn-rate") && !c.IsSet("rate") {
		return command.Wrong("--spawn-rate does not go with the stages of scenario %s: change them there, or replace them by --users as well", s.Name)
	}
	rates := map[string]*float64{"spawn-rate": &s.SpawnRate, "hatch-rate": &s.SpawnRate, "rate": &s.Rate}
	for name, to := range rates {
		if !c.IsSet(name) {
			continue
		}
		v, err := scenario.ParseRate(c.String(name))
		if err != nil {
			return command.Wrong("--%s: %w", name, err)
		}
		*to = v
		if name == "rate" {
			s.Stages = nil
		}
	}
	var err error
	if c.IsSet("run-time") {
		if s.RunTime, err = scenario.ParseDuration(c.String("run-time")); err != nil || s.RunTime == 0 {
			return command.Wrong("--run-time %q: write 20, 20s, 3m or 1h20m", c.String("run-time"))
		}
	}
	if c.IsSet("timeout") {
		if s.Timeout, err = scenario.ParseDuration(c.String("timeout")); err != nil || s.Timeout == 0 {
			return command.Wrong("--timeout %q: write for example 60s", c.String("timeout"))
		}
	}
	if c.IsSet("think-time") {
		think, err := scenario.ParseThink(c.String("think-time"))
		if err != nil {
			return command.Wrong("--think-time: %w", err)
		}
		s.SetThink(think)
	}
	switch a := c.String("arrival"); a {
	case "":
	case "constant", "poisson":
		s.Poisson = a == "poisson"
	default:
		return command.Wrong("--arrival %q: write constant or poisson", a)
	}
	if c.IsSet("max-in-flight") {
		if s.MaxInFlight = c.Int("max-in-flight"); s.MaxInFlight < 1 {
			return command.Wrong("--max-in-flight %d: write a number from 1 up", s.MaxInFlight)
		}
	}
	if s.Rate == 0 { // Locust's defaults
		s.Users = max(s.Users, 1)
		if s.SpawnRate == 0 {
			s.SpawnRate = 1
		}
	}
	return nil
}

// checkHost demands a base URL.
func checkHost(s *scenario.Scenario) error {
	for i := range s.Classes {
		host := cmp.Or(s.Classes[i].Host, s.Host)
		if host == "" {
			return command.Wrong("--host is missing: name the API, as in --host http://localhost:8000")
		}
		if _, err := load.BaseURL(host); err != nil {
			return command.Wrong("--host: %w", err)
		}
		s.Host = cmp.Or(s.Host, host) // what is shown, and looked at before the run
	}
	return nil
}

// printScenarios is --list-scenarios.
func printScenarios(w io.Writer) {
	for _, b := range scenario.Builtins() {
		fmt.Fprintf(w, "%-14s %s\n", b.Name, b.About)
	}
}

// printTasks is --list and --show-task-ratio.
func printTasks(w io.Writer, s *scenario.Scenario, ratio bool) {
	var sum float64
	for _, t := range s.Tasks {
		sum += t.Weight
	}
	for _, t := range s.Tasks {
		share := ""
		if ratio {
			share = fmt.Sprintf("%5.1f%%  ", t.Weight/sum*100)
		}
		fmt.Fprintf(w, "%s%-5s %s  %s\n", share, t.Method, t.Name, strings.Join(t.Tags, ","))
	}
}

// printTasksJSON is --show-task-ratio-json, in Locust's shape; the scenario stands where Locust has
// a user class.
func printTasksJSON(w io.Writer, s *scenario.Scenario) error {
	type ratio struct {
		Ratio float64        `json:"ratio"`
		Tasks map[string]any `json:"tasks,omitempty"`
	}
	var sum float64
	for _, t := range s.Tasks {
		sum += t.Weight
	}
	tasks := map[string]any{}
	for _, t := range s.Tasks {
		tasks[t.Method+" "+t.Name] = ratio{Ratio: t.Weight / sum}
	}
	class := map[string]ratio{s.Name: {1, tasks}}
	text, err := json.MarshalIndent(map[string]any{"per_class": class, "total": class}, "", "    ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, string(text))
	return err
}
