package scenario

import (
	"embed"
	"fmt"
	"io/fs"
	"time"
)

//go:embed builtin
var builtinFiles embed.FS

// builtin is one of the suite's four scenarios: all send the same tasks.
type builtin struct {
	name      string
	users     int
	spawnRate float64
	runTime   time.Duration
}

var builtins = map[string]builtin{
	"baseline": {"baseline", 50, 10, 5 * time.Minute},
	"ramp":     {"ramp", 100, 1, 2 * time.Minute},
	"peak":     {"peak", 100, 50, time.Minute},
	"breaking": {"breaking", 200, 50, 5 * time.Minute},
}

// Builtins lists the names of the built-in scenarios in the order of their load.
func Builtins() []string { return []string{"baseline", "ramp", "peak", "breaking"} }

// Suite returns the tasks of the built-in scenarios with Locust's defaults: one user, no end.
func Suite(o Options) (*Scenario, error) {
	return builtin{name: "suite", users: 1, spawnRate: 1}.load(o)
}

func (b builtin) load(o Options) (*Scenario, error) {
	dir, err := fs.Sub(builtinFiles, "builtin")
	if err != nil {
		return nil, fmt.Errorf("built-in scenario: %w", err)
	}
	text, err := fs.ReadFile(dir, "suite.yaml")
	if err != nil {
		return nil, fmt.Errorf("built-in scenario: %w", err)
	}
	s, err := Parse("built-in "+b.name, text, dir, o)
	if err != nil {
		return nil, err
	}
	s.Name, s.Users, s.SpawnRate, s.RunTime = b.name, b.users, b.spawnRate, b.runTime
	return s, nil
}
