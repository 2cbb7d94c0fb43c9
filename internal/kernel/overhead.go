package kernel

import (
	"math"
	"os"
	"time"

	"github.com/cilium/ebpf/link"

	"github.com/ragscope/ragscope/bpf"
)

// traps is the price of a trap in seconds, measured at start on this machine with an empty
// program: what the BPF run time does not contain.
type traps struct {
	entry float64
	err   error
}

// trapped is the function that calibration probes: its first instruction is one that the
// kernel emulates, as in the targets.
func trapped()

// trappedAddress is where its code is, not its wrapper's for Go's calling convention.
func trappedAddress() uintptr

const calibrationCalls = 2000

func (k *Kernel) calibrate() {
	t := &k.trap
	if k.programs["nothing"] == nil {
		t.err = k.failed["nothing"]
		return
	}
	exe, err := link.OpenExecutable("/proc/self/exe")
	if err != nil {
		t.err = err
		return
	}
	offset, err := fileOffset(trappedAddress())
	if err != nil {
		t.err = err
		return
	}
	bare := bestOf()
	l, err := exe.Uprobe("trapped", k.programs["nothing"], &link.UprobeOptions{Address: offset, PID: os.Getpid()})
	if err != nil {
		t.err = err
		return
	}
	defer l.Close()
	t.entry = bestOf() - bare
}

// bestOf returns the smallest seconds per call of a few rounds: others on the machine only add.
func bestOf() float64 {
	best := math.Inf(1)
	for range 5 {
		start := time.Now()
		for range calibrationCalls {
			trapped()
		}
		best = min(best, time.Since(start).Seconds()/calibrationCalls)
	}
	return best
}

// trapPrograms run by a trap in the target; the others are tracepoints.
var trapPrograms = map[string]int{ // program → traps per run; a return probe traps at entry and at return
	"enter_first": 1, "enter_second": 1, "loop": 1, "task_init": 1, "grpc_call": 1, "grpc_start": 1, "grpc_sync": 1,
	"copied": 2, "made": 2, "accepted": 2,
}

// Cost is the CPU that the hooks added to the target since Load, in seconds: run time of the
// programs in the target's threads, plus the traps at their calibrated price.
type Cost struct {
	Programs, Traps float64
	TrapPrice       float64            // seconds per trap
	ByProbe         map[string]float64 // seconds of run time per program, the whole host for tracepoints
	Known           bool               // false: something could not be measured, see Why
	Why             string
}

// Cost returns the price paid so far.
func (k *Kernel) Cost() Cost {
	c := Cost{TrapPrice: k.trap.entry, ByProbe: map[string]float64{}, Known: true}
	if k.trap.err != nil {
		c.Known, c.Why = false, "price of a trap: "+k.trap.err.Error()
	}
	if k.stats == nil {
		c.Known, c.Why = false, "BPF run time statistics are not allowed"
	}
	for name, p := range k.programs {
		s, err := p.Stats()
		if err != nil {
			c.Known, c.Why = false, "run time of "+name+": "+err.Error()
			continue
		}
		c.ByProbe[name] = s.Runtime.Seconds()
		if n, trap := trapPrograms[name]; trap {
			c.Programs += s.Runtime.Seconds()
			c.Traps += float64(s.RunCount) * float64(n) * k.trap.entry
		}
	}
	c.Programs += float64(k.counter(bpf.SocketCounterCOUNT_SPENT_NS)) / 1e9
	return c
}
