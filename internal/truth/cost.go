package truth

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
)

// Cost is a workload's price of each step.
type Cost struct {
	Workload string     `json:"workload"`
	Target   string     `json:"target"`
	Date     string     `json:"date"`
	Rate     float64    `json:"offered_rate"` // 0: as fast as it can
	Window   float64    `json:"window_seconds"`
	Steps    []StepCost `json:"steps"`
	Seen     int64      `json:"requests_seen"` // by the agent, in all steps
	Sent     int64      `json:"requests_sent"` // while it was attached

	Lost     map[string]uint64    `json:"losses"`
	Startups map[string]Quartiles `json:"attach_seconds"`
	Load     string               `json:"load_average"` // of the machine before it began
}

// StepCost is one step beside off. CPU and times in seconds, CPU by request.
type StepCost struct {
	Step       string    `json:"step"`
	CPU        Quartiles `json:"cpu"`
	AddedCPU   Quartiles `json:"added_cpu"`   // paired differences to off
	CPURatio   Quartiles `json:"cpu_ratio"`   // paired: 0.02 is 2 % more
	Rate       Quartiles `json:"rate"`        // requests a second
	RateRatio  Quartiles `json:"rate_ratio"`  // paired
	P50        Quartiles `json:"p50"`         //
	P95        Quartiles `json:"p95"`         //
	P99        Quartiles `json:"p99"`         //
	P95Ratio   Quartiles `json:"p95_ratio"`   // paired
	AgentCPU   Quartiles `json:"agent_cpu"`   // the agent's own
	AgentRSS   uint64    `json:"agent_rss"`   // the most, bytes
	Said       Quartiles `json:"agent_says"`  // added CPU as the agent computes it
	TrapPrice  float64   `json:"trap_price"`  // seconds, as calibrated by the agent
	TrapCPU    float64   `json:"trap_cpu"`    // traps at that price
	ProgramCPU float64   `json:"program_cpu"` // run time of all programs, on the whole host
	Hooks      []Hook    `json:"hooks"`
}

// Hook is a BPF program's share.
type Hook struct {
	Program string  `json:"program"`
	Runs    float64 `json:"runs"`            // by request, on the whole host
	Each    float64 `json:"seconds_per_run"` //
	Traps   float64 `json:"traps"`           // by request
}

// MeasureCost runs the workload in blocks of windows: each block goes through the steps and
// back again, so that a drift of the machine cancels out, and gives two pairs of each step with
// off.
func MeasureCost(ctx context.Context, dir string, load Workload, blocks int, window time.Duration, progress func(format string, args ...any)) (*Cost, error) {
	dir, err := os.MkdirTemp(dir, "cost")
	if err != nil {
		return nil, err
	}
	steps := load.Steps
	window *= time.Duration(max(1, load.Windows))
	s := NewStand(dir)
	defer s.Close()
	b := &bench{stand: s, pid: load.PID, addr: load.Address, window: window, startups: map[string][]float64{}, lost: map[string]uint64{}}
	out := &Cost{Workload: load.Name, Target: "running service", Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Window: window.Seconds(), Load: loadAverage()}
	if load.Address == "" {
		t, err := s.StartTarget(load.Settings)
		if err != nil {
			return nil, err
		}
		b.pid, b.addr, out.Target = t.PID, t.Address, load.Settings.String()
	}
	b.dial = func() (*Closed, error) { return Dial(b.addr, load.Conns, out.Rate, load.Wires(b.addr)...) }
	fastest, err := b.fastest(ctx)
	if err != nil {
		return nil, err
	}
	out.Rate = load.Share * fastest
	progress("%s: %s, %.0f requests/s without the agent", load.Name, out.Target, fastest)
	samples := make([][]sample, len(steps))
	for block := range blocks {
		for i := range 2 * len(steps) {
			step := min(i, 2*len(steps)-1-i)
			if err := b.move(steps[step]); err != nil {
				return nil, err
			}
			x, err := b.measure(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", load.Name, steps[step].Name, err)
			}
			samples[step] = append(samples[step], x)
		}
		progress("%s: block %d of %d, off %.1f µs, %s %.1f µs a request", load.Name, block+1, blocks, 1e6*samples[0][2*block].CPU, steps[len(steps)-1].Name, 1e6*samples[len(steps)-1][2*block].CPU)
	}
	for i, step := range steps {
		out.Steps = append(out.Steps, stepCost(step.Name, samples[0], samples[i]))
	}
	out.Seen, out.Sent, out.Lost = b.seen[0], b.seen[1], b.lost
	out.Startups = map[string]Quartiles{}
	for name, v := range b.startups {
		out.Startups[name] = quartiles(v)
	}
	return out, nil
}

// fastest warms the target up and returns its rate.
func (b *bench) fastest(ctx context.Context) (float64, error) {
	c, err := b.dial()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	w, err := c.Run(ctx, 2*time.Second)
	return w.Rate(), err
}

func stepCost(name string, off, on []sample) StepCost {
	column := func(get func(off, on sample) float64) Quartiles {
		v := make([]float64, len(on))
		for i := range on {
			v[i] = get(off[i], on[i])
		}
		return quartiles(v)
	}
	c := StepCost{
		Step:      name,
		CPU:       column(func(_, x sample) float64 { return x.CPU }),
		AddedCPU:  column(func(o, x sample) float64 { return x.CPU - o.CPU }),
		CPURatio:  column(func(o, x sample) float64 { return x.CPU/o.CPU - 1 }),
		Rate:      column(func(_, x sample) float64 { return x.Rate }),
		RateRatio: column(func(o, x sample) float64 { return x.Rate/o.Rate - 1 }),
		P50:       column(func(_, x sample) float64 { return x.P50 }),
		P95:       column(func(_, x sample) float64 { return x.P95 }),
		P99:       column(func(_, x sample) float64 { return x.P99 }),
		P95Ratio:  column(func(o, x sample) float64 { return x.P95/o.P95 - 1 }),
		AgentCPU:  column(func(_, x sample) float64 { return x.AgentCPU }),
		Said:      column(func(_, x sample) float64 { return x.Said }),
		TrapCPU:   column(func(_, x sample) float64 { return x.TrapSum }).Median,
	}
	total, requests := map[string]kernel.Run{}, 0.0
	for _, x := range on {
		c.AgentRSS, c.TrapPrice = max(c.AgentRSS, x.AgentRSS), x.TrapPrice
		requests += float64(x.Requests)
		for name, r := range x.Runs {
			t := total[name]
			total[name] = kernel.Run{Count: t.Count + r.Count, Seconds: t.Seconds + r.Seconds, Traps: r.Traps}
		}
	}
	for name, r := range total {
		if r.Count == 0 {
			continue
		}
		n := float64(r.Count)
		c.Hooks = append(c.Hooks, Hook{name, n / requests, r.Seconds / n, n / requests * float64(r.Traps)})
		c.ProgramCPU += r.Seconds / requests
	}
	slices.SortFunc(c.Hooks, func(a, b Hook) int { return strings.Compare(a.Program, b.Program) })
	return c
}

// loadAverage is how busy the machine was, "1 min 5 min 15 min".
func loadAverage() string {
	b, err := os.ReadFile(filepath.FromSlash("/proc/loadavg"))
	if err != nil {
		return "not measured: " + err.Error()
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}
