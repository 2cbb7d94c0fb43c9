package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/link"

	"github.com/ragscope/ragscope/bpf"
	"github.com/ragscope/ragscope/internal/target"
)

// Precision is a set of hooks with a known price. Every figure carries the precision that it
// was measured with.
type Precision int

// The steps, cheapest first.
const (
	Sockets Precision = iota // requests, calls and their times; no links between them in async code
	Linked                   // and which call belongs to which request
	Full                     // and when each context runs and waits: pool waits, CPU by request
)

func (p Precision) String() string {
	return [...]string{"sockets", "linked", "full"}[p]
}

// attachment is what is attached to one process.
type attachment struct {
	python *target.Python // nil: not Python
	hooks  []hook
}

func (a *attachment) close() {
	for _, h := range a.hooks {
		if h.link != nil {
			h.link.Close()
		}
	}
	a.hooks = nil
}

var errPrecision = errors.New("not part of the current precision")

// trapHook is one probe on a function of the target.
type trapHook struct {
	name    string // stable, for metrics
	program string
	at      *target.Probe
	ret     bool
	from    Precision // attached at this precision and above
}

func trapHooks(py *target.Python) []trapHook {
	var out []trapHook
	for i := range py.Accept {
		out = append(out, trapHook{"accept", "accepted", &py.Accept[i], true, Sockets})
	}
	if py.Copy != nil {
		out = append(out, trapHook{"context_copy", "copied", py.Copy, true, Linked})
	}
	if py.New != nil {
		out = append(out, trapHook{"context_new", "made", py.New, true, Linked})
	}
	for i, p := range py.Enter {
		program := "enter_first"
		if p.Arg == 2 {
			program = "enter_second"
		}
		out = append(out, trapHook{"context_enter", program, &py.Enter[i], false, Full})
	}
	for i := range py.Epoll {
		out = append(out, trapHook{"event_loop", "loop", &py.Epoll[i], false, Full})
	}
	if g := py.GRPC; g != nil {
		for _, p := range []struct {
			at      *target.Probe
			program string
		}{{g.Call, "grpc_call"}, {g.Unary, "grpc_start"}, {g.Segregated, "grpc_sync"}, {g.Integrated, "grpc_sync"}} {
			if p.at != nil {
				out = append(out, trapHook{p.program, p.program, p.at, false, Linked})
			}
		}
	}
	return out
}

// Watch begins to report the process. python is nil for a process that is not CPython.
// A hook that cannot be attached is reported by Probes and is no error.
func (k *Kernel) Watch(pid int, python *target.Python) error {
	var value bpf.SocketTarget
	if python != nil {
		o := python.Offsets
		value = bpf.SocketTarget{
			Runtime: python.Runtime, RuntimeEnd: python.RuntimeEnd,
			InterpHead: o.InterpHead, Threads: o.Threads, Next: o.Next, ThreadId: o.ThreadID, Context: o.Context,
		}
		if python.GRPC != nil && python.GRPC.VarArgs {
			value.GrpcTuple = 1
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.maps["targets"].Put(uint32(pid), value); err != nil {
		return fmt.Errorf("watch process %d: %w", pid, err)
	}
	if old := k.processes[pid]; old != nil {
		old.close()
	}
	a := &attachment{python: python}
	k.processes[pid] = a
	k.attach(pid, a)
	return nil
}

// Unwatch ends the reports of a process.
func (k *Kernel) Unwatch(pid int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a := k.processes[pid]; a != nil {
		a.close()
		delete(k.processes, pid)
	}
	_ = k.maps["targets"].Delete(uint32(pid)) // gone already is as good
}

func (k *Kernel) attach(pid int, a *attachment) {
	if a.python == nil {
		return
	}
	for _, t := range trapHooks(a.python) {
		h := hook{name: t.name}
		switch {
		case t.from > k.precision:
			h.err = errPrecision
		case k.failed[t.program] != nil:
			h.err = k.failed[t.program]
		default:
			h.link, h.err = k.attachTrap(pid, t)
		}
		if h.err != nil && !errors.Is(h.err, errPrecision) {
			k.log.Warn("a hook is not attached", "hook", t.name, "pid", pid, "error", h.err)
		}
		a.hooks = append(a.hooks, h)
	}
}

func (k *Kernel) attachTrap(pid int, t trapHook) (link.Link, error) {
	exe, err := link.OpenExecutable(t.at.Path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", t.at.Path, err)
	}
	opts := &link.UprobeOptions{Address: t.at.Offset, PID: pid}
	attach := exe.Uprobe
	if t.ret {
		attach = exe.Uretprobe
	}
	l, err := attach(t.at.Name, k.programs[t.program], opts)
	if err != nil {
		return nil, fmt.Errorf("probe %s in %s: %w", t.at.Name, t.at.Path, err)
	}
	return l, nil
}

// SetPrecision moves all watched processes to another step.
func (k *Kernel) SetPrecision(p Precision) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p == k.precision {
		return
	}
	k.precision = p
	for pid, a := range k.processes {
		a.close()
		k.attach(pid, a)
	}
}

// Precision returns the current step.
func (k *Kernel) Precision() Precision {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.precision
}

// ServePort tells the kernel side that connections accepted on this port are inbound.
func (k *Kernel) ServePort(port uint16) error {
	if err := k.maps["ports"].Put(port, uint8(1)); err != nil {
		return fmt.Errorf("watch port %d: %w", port, err)
	}
	return nil
}
