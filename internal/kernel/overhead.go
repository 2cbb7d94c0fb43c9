package kernel

import (
	"os"
	"slices"
	"time"

	"github.com/ragscope/ragscope/bpf"
	"github.com/ragscope/ragscope/internal/target"
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

const calibrationCalls = 400

func (k *Kernel) calibrate() {
	t := &k.trap
	if k.programs["nothing"] == nil {
		t.err = k.failed["nothing"]
		return
	}
	offset, err := fileOffset(trappedAddress())
	if err != nil {
		t.err = err
		return
	}
	bare := coldCall()
	here := &target.Probe{Name: "trapped", Path: "/proc/self/exe", Offset: offset}
	l, err := k.attachTrap(os.Getpid(), trapHook{program: "nothing", at: here})
	if err != nil {
		t.err = err
		return
	}
	defer l.Close()
	t.entry = coldCall() - bare
}

// coldCall is the median seconds of a call whose caches hold something else, as between two traps of a service: in a
// loop of nothing but traps one costs half as much.
func coldCall() float64 {
	other := make([]byte, 512<<10)
	took := make([]time.Duration, calibrationCalls)
	for i := range took {
		for at := 0; at < len(other); at += 64 {
			other[at]++
		}
		start := time.Now()
		trapped()
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took[len(took)/2].Seconds()
}

// program is one that runs in the target's threads, with the traps that each of its runs takes: a return
// probe traps at entry and at return.
type program struct {
	name  string
	traps int
}

var programs = map[bpf.SocketProgram]program{
	bpf.SocketProgramPROGRAM_SOCK_RECV:    {"sock_recv", 0},
	bpf.SocketProgramPROGRAM_SOCK_SEND:    {"sock_send", 0},
	bpf.SocketProgramPROGRAM_SCHED_SWITCH: {"sched_switch", 0},
	bpf.SocketProgramPROGRAM_ACCEPTED:     {"accept", 2},
	bpf.SocketProgramPROGRAM_ENTER:        {"context_enter", 1},
	bpf.SocketProgramPROGRAM_LOOP:         {"event_loop", 1},
	bpf.SocketProgramPROGRAM_COPIED:       {"context_copy", 2},
	bpf.SocketProgramPROGRAM_MADE:         {"context_new", 2},
	bpf.SocketProgramPROGRAM_TASK_INIT:    {"task_init", 1},
	bpf.SocketProgramPROGRAM_GRPC:         {"grpc", 1},
	bpf.SocketProgramPROGRAM_TLS_READ:     {"tls_read", 1}, // its entry and its return: the trap at entry serves both
	bpf.SocketProgramPROGRAM_TLS_WRITE:    {"tls_write", 1},
	bpf.SocketProgramPROGRAM_TLS_SESSION:  {"tls_session", 1},
	bpf.SocketProgramPROGRAM_QUEUED:       {"queued_write", 1},
	bpf.SocketProgramPROGRAM_WORK_PUT:     {"work_put", 1},
	bpf.SocketProgramPROGRAM_WORK_GET:     {"work_get", 1}, // its entry and its return: the trap at entry serves both
	bpf.SocketProgramPROGRAM_WORK_GOT:     {"work_got", 1},
	bpf.SocketProgramPROGRAM_HANDLE:       {"threadsafe_call", 2},
}

// Cost is the CPU that the hooks added to the target since Load, in seconds: run time of the
// programs in the target's threads, plus the traps at their calibrated price.
type Cost struct {
	Programs, Traps float64
	TrapPrice       float64        // seconds per trap
	ByProbe         map[string]Run // by the names of Probes; gRPC's hooks together
	Known           bool           // false: something could not be measured, see Why
	Why             string
}

// Run is what one program took from the target's threads.
type Run struct {
	Count   uint64
	Seconds float64 // its own run time, from the runs that were timed; without traps
	Traps   int     // a run
}

// Cost returns the price paid so far.
func (k *Kernel) Cost() Cost {
	c := Cost{TrapPrice: k.trap.entry, ByProbe: map[string]Run{}, Known: true}
	if k.trap.err != nil {
		c.Known, c.Why = false, "price of a trap: "+k.trap.err.Error()
	}
	for id, p := range programs {
		r := k.runs(id)
		r.Traps = p.traps
		c.ByProbe[p.name] = r
		c.Programs += r.Seconds
		c.Traps += float64(r.Count) * float64(p.traps) * k.trap.entry
	}
	return c
}

func (k *Kernel) runs(id bpf.SocketProgram) Run {
	var perCPU []bpf.SocketRuns
	if err := k.maps["costs"].Lookup(uint32(id), &perCPU); err != nil {
		return Run{}
	}
	var count, timed, ns uint64
	for _, r := range perCPU {
		count, timed, ns = count+r.Count, timed+r.Timed, ns+r.Ns
	}
	if timed == 0 {
		return Run{Count: count}
	}
	return Run{Count: count, Seconds: float64(ns) / float64(timed) * float64(count) / 1e9}
}
