package load

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ragscope/ragscope/internal/scenario"
)

// sends keeps when requests left.
type sends struct{ at, planned []time.Duration }

func (s *sends) Add(samples []Sample) {
	for i := range samples {
		s.at, s.planned = append(s.at, samples[i].Sent), append(s.planned, samples[i].Intended)
	}
}
func (s *sends) Tick(Progress) {}

// poisson holds the gaps between actual sends against the exponential distribution.
func (b *bench) poisson() {
	const block = 1000
	b.line("## Poisson arrivals\n\nKolmogorov and Smirnov's test of the gaps between sends against the exponential distribution of the same rate, at 1 %%: of all gaps of 10 s, and of each %d in a row. The more gaps, the smaller is the deviation that the test finds.\n\n| rate | gaps | D as planned | D as sent | D allowed | | blocks of %d that pass |\n|---|---|---|---|---|---|---|", block, block)
	for _, rate := range []float64{200, 2000} {
		sc, err := scenario.Parse("poisson", fmt.Appendf(nil, "rate: %g/s\narrival: poisson\nrun_time: 10s\ntasks: [{request: {path: /}}]\n", rate), nil, scenario.Options{})
		if err != nil {
			b.Fatal(err)
		}
		var s sends
		if _, err := Run(context.Background(), Config{Scenario: sc, Host: b.url, Sinks: []Sink{&s}, StopTimeout: time.Minute, Seed: 11}); err != nil {
			b.Fatal(err)
		}
		planned, gaps := between(s.planned), between(s.at)
		passed, blocks := 0, 0
		for g := range slices.Chunk(gaps, block) {
			if len(g) == block {
				blocks++
				if exponentialD(g, rate) <= 1.628/math.Sqrt(block) {
					passed++
				}
			}
		}
		d, limit := exponentialD(gaps, rate), 1.628/math.Sqrt(float64(len(gaps)))
		b.line("| %g/s | %d | %.4f | %.4f | %.4f | %s | %d of %d |", rate, len(gaps), exponentialD(planned, rate), d, limit, map[bool]string{true: "passes", false: "fails"}[d <= limit], passed, blocks)
	}
}

// between sorts instants and returns the gaps between them in seconds.
func between(at []time.Duration) []float64 {
	slices.Sort(at)
	gaps := make([]float64, 0, len(at))
	for i := 1; i < len(at); i++ {
		gaps = append(gaps, (at[i] - at[i-1]).Seconds())
	}
	return gaps
}
