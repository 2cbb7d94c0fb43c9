package truth

import (
	"context"
	"os"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/recording"
)

// Itself is what the agent takes for itself, and what its governor does.
type Itself struct {
	IdleCores     float64    `json:"idle_cores"`        // with stacks and metrics, target idle
	IdleCoresBare float64    `json:"idle_cores_bare"`   // without stacks
	RSSIdle       uint64     `json:"rss_idle"`          // bytes, with stacks
	RSSBusy       uint64     `json:"rss_busy"`          // after the governed run
	Startup       float64    `json:"startup_seconds"`   // from the start of its process to every hook attached
	WithStacks    float64    `json:"startup_stacks"`    // … until stacks are sampled too
	Governed      []Governed `json:"governed"`          //
	NothingLost   bool       `json:"ring_buffer_whole"` // no event was lost for want of room in the governed runs
}

// Governed is one run at full speed with the default budget of 2 %.
type Governed struct {
	Workload  string             `json:"workload"`
	Rate      float64            `json:"rate"`
	Precision string             `json:"precision"` // at the end
	Overhead  recording.Overhead `json:"overhead"`
	Seen      int64              `json:"requests_seen"`
	Sent      int64              `json:"requests_sent"`
	Losses    []recording.Loss   `json:"losses"`
	CoresUsed float64            `json:"agent_cores"`
	Seconds   float64            `json:"seconds"` // of the run
	Off       [2]float64         `json:"off"`     // seconds of the target's CPU a request without an agent, before and after
	On        float64            `json:"on"`      // … with it
}

// added is the share of CPU that the agent adds to the target, as measured.
func (g *Governed) added() float64 { return ratio(g.On, (g.Off[0]+g.Off[1])/2) - 1 }

// perRequest drives a target for d and returns what it answered, and the CPU that each answer took it.
func perRequest(ctx context.Context, t *Target, load Workload, d time.Duration) (Window, float64, error) {
	c, err := Dial(t.Address, load.Conns, 0, load.Wires(t.Address)...)
	if err != nil {
		return Window{}, 0, err
	}
	defer c.Close()
	cpu := cpuSeconds(t.PID)
	w, err := c.Run(ctx, d)
	return w, ratio(cpuSeconds(t.PID)-cpu, float64(w.Requests)), err
}

// MeasureItself measures the agent.
func MeasureItself(ctx context.Context, dir string, busy time.Duration, loads []Workload, progress func(format string, args ...any)) (*Itself, error) {
	out := &Itself{NothingLost: true}
	for _, load := range loads {
		if err := out.measure(ctx, dir, busy, load); err != nil {
			return nil, err
		}
		g := out.Governed[len(out.Governed)-1]
		progress("agent with a budget of 2 %%: %s ends at %s", g.Workload, g.Precision)
	}
	return out, nil
}

func (out *Itself) measure(ctx context.Context, dir string, busy time.Duration, load Workload) error {
	dir, err := os.MkdirTemp(dir, "itself")
	if err != nil {
		return err
	}
	s := NewStand(dir)
	defer s.Close()
	t, err := s.StartTarget(load.Settings)
	if err != nil {
		return err
	}
	g := Governed{Workload: load.Name}
	if _, g.Off[0], err = perRequest(ctx, t, load, busy/4); err != nil {
		return err
	}
	idle := func(hz int, budget float64) (*Agent, float64, error) {
		begin := time.Now()
		a, err := s.StartAgent(AgentSettings{Target: t.Address, Precision: kernel.Full, CPUHz: hz, Budget: budget})
		if err != nil {
			return nil, 0, err
		}
		if hz > 0 {
			out.WithStacks = time.Since(begin).Seconds()
		} else {
			out.Startup = a.Startup.Seconds()
		}
		time.Sleep(time.Second) // the first second has the work of starting
		cpu, from := cpuSeconds(a.PID), time.Now()
		time.Sleep(5 * time.Second)
		return a, (cpuSeconds(a.PID) - cpu) / time.Since(from).Seconds(), nil
	}
	a, cores, err := idle(0, 0)
	if err != nil {
		return err
	}
	out.IdleCoresBare = cores
	a.Stop()
	if a, cores, err = idle(97, 0.02); err != nil {
		return err
	}
	out.IdleCores = cores
	if out.RSSIdle, _, err = rssBytes(a.PID); err != nil {
		return err
	}
	cpu := cpuSeconds(a.PID)
	w, on, err := perRequest(ctx, t, load, busy)
	if err != nil {
		return err
	}
	used := (cpuSeconds(a.PID) - cpu) / w.Seconds
	if _, out.RSSBusy, err = rssBytes(a.PID); err != nil {
		return err
	}
	rec, err := a.Finish()
	if err != nil {
		return err
	}
	if _, g.Off[1], err = perRequest(ctx, t, load, busy/4); err != nil {
		return err
	}
	g.Rate, g.Seconds, g.Sent, g.On, g.CoresUsed = w.Rate(), w.Seconds, int64(w.Requests), on, used
	g.Precision, g.Overhead, g.Losses = rec.Overhead.PrecisionMode, rec.Overhead, rec.Losses
	for _, e := range rec.Endpoints {
		g.Seen += e.Requests
	}
	for _, l := range rec.Losses {
		if l.Reason == "ring buffer full" && l.Count > 0 {
			out.NothingLost = false
		}
	}
	out.Governed = append(out.Governed, g)
	return nil
}
