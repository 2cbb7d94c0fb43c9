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
	Added    Quartiles `json:"added"`         // paired
	Outside  Quartiles `json:"outside_ratio"` // what the target's CPU a request grew by, paired
	RSS      uint64    `json:"rss"`           // of the agent with stacks, the most, bytes
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
	w := &stackWindows{StackCost: c, stand: s, target: t, load: load, length: window}
	defer w.close()
	var cores, cpu [2][]float64
	for pair := range pairs {
		for i := range 2 {
			with := i ^ pair&1 // either is first in turn, and two windows of a kind have one agent
			a, perRequest, err := w.run(ctx, with*hz)
			if err != nil {
				return nil, fmt.Errorf("stacks of %s, pair %d: %w", load.Name, pair, err)
			}
			cores[with], cpu[with] = append(cores[with], a), append(cpu[with], perRequest)
		}
	}
	var added, outside []float64
	for i := range pairs {
		added = append(added, cores[1][i]-cores[0][i])
		outside = append(outside, cpu[1][i]/cpu[0][i]-1)
	}
	c.Without, c.With, c.Added, c.Outside = quartiles(cores[0]), quartiles(cores[1]), quartiles(added), quartiles(outside)
	c.Stacks /= float64(pairs)
	c.Each /= float64(pairs)
	c.Share /= float64(pairs)
	return c, nil
}

// stackWindows runs windows; an agent stays while the next one is of its kind, as starting takes longer than a window.
type stackWindows struct {
	*StackCost
	stand  *Stand
	target *Target
	load   Workload
	length time.Duration
	agent  *Agent
}

func (s *stackWindows) close() {
	if s.agent != nil {
		s.agent.Stop()
	}
}

// start makes the agent one that samples so often, and has it warm.
func (s *stackWindows) start(ctx context.Context, hz int) error {
	if s.agent != nil && s.agent.CPUHz == hz {
		return nil
	}
	if s.agent != nil {
		_, err := s.agent.Finish()
		if s.agent = nil; err != nil {
			return err
		}
	}
	a, err := s.stand.StartAgent(AgentSettings{Target: s.target.Address, Precision: kernel.Linked, CPUHz: hz})
	if err != nil {
		return err
	}
	s.agent = a
	warm := 3 * time.Second // the work of starting
	if hz > 0 {
		warm = 7 * time.Second // the first price of a stack is that of new files; the second comes with the 300th
	}
	_, err = s.offer(ctx, warm)
	return err
}

func (s *stackWindows) offer(ctx context.Context, d time.Duration) (Window, error) {
	client, err := Dial(s.target.Address, s.load.Conns, s.Rate, s.load.Wires(s.target.Address)...)
	if err != nil {
		return Window{}, err
	}
	defer client.Close()
	return client.Run(ctx, d)
}

// run returns the cores that the agent took in a window, and the target's CPU seconds a request.
func (s *stackWindows) run(ctx context.Context, hz int) (cores, perRequest float64, err error) {
	if err := s.start(ctx, hz); err != nil {
		return 0, 0, err
	}
	before, err := s.agent.Status()
	if err != nil {
		return 0, 0, err
	}
	agent, target := cpuSeconds(s.agent.PID), cpuSeconds(s.target.PID)
	w, err := s.offer(ctx, s.length)
	if err != nil {
		return 0, 0, err
	}
	agent, target = cpuSeconds(s.agent.PID)-agent, cpuSeconds(s.target.PID)-target
	after, err := s.agent.Status()
	if err != nil {
		return 0, 0, err
	}
	if hz > 0 {
		n, seconds := float64(after.Stacks-before.Stacks), after.StackSeconds-before.StackSeconds
		s.Stacks += n / w.Seconds
		s.Each += ratio(seconds, n)
		s.Share += ratio(seconds, target)
		_, most, err := rssBytes(s.agent.PID)
		if err != nil {
			return 0, 0, err
		}
		s.RSS = max(s.RSS, most)
	}
	return agent / w.Seconds, ratio(target, float64(w.Requests)), nil
}

func (r *Results) stackCosts(p *page) {
	if len(r.StackCosts) == 0 {
		return
	}
	p.head("Cost of CPU stacks")
	p.line("At half of the target's speed, at precision linked, agents with and without stacks in turn. A stack is unwound on the thread that it is of:")
	p.line("its price is the kernel's own account of the run time; the same seen from outside is what the target's CPU a request grew by.\n")
	p.table("workload", "Hz", "requests/s", "stacks/s", "µs a stack", "of the target's CPU, %", "from outside, %", "agent without, % of a core", "with", "paired", "agent RSS at most, MiB")
	for _, c := range r.StackCosts {
		percent := func(q Quartiles) string {
			return fmt.Sprintf("%.1f [%.1f … %.1f]", 100*q.Median, 100*q.Low, 100*q.High)
		}
		p.row(c.Workload, fmt.Sprint(c.Hz), fmt.Sprintf("%.0f", c.Rate), fmt.Sprintf("%.0f", c.Stacks), fmt.Sprintf("%.0f", c.Each*1e6), fmt.Sprintf("%.2f", 100*c.Share), percent(c.Outside),
			percent(c.Without), percent(c.With), percent(c.Added), fmt.Sprint(c.RSS>>20))
	}
}
