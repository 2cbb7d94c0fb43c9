package truth

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
)

// StackCost is what CPU stacks take: agents with and without them in turn, at the same load.
type StackCost struct {
	Workload string    `json:"workload"`
	Hz       int       `json:"hz"`
	Date     string    `json:"date"`
	Rate     float64   `json:"rate"`         // requests a second
	Stacks   float64   `json:"stacks"`       // a second
	Each     float64   `json:"each_seconds"` // of the target's CPU, by the kernel's account of run times
	Share    float64   `json:"target_ratio"` // of the target's CPU, by the same
	Without  Quartiles `json:"without"`      // cores that the agent takes
	With     Quartiles `json:"with"`
	Added    Quartiles `json:"added"` // paired
	RSS      uint64    `json:"rss"`   // of the agent with stacks, the most, bytes
}

// MeasureStacks runs pairs of windows at half of the target's speed, at precision linked.
func MeasureStacks(ctx context.Context, dir string, load Workload, hz, pairs int, window time.Duration) (*StackCost, error) {
	dir, err := os.MkdirTemp(dir, "stacks")
	if err != nil {
		return nil, err
	}
	s := NewStand(dir)
	defer s.Close()
	t, err := s.StartTarget(load.Settings)
	if err != nil {
		return nil, err
	}
	fastest, _, err := perRequest(ctx, t, load, 2*time.Second)
	if err != nil {
		return nil, err
	}
	c := &StackCost{Workload: load.Name, Hz: hz, Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Rate: fastest.Rate() / 2}
	var cores [2][]float64
	for pair := range pairs {
		for i := range 2 {
			with := i ^ pair&1 // either is first in turn
			used, err := c.window(ctx, s, t, load, with*hz, window)
			if err != nil {
				return nil, err
			}
			cores[with] = append(cores[with], used)
		}
	}
	var added []float64
	for i := range pairs {
		added = append(added, cores[1][i]-cores[0][i])
	}
	c.Without, c.With, c.Added = quartiles(cores[0]), quartiles(cores[1]), quartiles(added)
	c.Stacks /= float64(pairs)
	c.Each /= float64(pairs)
	c.Share /= float64(pairs)
	return c, nil
}

// window runs an agent for one window and returns the cores that it took.
func (c *StackCost) window(ctx context.Context, s *Stand, t *Target, load Workload, hz int, window time.Duration) (float64, error) {
	a, err := s.StartAgent(AgentSettings{Target: t.Address, Precision: kernel.Linked, CPUHz: hz})
	if err != nil {
		return 0, err
	}
	defer a.Stop()
	client, err := Dial(t.Address, load.Conns, c.Rate, load.Wires(t.Address)...)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	if _, err := client.Run(ctx, 3*time.Second); err != nil { // the agent has the work of starting, and the first price of a stack
		return 0, err
	}
	before, err := a.Status()
	if err != nil {
		return 0, err
	}
	agent, target := cpuSeconds(a.PID), cpuSeconds(t.PID)
	w, err := client.Run(ctx, window)
	if err != nil {
		return 0, err
	}
	agent, target = cpuSeconds(a.PID)-agent, cpuSeconds(t.PID)-target
	after, err := a.Status()
	if err != nil {
		return 0, err
	}
	if hz > 0 {
		n, seconds := float64(after.Stacks-before.Stacks), after.StackSeconds-before.StackSeconds
		c.Stacks += n / w.Seconds
		c.Each += ratio(seconds, n)
		c.Share += ratio(seconds, target)
		_, most, err := rssBytes(a.PID)
		if err != nil {
			return 0, err
		}
		c.RSS = max(c.RSS, most)
	}
	_, err = a.Finish()
	return agent / w.Seconds, err
}

func (r *Results) stackCosts(p *page) {
	if len(r.StackCosts) == 0 {
		return
	}
	p.head("Cost of CPU stacks")
	p.line("At half of the target's speed, at precision linked, agents with and without stacks in turn. A stack is unwound on the thread that it is of:")
	p.line("its price is the kernel's own account of the run time, and most of it is cold caches (the same stack takes a sixth at 997 Hz).\n")
	p.table("workload", "Hz", "requests/s", "stacks/s", "µs a stack", "of the target's CPU, %", "agent without, % of a core", "with", "paired", "agent RSS at most, MiB")
	for _, c := range r.StackCosts {
		percent := func(q Quartiles) string {
			return fmt.Sprintf("%.1f [%.1f … %.1f]", 100*q.Median, 100*q.Low, 100*q.High)
		}
		p.row(c.Workload, fmt.Sprint(c.Hz), fmt.Sprintf("%.0f", c.Rate), fmt.Sprintf("%.0f", c.Stacks), fmt.Sprintf("%.0f", c.Each*1e6), fmt.Sprintf("%.2f", 100*c.Share),
			percent(c.Without), percent(c.With), percent(c.Added), fmt.Sprint(c.RSS>>20))
	}
}
