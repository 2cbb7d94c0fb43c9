package truth

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/recording"
)

// agentEnv, when set, makes a process of this program the agent of a run.
const agentEnv = "RAGSCOPE_TRUTH_AGENT"

// AgentSettings are how the agent of a run is started.
type AgentSettings struct {
	Target    string           `json:"target"`    // as --target
	Budget    float64          `json:"budget"`    // as --overhead-budget; 0: precision stays as set
	CPUHz     int              `json:"cpu_hz"`    // as --cpu-hz; 0: no stacks
	Memory    bool             `json:"memory"`    // stacks of memory, also without those of the CPU
	Precision kernel.Precision `json:"precision"` // to start with

	Allocations time.Duration `json:"allocations"` // as --allocations; 0: calls of allocators are not watched

	Requests  string `json:"requests"`   // as --requests; "": none
	Events    string `json:"events"`     // where all that the agent is told is kept; "": nowhere
	Recording string `json:"recording"`  // where the recording goes at the end
	NoMetrics bool   `json:"no_metrics"` // without what /metrics shows
	Census    bool   `json:"census"`     // as agent memory does
	Raw       bool   `json:"raw"`        // as --raw
	Names     bool   `json:"names"`      // say which frames have a name
}

// stacks says whether any are taken.
func (s *AgentSettings) stacks() bool { return s.CPUHz > 0 || s.Memory }

// command and reply are the lines on the agent's stdin and stdout.
type command struct {
	Precision *kernel.Precision `json:"precision,omitempty"`
	Quit      bool              `json:"quit,omitempty"`

	PauseStacks *bool `json:"pause_stacks,omitempty"`
}

// Status is what the agent says about itself.
type Status struct {
	Error     string           `json:"error,omitempty"`
	Attach    float64          `json:"attach,omitempty"` // seconds from the call of Start to every hook attached
	Precision string           `json:"precision"`
	Cost      kernel.Cost      `json:"cost"`
	Losses    []recording.Loss `json:"losses"`
	Requests  int64            `json:"requests"` // finished so far

	CPU          map[string]float64 `json:"cpu,omitempty"` // seconds of CPU samples by endpoint
	OffCPU       []OffCPU           `json:"off_cpu,omitempty"`
	Names        []FrameNames       `json:"names,omitempty"`
	Allocations  bool               `json:"allocations,omitempty"`   // those on demand were watched for as long as was asked
	Stacks       uint64             `json:"stacks,omitempty"`        // taken so far
	StackSeconds float64            `json:"stack_seconds,omitempty"` // of the target's CPU
}

// Agent is a running agent.
type Agent struct {
	*Process
	AgentSettings
	Started Status
	Startup time.Duration // from the start of its process to every hook attached

	replies *bufio.Scanner
}

// StartAgent starts the agent in a process of its own and waits until it is attached, stacks
// included. The program must call ServeAgent before anything else.
func (s *Stand) StartAgent(set AgentSettings) (*Agent, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: the rights of the agent: run this as root", ErrMissing)
	}
	set.Recording = filepath.Join(s.Dir, "recording.json")
	_ = os.Remove(set.Recording) // that of an agent before
	config, err := json.Marshal(set)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	a := &Agent{AgentSettings: set}
	if a.Process, err = s.start("agent", true, []string{agentEnv + "=" + string(config)}, self); err != nil {
		return nil, err
	}
	a.replies = bufio.NewScanner(a.out)
	a.replies.Buffer(nil, 1<<20)
	if a.Started, err = a.reply(); err != nil {
		a.Stop()
		return nil, err
	}
	a.Startup = time.Since(begin)
	if set.stacks() {
		if _, err := a.reply(); err != nil { // when the stacks are sampled
			a.Stop()
			return nil, err
		}
	}
	return a, nil
}

func (a *Agent) ask(c command) (Status, error) {
	if err := json.NewEncoder(a.in).Encode(c); err != nil {
		return Status{}, fmt.Errorf("ask the agent: %w: %s", err, a.tail())
	}
	return a.reply()
}

func (a *Agent) reply() (Status, error) {
	var s Status
	if !a.replies.Scan() {
		return s, fmt.Errorf("the agent has ended: %s", a.tail())
	}
	if err := json.Unmarshal(a.replies.Bytes(), &s); err != nil {
		return s, fmt.Errorf("the agent says %.200q: %w", a.replies.Bytes(), err)
	}
	if s.Error != "" {
		return s, errors.New(s.Error)
	}
	return s, nil
}

// Status asks how it is.
func (a *Agent) Status() (Status, error) { return a.ask(command{}) }

// SetPrecision moves it to another step.
func (a *Agent) SetPrecision(p kernel.Precision) error {
	_, err := a.ask(command{Precision: &p})
	return err
}

// PauseStacks has it take none for a while, or go on.
func (a *Agent) PauseStacks(pause bool) error {
	_, err := a.ask(command{PauseStacks: &pause})
	return err
}

// Finish lets it end and returns the recording of its whole life.
func (a *Agent) Finish() (*recording.Recording, error) {
	_, err := a.ask(command{Quit: true})
	select { // it detaches: killed meanwhile, the kernel would leave its breakpoints in the target
	case <-a.done:
	case <-time.After(graceful):
	}
	a.Stop()
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(a.Recording)
	if err != nil {
		return nil, err
	}
	r := new(recording.Recording)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("read the recording: %w", err)
	}
	return r, nil
}
