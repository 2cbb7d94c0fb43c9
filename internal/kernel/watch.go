package kernel

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf/link"

	"github.com/ragscope/ragscope/bpf"
	"github.com/ragscope/ragscope/internal/target"
)

// Precision is a set of hooks with a known price. Every figure carries the precision that it
// was measured with.
type Precision int

// The steps, dearest first.
const (
	Full    Precision = iota // when each context runs and waits: pool waits, CPU by request
	Linked                   // no more than which call belongs to which request
	Sockets                  // no more than requests, calls and their times: no links in async code
)

// ParsePrecision reads a step's name.
func ParsePrecision(name string) (Precision, error) {
	for p := Full; p <= Sockets; p++ {
		if p.String() == name {
			return p, nil
		}
	}
	return Full, fmt.Errorf("precision %q: use full, linked or sockets", name)
}

func (p Precision) String() string {
	return [...]string{"full", "linked", "sockets"}[p]
}

// attachment is what is attached to one process.
type attachment struct {
	python *target.Python // nil: not Python
	hooks  []hook
	tls    []hook // the same at every precision: a session whose end is missed would be taken for another
}

func (a *attachment) close() {
	a.closeTLS()
	closeHooks(a.hooks)
	a.hooks = nil
}

func (a *attachment) closeTLS() {
	closeHooks(a.tls)
	a.tls = nil
}

func closeHooks(hooks []hook) {
	var links []link.Link
	for _, h := range hooks {
		if h.link != nil {
			links = append(links, h.link)
		}
	}
	detach(links)
}

// state says of each hook why it is not attached, nil where it is; of two places for one hook, one is enough.
func (a *attachment) state() map[string]error {
	out := map[string]error{}
	for _, h := range slices.Concat(a.hooks, a.tls) {
		if old, seen := out[h.name]; !seen || old != nil && (h.err == nil || errors.Is(old, errPrecision)) {
			out[h.name] = h.err
		}
	}
	return out
}

// StandBy is the reason of a hook that another precision uses.
const StandBy = "not part of the current precision"

var errPrecision = errors.New(StandBy)

var everywhere = []Precision{Full, Linked, Sockets}

func trapHooks(py *target.Python) []trapHook {
	var out []trapHook
	for i := range py.Accept {
		out = append(out, trapHook{name: "accept", program: "accepted", at: &py.Accept[i], ret: true, steps: everywhere})
	}
	linked := []Precision{Full, Linked}
	births := linked
	if py.Task != nil {
		births = linked[:1] // of the births of contexts, those of tasks and threads are enough for links
		out = append(out, trapHook{name: "task_init", program: "task_init", at: py.Task, steps: linked})
		if py.CopyContext != nil {
			out = append(out, trapHook{name: "context_copy", program: "copied", at: py.CopyContext, ret: true, steps: linked[1:]})
		}
	}
	if py.Copy != nil {
		out = append(out, trapHook{name: "context_copy", program: "copied", at: py.Copy, ret: true, steps: births})
	}
	if py.New != nil {
		out = append(out, trapHook{name: "context_new", program: "made", at: py.New, ret: true, steps: linked})
	}
	for i, p := range py.Enter {
		program := "enter_first"
		if p.Arg == 2 {
			program = "enter_second"
		}
		out = append(out, trapHook{name: "context_enter", program: program, at: &py.Enter[i], steps: []Precision{Full}})
	}
	for i := range py.Epoll {
		out = append(out, trapHook{name: "event_loop", program: "loop", at: &py.Epoll[i], steps: []Precision{Full}})
	}
	for i := range py.UVWrite {
		out = append(out, trapHook{name: "queued_write", program: "queued", at: &py.UVWrite[i], steps: linked})
	}
	if py.Handle != nil && py.Task != nil { // else the births of all contexts are seen
		out = append(out, trapHook{name: "threadsafe_call", program: "handle_made", at: py.Handle, ret: true, steps: linked[1:]})
	}
	if py.WorkPut != nil {
		out = append(out, trapHook{name: "work_put", program: "work_put", at: py.WorkPut, steps: linked})
		for i := range py.WorkGet {
			out = append(out, trapHook{name: "work_get", program: "work_get", at: &py.WorkGet[i], steps: linked},
				trapHook{name: "work_got", program: "work_got", at: &py.WorkGet[i], ret: true, steps: linked})
		}
	}
	if g := py.GRPC; g != nil {
		for _, p := range []struct {
			at      *target.Probe
			program string
		}{{g.Call, "grpc_call"}, {g.Unary, "grpc_start"}, {g.Segregated, "grpc_sync"}, {g.Integrated, "grpc_sync"}} {
			if p.at != nil {
				out = append(out, trapHook{name: p.program, program: p.program, at: p.at, steps: linked})
			}
		}
	}
	return out
}

// Watch begins to report the process. python is nil for a process that is not CPython.
// A hook that cannot be attached is reported by Probes and is no error.
func (k *Kernel) Watch(pid int, python *target.Python) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.maps["targets"].Put(uint32(pid), describe(python, k.precision)); err != nil {
		return fmt.Errorf("watch process %d: %w", pid, err)
	}
	if err := k.setCandidate(pid, true); err != nil {
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

// describe is what the programs must know of a process.
func describe(python *target.Python, p Precision) (value bpf.SocketTarget) {
	if python == nil {
		return value
	}
	o := python.Offsets
	value = bpf.SocketTarget{
		Runtime: python.Runtime, RuntimeEnd: python.RuntimeEnd,
		InterpHead: o.InterpHead, Threads: o.Threads, Next: o.Next, ThreadId: o.ThreadID, Context: o.Context,
		TaskContext: python.TaskContext,
	}
	if python.GRPC != nil && python.GRPC.VarArgs {
		value.GrpcTuple = 1
	}
	if p != Sockets && len(python.UVWrite) > 0 {
		value.UvHandle, value.UvFd = python.UVHandleOffset, python.UVFdOffset
	}
	if p == Linked && python.Task != nil && python.Handle != nil {
		value.ContextType = python.ContextType
	}
	switch {
	case python.Task == nil || p == Sockets:
	case p == Full:
		value.ByTask = uint32(bpf.SocketByTaskBY_TASK_KNOWN)
	default:
		value.ByTask = uint32(bpf.SocketByTaskBY_TASK_REPORTED)
	}
	return value
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
	if err := k.setCandidate(pid, false); err != nil {
		k.log.Debug("a process that has ended is still looked up", "pid", pid, "error", err)
	}
}

// attach brings the hooks of a process to the current precision. Those that stay are left alone.
func (k *Kernel) attach(pid int, a *attachment) {
	if a.python == nil {
		return
	}
	traps := trapHooks(a.python)
	if a.hooks == nil {
		for _, t := range traps {
			a.hooks = append(a.hooks, hook{name: t.name, err: errPrecision})
		}
	}
	var unwanted []link.Link
	for i, t := range traps {
		h := &a.hooks[i]
		wanted := slices.Contains(t.steps, k.precision)
		switch {
		case !wanted && h.link != nil:
			unwanted = append(unwanted, h.link)
			h.link, h.err = nil, errPrecision
		case wanted && errors.Is(h.err, errPrecision):
			*h = k.hook(pid, t)
		}
	}
	detach(unwanted)
}

// SetPrecision moves all watched processes to another step. For a moment both ways of seeing a context's birth
// are there, never none.
func (k *Kernel) SetPrecision(p Precision) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p == k.precision {
		return
	}
	raised := p < k.precision
	k.precision = p
	for pid, a := range k.processes {
		if raised {
			k.attach(pid, a)
		}
		if err := k.maps["targets"].Put(uint32(pid), describe(a.python, p)); err != nil {
			k.log.Warn("a process is watched with another precision's settings", "pid", pid, "error", err)
		}
		if !raised {
			k.attach(pid, a)
		}
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

// setCandidate sets or clears the bit of a process in front of the look-up of targets. Nobody else writes
// this map, so with k.mu held nothing is lost between the look-up and the put.
func (k *Kernel) setCandidate(pid int, on bool) error {
	word, mask := uint32(pid)/64, uint64(1)<<(uint32(pid)%64)
	var value uint64
	if err := k.maps["candidates"].Lookup(word, &value); err != nil {
		return err
	}
	if on {
		value |= mask
	} else {
		value &^= mask
	}
	return k.maps["candidates"].Put(word, value)
}
