package scenario

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

//go:embed builtin
var builtinFiles embed.FS

// Builtin is one of the suite's four scenarios, in the closed model as its Locust commands run
// it, or in the open model with the rate that its name promises. All send the same tasks.
type Builtin struct {
	Name  string
	About string

	users     int
	spawnRate float64
	stages    []Stage
	rate      float64
	runTime   time.Duration
}

var builtins = []Builtin{
	{Name: "baseline", About: "50 users, 10 started a second, for 5 min; they think 1 to 3 s, which makes about 24 requests/s", users: 50, spawnRate: 10, runTime: 5 * time.Minute},
	{Name: "ramp", About: "100 users, 1 started a second, for 2 min", users: 100, spawnRate: 1, runTime: 2 * time.Minute},
	{Name: "peak", About: "100 users, 50 started a second, for 1 min", users: 100, spawnRate: 50, runTime: time.Minute},
	{Name: "breaking", About: "200 users, 50 started a second, for 5 min", users: 200, spawnRate: 50, runTime: 5 * time.Minute},
	{Name: "baseline-open", About: "50 requests/s for 5 min", rate: 50, runTime: 5 * time.Minute},
	{Name: "ramp-open", About: "0 to 100 requests/s over 2 min", rate: 100, runTime: 2 * time.Minute, stages: []Stage{{Rate: 100, Duration: 2 * time.Minute}}},
	{Name: "peak-open", About: "100 requests/s for 1 min", rate: 100, runTime: time.Minute},
	{Name: "breaking-open", About: "200 requests/s for 5 min", rate: 200, runTime: 5 * time.Minute},
}

// Builtins lists the built-in scenarios in the order of their load, closed ones first.
func Builtins() []Builtin { return slices.Clone(builtins) }

// BuiltinNames are their names.
func BuiltinNames() []string {
	var names []string
	for _, b := range builtins {
		names = append(names, b.Name)
	}
	return names
}

// Suite returns the tasks of the built-in scenarios with Locust's defaults: one user, no end.
func Suite(o Options) (*Scenario, error) {
	return Builtin{Name: "suite", users: 1, spawnRate: 1}.load(o)
}

func (b Builtin) load(o Options) (*Scenario, error) {
	dir, err := fs.Sub(builtinFiles, "builtin")
	if err != nil {
		return nil, fmt.Errorf("built-in scenario: %w", err)
	}
	text, err := fs.ReadFile(dir, "suite.yaml")
	if err != nil {
		return nil, fmt.Errorf("built-in scenario: %w", err)
	}
	s, err := Parse("built-in "+b.Name, text, dir, o)
	if err != nil {
		return nil, err
	}
	s.Name, s.Users, s.SpawnRate, s.Rate, s.Stages, s.RunTime = b.Name, b.users, b.spawnRate, b.rate, slices.Clone(b.stages), b.runTime
	return s, nil
}
