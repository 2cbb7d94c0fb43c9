package truth

import (
	"context"
	"fmt"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
)

// Step is one way to run, or not to run, the agent.
type Step struct {
	Name      string
	On        bool
	Precision kernel.Precision
	CPUHz     int
	Budget    float64 // share of the target's CPU that the governor keeps; 0: the precision stays
	Neighbour bool    // instead of an agent, a process that has nothing to do with the target
}

// Steps are compared with the first, off. "off again" is what a difference of nothing looks
// like, the neighbour what any process does to the target that is as busy as the agent; default is what "agent run" does without flags, but for the budget.
var Steps = []Step{
	{Name: "off"},
	{Name: "off again"},
	{Name: "off, a busy neighbour", Neighbour: true},
	{Name: "sockets", On: true, Precision: kernel.Sockets},
	{Name: "linked", On: true, Precision: kernel.Linked},
	{Name: "full", On: true, Precision: kernel.Full},
	{Name: "default (full, stacks at 97 Hz)", On: true, Precision: kernel.Full, CPUHz: 97},
}

// AsRun compares what "agent run" does without flags.
var AsRun = []Step{
	{Name: "off"},
	{Name: "off again"},
	{Name: "agent run (budget 2 %, stacks at 97 Hz)", On: true, Precision: kernel.Full, CPUHz: 97, Budget: 0.02},
}

// Workload is what a target gets to do while the steps are compared.
type Workload struct {
	Name     string
	Settings Settings
	Address  string // of a running service instead of one of Settings
	PID      int    // its process
	Wires    func(host string) [][]byte
	Conns    int
	Share    float64 // of the fastest rate; 0: as fast as it can
	Steps    []Step  // the first is off
	Windows  int     // as long as others' windows; 0: one
}

// sample is one window.
type sample struct {
	CPU, Rate          float64 // seconds of the target's CPU a request; requests a second
	P50, P95, P99      float64 // seconds
	AgentCPU, Said     float64 // seconds a request: the agent's own CPU, the cost to the target as the agent computes it
	Requests           int
	Runs               map[string]kernel.Run
	AgentRSS           uint64
	TrapPrice, TrapSum float64
}

// bench drives one workload through the steps.
type bench struct {
	stand  *Stand
	pid    int
	addr   string
	dial   func() (*Closed, error)
	window time.Duration
	agent  *Agent
	other  *Process // the neighbour
	served int      // requests answered since the agent attached

	startups map[string][]float64
	lost     map[string]uint64
	seen     [2]int64 // by the agent, sent
}

const warm = 200 * time.Millisecond

// move brings the agent to a step.
func (b *bench) move(to Step) error {
	if b.agent != nil && (!to.On || b.agent.CPUHz != to.CPUHz || b.agent.Budget != to.Budget) {
		if err := b.leave(); err != nil {
			return err
		}
	}
	if b.other != nil && !to.Neighbour {
		b.other.Stop()
		b.other = nil
	}
	if to.Neighbour && b.other == nil {
		var err error
		b.other, err = b.stand.startNeighbour()
		return err
	}
	if !to.On {
		return nil
	}
	if b.agent == nil {
		a, err := b.stand.StartAgent(AgentSettings{Target: b.addr, Precision: to.Precision, CPUHz: to.CPUHz, Budget: to.Budget})
		if err != nil {
			return err
		}
		name := "without stacks"
		if to.CPUHz > 0 {
			name = "with stacks"
		}
		b.startups[name] = append(b.startups[name], a.Started.Attach)
		b.agent, b.served = a, 0
		return nil
	}
	return b.agent.SetPrecision(to.Precision)
}

// leave stops the agent and keeps what it lost.
func (b *bench) leave() error {
	defer func() { b.agent.Stop(); b.agent = nil }()
	time.Sleep(500 * time.Millisecond) // events are held that long, at most, to be put in order
	s, err := b.agent.Status()
	if err != nil {
		return err
	}
	for _, l := range s.Losses {
		b.lost[l.Source+": "+l.Reason] += l.Count
	}
	b.seen[0] += s.Requests
	b.seen[1] += int64(b.served)
	return nil
}

// measure takes one window.
func (b *bench) measure(ctx context.Context) (sample, error) {
	var x sample
	client, err := b.dial() // anew, as servers close connections that were idle for some seconds
	if err != nil {
		return x, err
	}
	defer client.Close()
	w, err := client.Run(ctx, warm)
	if err != nil {
		return x, err
	}
	b.served += w.Requests
	var before Status
	var agentBefore float64
	if b.agent != nil {
		if before, err = b.agent.Status(); err != nil {
			return x, err
		}
		agentBefore = cpuSeconds(b.agent.PID)
	}
	cpu := cpuSeconds(b.pid)
	if w, err = client.Run(ctx, b.window); err != nil {
		return x, err
	}
	b.served += w.Requests
	if w.Requests == 0 {
		return x, fmt.Errorf("nothing was answered in %s", b.window)
	}
	n := float64(w.Requests)
	x = sample{CPU: (cpuSeconds(b.pid) - cpu) / n, Rate: w.Rate(), P50: w.Quantile(0.5), P95: w.Quantile(0.95), P99: w.Quantile(0.99), Requests: w.Requests}
	if b.agent == nil {
		return x, nil
	}
	x.AgentCPU = (cpuSeconds(b.agent.PID) - agentBefore) / n
	after, err := b.agent.Status()
	if err != nil {
		return x, err
	}
	x.Runs = map[string]kernel.Run{}
	for name, r := range after.Cost.ByProbe {
		old := before.Cost.ByProbe[name]
		x.Runs[name] = kernel.Run{Count: r.Count - old.Count, Seconds: r.Seconds - old.Seconds, Traps: r.Traps}
	}
	x.TrapPrice, x.TrapSum = after.Cost.TrapPrice, (after.Cost.Traps-before.Cost.Traps)/n
	x.Said = (after.Cost.Programs-before.Cost.Programs)/n + x.TrapSum
	x.AgentRSS, _, err = rssBytes(b.agent.PID)
	return x, err
}
