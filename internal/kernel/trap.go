package kernel

import (
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"

	"github.com/ragscope/ragscope/internal/target"
)

// trapHook is one probe on a function of the target.
type trapHook struct {
	name    string // stable, for metrics
	program string
	at      *target.Probe
	ret     bool
	steps   []Precision // at which it is attached
	cookie  uint64
}

// multiSince is the first kernel whose multi-uprobe links filter by process and not by its first thread: 6.10.
const multiSince = 6<<16 | 10<<8

// HaveMulti says whether probes are attached by multi-uprobe links. Their traps are no dearer than
// those of perf events, and they are closed side by side, where perf events wait 80 ms for each other.
func HaveMulti() bool {
	version, err := features.LinuxVersionCode()
	return err == nil && version >= multiSince
}

// prepare has a program loaded for the links that it will get.
func (k *Kernel) prepare(p *ebpf.ProgramSpec) {
	if k.multi && p.Type == ebpf.Kprobe {
		p.AttachType = ebpf.AttachTraceUprobeMulti
	}
}

// hook attaches a probe, and says in the log why it could not.
func (k *Kernel) hook(pid int, t trapHook) hook {
	h := hook{name: t.name, err: k.failed[t.program]}
	if h.err == nil {
		h.link, h.err = k.attachTrap(pid, t)
	}
	if h.err != nil {
		k.log.Warn("a hook is not attached", "hook", t.name, "pid", pid, "error", h.err)
	}
	return h
}

func (k *Kernel) attachTrap(pid int, t trapHook) (link.Link, error) {
	exe, err := link.OpenExecutable(t.at.Path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", t.at.Path, err)
	}
	attach := attachPerf
	if k.multi {
		attach = attachMulti
	}
	l, err := attach(exe, k.programs[t.program], pid, t)
	if err != nil {
		return nil, fmt.Errorf("probe %s in %s: %w", t.at.Name, t.at.Path, err)
	}
	return l, nil
}

func attachMulti(exe *link.Executable, p *ebpf.Program, pid int, t trapHook) (link.Link, error) {
	opts := &link.UprobeMultiOptions{Addresses: []uint64{t.at.Offset}, Cookies: []uint64{t.cookie}, PID: uint32(pid)}
	if t.ret {
		return exe.UretprobeMulti(nil, p, opts)
	}
	return exe.UprobeMulti(nil, p, opts)
}

func attachPerf(exe *link.Executable, p *ebpf.Program, pid int, t trapHook) (link.Link, error) {
	opts := &link.UprobeOptions{Address: t.at.Offset, Cookie: t.cookie, PID: pid}
	if t.ret {
		return exe.Uretprobe(t.at.Name, p, opts)
	}
	return exe.Uprobe(t.at.Name, p, opts)
}

// detach closes links side by side: with each the kernel waits for all processors.
func detach(links []link.Link) {
	var all sync.WaitGroup
	for _, l := range links {
		all.Go(func() { _ = l.Close() }) // nothing can be done about a link that does not close
	}
	all.Wait()
}
