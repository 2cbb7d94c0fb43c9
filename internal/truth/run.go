package truth

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/recording"
)

// Load is what a truth run sends.
type Load struct {
	Rate  float64 // requests a second, at random instants
	For   time.Duration
	Paths []string // in turn
	Seed  uint64
}

// Findings of a truth run.
type Findings struct {
	Target    string               `json:"target"`
	Load      Load                 `json:"load"`
	Sent      int                  `json:"sent"`
	Failed    int                  `json:"failed"`
	By        []*Comparison        `json:"comparisons"` // the first is over all endpoints
	Known     []Known              `json:"-"`
	Recording *recording.Recording `json:"-"`
}

// RunTruth runs an application with a truth log, the agent at full precision, and the load, and
// compares.
func RunTruth(ctx context.Context, dir string, set Settings, load Load) (*Findings, error) {
	s := NewStand(dir)
	defer s.Close()
	set.Log = true
	t, err := s.StartTarget(set)
	if err != nil {
		return nil, err
	}
	lines := filepath.Join(dir, "requests.jsonl")
	a, err := s.StartAgent(AgentSettings{Target: t.Address, Precision: kernel.Full, Requests: lines})
	if err != nil {
		return nil, err
	}
	sent := Open(ctx, t.Address, "truth", load.Rate, load.For, load.Seed, func(i int) string { return load.Paths[i%len(load.Paths)] })
	f := &Findings{Target: set.String(), Load: load, Sent: len(sent)}
	for _, x := range sent {
		if x.Err != nil || x.Status != 200 {
			f.Failed++
		}
	}
	if f.Recording, err = a.Finish(); err != nil {
		return nil, err
	}
	if f.Known, err = readLines[Known](t.Truth); err != nil {
		return nil, fmt.Errorf("read the truth: %w", err)
	}
	seen, err := readLines[Seen](lines)
	if err != nil {
		return nil, fmt.Errorf("read what the agent saw: %w", err)
	}
	f.By = Compare(sent, f.Known, seen)
	return f, nil
}
