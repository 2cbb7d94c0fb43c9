package truth

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
)

// StackCost is what stacks take, of the CPU, sleeps and memory: an agent with and without them in turn, at the same load.
type StackCost struct {
	Workload string    `json:"workload"`
	Hz       int       `json:"hz"` // 0: stacks of memory alone
	Date     string    `json:"date"`
	Rate     float64   `json:"rate"` // requests a second
	Pairs    int       `json:"pairs"`
	Stacks   float64   `json:"stacks"`       // a second
	Each     float64   `json:"each_seconds"` // of the target's CPU, by the kernel's account of run times
	Share    float64   `json:"target_ratio"` // of the target's CPU, by the same
	Without  Quartiles `json:"without"`      // cores that the agent takes
	With     Quartiles `json:"with"`
	Added    Quartiles `json:"added"`         // paired
	Outside  Quartiles `json:"outside_ratio"` // what the target's CPU a request grew by, paired
	RSS      uint64    `json:"rss"`           // of the agent with stacks, the most, bytes
}

// MeasureStacks runs pairs of windows at half of the target's speed, at precision linked: one agent takes stacks and
// does not, in turn. Two agents are half a minute apart, in which a shared machine changes more than stacks cost.
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
	w := &stackWindows{StackCost: c, target: t}
	if w.agent, err = s.StartAgent(AgentSettings{Target: t.Address, Precision: kernel.Linked, CPUHz: hz, Memory: hz == 0}); err != nil {
		return nil, err
	}
	defer w.agent.Stop()
	if w.client, err = Dial(t.Address, load.Conns, c.Rate, load.Wires(t.Address)...); err != nil {
		return nil, err
	}
	defer w.client.Close()
	// The first price of a stack is that of new files; the second comes with the 300th.
	if _, err := w.client.Run(ctx, 7*time.Second); err != nil {
		return nil, err
	}
	if err := w.pairs(ctx, pairs, window); err != nil {
		return nil, fmt.Errorf("stacks of %s: %w", load.Name, err)
	}
	_, c.RSS, err = rssBytes(w.agent.PID)
	return c, err
}

// stackWindows runs windows.
type stackWindows struct {
	*StackCost
	target *Target
	agent  *Agent
	client *Closed

	stacks                  uint64
	seconds, stacked, spent float64 // of windows with stacks: their length, what stacks took, what the target used
}

func (s *stackWindows) pairs(ctx context.Context, pairs int, window time.Duration) error {
	var cores, cpu [2][]float64
	var added, outside []float64
	for pair := range pairs {
		for i := range 2 {
			with := i ^ pair&1 // either is first in turn
			a, perRequest, err := s.run(ctx, with == 1, window)
			if err != nil {
				return fmt.Errorf("pair %d: %w", pair, err)
			}
			cores[with], cpu[with] = append(cores[with], a), append(cpu[with], perRequest)
		}
		added = append(added, cores[1][pair]-cores[0][pair])
		outside = append(outside, cpu[1][pair]/cpu[0][pair]-1)
	}
	s.Pairs = pairs
	s.Without, s.With, s.Added, s.Outside = quartiles(cores[0]), quartiles(cores[1]), quartiles(added), quartiles(outside)
	s.Stacks, s.Each, s.Share = float64(s.stacks)/s.seconds, ratio(s.stacked, float64(s.stacks)), ratio(s.stacked, s.spent)
	return nil
}

// run returns the cores that the agent took in a window, and the target's CPU seconds a request.
func (s *stackWindows) run(ctx context.Context, with bool, window time.Duration) (cores, perRequest float64, err error) {
	if err := s.agent.PauseStacks(!with); err != nil {
		return 0, 0, err
	}
	if _, err := s.client.Run(ctx, window/4); err != nil { // what was taken before is through
		return 0, 0, err
	}
	before, err := s.agent.Status()
	if err != nil {
		return 0, 0, err
	}
	agent, target := cpuSeconds(s.agent.PID), cpuSeconds(s.target.PID)
	w, err := s.client.Run(ctx, window)
	if err != nil {
		return 0, 0, err
	}
	agent, target = cpuSeconds(s.agent.PID)-agent, cpuSeconds(s.target.PID)-target
	after, err := s.agent.Status()
	if err != nil {
		return 0, 0, err
	}
	if with {
		s.stacks += after.Stacks - before.Stacks
		s.seconds += w.Seconds
		s.stacked += after.StackSeconds - before.StackSeconds
		s.spent += target
	}
	return agent / w.Seconds, ratio(target, float64(w.Requests)), nil
}

func (r *Results) stackCosts(p *page) {
	if len(r.StackCosts) == 0 {
		return
	}
	p.head("Cost of CPU stacks")
	p.line("At half of the target's speed, at precision linked, one agent that takes stacks of the CPU, of sleeps and of memory and does not, in turn. A stack is unwound on")
	p.line("the thread that it is of: its price is the kernel's own account of the run time; the same seen from outside is what the target's CPU a request grew by.\n")
	p.table("workload", "Hz", "pairs", "requests/s", "stacks/s", "µs a stack", "of the target's CPU, %", "from outside, %", "agent without, % of a core", "with", "paired", "agent RSS at most, MiB")
	for _, c := range r.StackCosts {
		percent := func(q Quartiles) string {
			return fmt.Sprintf("%.1f [%.1f … %.1f]", 100*q.Median, 100*q.Low, 100*q.High)
		}
		hz := fmt.Sprint(c.Hz)
		if c.Hz == 0 {
			hz = "of memory alone"
		}
		p.row(c.Workload, hz, fmt.Sprint(c.Pairs), fmt.Sprintf("%.0f", c.Rate), fmt.Sprintf("%.0f", c.Stacks), fmt.Sprintf("%.0f", c.Each*1e6), fmt.Sprintf("%.2f", 100*c.Share), percent(c.Outside),
			percent(c.Without), percent(c.With), percent(c.Added), fmt.Sprint(c.RSS>>20))
	}
}
