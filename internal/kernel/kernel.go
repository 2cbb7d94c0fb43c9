package kernel

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/ragscope/ragscope/bpf"
	"github.com/ragscope/ragscope/internal/recording"
)

// ErrNotPermitted is wrapped by errors that more rights would mend.
var ErrNotPermitted = errors.New("not permitted")

// ErrNotSupported is wrapped by errors of a kernel that lacks what every figure needs.
var ErrNotSupported = errors.New("not supported by this kernel")

// Kernel is the loaded BPF side. Its methods may be called from several goroutines.
type Kernel struct {
	log      *slog.Logger
	maps     map[string]*ebpf.Map
	programs map[string]*ebpf.Program
	failed   map[string]error // programs that could not be loaded
	multi    bool             // how probes are attached, see HaveMulti
	reader   *ring
	trap     traps

	mu        sync.Mutex
	host      []hook              // tracepoints of the whole host
	processes map[int]*attachment // by pid
	precision Precision
	undecoded uint64
}

type hook struct {
	name string
	link link.Link
	err  error
}

// objects are loaded program by program, so that one that this kernel refuses costs one figure.
var objects = []func() (*ebpf.CollectionSpec, error){bpf.LoadSocket, bpf.LoadPython, bpf.LoadSched, bpf.LoadGRPC, bpf.LoadTLS, bpf.LoadWork, bpf.LoadProcess}

// required programs: without them nothing can be said about any request.
var required = []string{"sock_recv", "sock_send", "set_state"}

// Load loads the programs and attaches those that watch the whole host; nothing is reported
// until Watch names a process. The caller must Close it.
func Load(log *slog.Logger) (*Kernel, error) { return loadFor(log, HaveMulti()) }

func loadFor(log *slog.Logger, multi bool) (*Kernel, error) {
	k := &Kernel{
		log: log, multi: multi, maps: map[string]*ebpf.Map{}, programs: map[string]*ebpf.Program{}, failed: map[string]error{},
		processes: map[int]*attachment{}, precision: Full,
	}
	for _, load := range objects {
		spec, err := load()
		if err != nil {
			return nil, fmt.Errorf("read BPF object: %w", err)
		}
		if err := k.loadObject(spec); err != nil {
			k.Close()
			return nil, err
		}
	}
	for _, name := range required {
		if err := k.failed[name]; err != nil {
			k.Close()
			if isVerifier(err) { // no lack of the kernel's but a defect of ours
				return nil, fmt.Errorf("the verifier refuses program %s: %w; please report this with the kernel's version", name, err)
			}
			return nil, fmt.Errorf("%w: program %s: %w", ErrNotSupported, name, err)
		}
	}
	var err error
	if k.reader, err = openRing(k.maps["events"]); err != nil {
		k.Close()
		return nil, fmt.Errorf("open ring buffer: %w", err)
	}
	k.attachHost()
	k.calibrate()
	return k, nil
}

func (k *Kernel) loadObject(spec *ebpf.CollectionSpec) error {
	for name, m := range spec.Maps {
		if k.maps[name] != nil || name[0] == '.' {
			continue
		}
		made, err := ebpf.NewMap(m)
		if lacking := Lacking(); err != nil && len(lacking) > 0 { // without rights the kernel's own words mislead
			return fmt.Errorf("create BPF map %s: %w: run as root, or give the program %s", name, ErrNotPermitted, strings.Join(lacking, ", "))
		} else if err != nil {
			return fmt.Errorf("create BPF map %s: %w", name, err)
		}
		k.maps[name] = made
	}
	for name := range spec.Programs {
		if strings.HasSuffix(name, oldSuffix) {
			continue
		}
		program, err := k.loadProgram(spec, name)
		if old := name + oldSuffix; err != nil && !isVerifier(err) && spec.Programs[old] != nil {
			if instead, why := k.loadProgram(spec, old); why == nil {
				k.log.Info("an older hook is used", "instead of", name, "because", err)
				program, err = instead, nil
			} else {
				err = fmt.Errorf("%w; instead of it: %w", err, why)
			}
		}
		if errors.Is(err, os.ErrPermission) && !isVerifier(err) {
			return fmt.Errorf("load BPF program %s: %w: run as root or with CAP_BPF and CAP_PERFMON", name, ErrNotPermitted)
		} else if err != nil {
			k.failed[name] = err
			k.log.Warn("a BPF program could not be loaded", "program", name, "error", err)
			continue
		}
		k.programs[name] = program
	}
	return nil
}

// oldSuffix names the program that stands in for another on a kernel that lacks the other's hook.
const oldSuffix = "_old"

// loadProgram loads one program of an object, with the maps that all share.
func (k *Kernel) loadProgram(spec *ebpf.CollectionSpec, name string) (*ebpf.Program, error) {
	k.prepare(spec.Programs[name])
	one := spec.Copy()
	one.Programs = map[string]*ebpf.ProgramSpec{name: one.Programs[name]}
	one.Variables = nil // they only keep types in the object
	for m := range one.Maps {
		if m[0] == '.' {
			delete(one.Maps, m)
		}
	}
	shared := map[string]*ebpf.Map{}
	for m := range one.Maps {
		shared[m] = k.maps[m]
	}
	coll, err := ebpf.NewCollectionWithOptions(one, ebpf.CollectionOptions{MapReplacements: shared})
	if err != nil {
		return nil, err
	}
	defer coll.Close()
	return coll.DetachProgram(name), nil
}

func isVerifier(err error) bool {
	var v *ebpf.VerifierError
	return errors.As(err, &v)
}

// hostHooks watch the whole host and filter by process first.
var hostHooks = []string{"set_state", "data_ready", "sock_recv", "sock_send", "sched_switch", "sched_waking", "process_fork", "process_exec", "process_exit"}

func (k *Kernel) attachHost() {
	for _, name := range hostHooks {
		h := hook{name: name, err: k.failed[name]}
		if h.err == nil {
			h.link, h.err = link.AttachTracing(link.TracingOptions{Program: k.programs[name]})
		}
		if h.err != nil {
			k.log.Warn("a hook is not attached", "hook", name, "error", h.err)
		}
		k.host = append(k.host, h)
	}
}

// Maps are those of the loaded programs, by name, for other programs that tell something on the same ring buffer. They
// are k's to close.
func (k *Kernel) Maps() map[string]*ebpf.Map { return k.maps }

// Switches is why nobody sees when threads leave the CPU and come back, nil while somebody does.
func (k *Kernel) Switches() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range k.host {
		if h.name == "sched_switch" && h.err != nil {
			return fmt.Errorf("sched_switch: %w", h.err)
		}
	}
	return nil
}

// Close detaches everything.
func (k *Kernel) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, a := range k.processes {
		a.close()
	}
	closeHooks(k.host)
	if k.reader != nil {
		if err := k.reader.close(); err != nil {
			k.log.Debug("unmap the ring buffer", "error", err)
		}
	}
	for _, p := range k.programs {
		p.Close()
	}
	for _, m := range k.maps {
		m.Close()
	}
}

// lossReasons names the counters of enum counter that are losses.
var lossReasons = map[bpf.SocketCounter]string{
	bpf.SocketCounterCOUNT_RINGBUF_FULL:       "ring buffer full",
	bpf.SocketCounterCOUNT_STORAGE_FULL:       "no socket or task storage",
	bpf.SocketCounterCOUNT_PAYLOAD_UNREADABLE: "payload not readable",
	bpf.SocketCounterCOUNT_FRAMES_CLIPPED:     "HTTP/2 transfer with too many frames",
	bpf.SocketCounterCOUNT_FRAMES_DESYNC:      "HTTP/2 frame boundary lost",
	bpf.SocketCounterCOUNT_IOV_CLIPPED:        "transfer with too many segments",
	bpf.SocketCounterCOUNT_TLS_UNBOUND:        "TLS data whose connection is not known",
	bpf.SocketCounterCOUNT_TARGETS_FULL:       "more than 256 processes watched: a new one is seen late",
	bpf.SocketCounterCOUNT_TLS_BUSY:           "TLS data while a program was preempted",
}

// Losses returns what the kernel side lost or could not read since Load, zero counts included.
func (k *Kernel) Losses() []recording.Loss {
	var out []recording.Loss
	for c, reason := range lossReasons {
		out = append(out, recording.Loss{Source: "kernel", Reason: reason, Count: k.counter(c)})
	}
	k.mu.Lock()
	out = append(out, recording.Loss{Source: "kernel", Reason: "event not understood", Count: k.undecoded})
	k.mu.Unlock()
	slices.SortFunc(out, func(a, b recording.Loss) int { return strings.Compare(a.Reason, b.Reason) })
	return out
}

// Full counts the events that found no room in the ring buffer.
func (k *Kernel) Full() uint64 { return k.counter(bpf.SocketCounterCOUNT_RINGBUF_FULL) }

func (k *Kernel) counter(c bpf.SocketCounter) (sum uint64) {
	var perCPU []uint64
	if err := k.maps["counters"].Lookup(uint32(c), &perCPU); err != nil {
		return 0
	}
	for _, v := range perCPU {
		sum += v
	}
	return sum
}

// Probes says which hooks are attached, over all watched processes.
func (k *Kernel) Probes() []recording.Probe {
	k.mu.Lock()
	defer k.mu.Unlock()
	state := map[string]error{}
	for _, h := range k.host {
		state[h.name] = h.err
	}
	for _, a := range k.processes {
		for name, err := range a.state() {
			if old, seen := state[name]; !seen || old == nil {
				state[name] = err
			}
		}
	}
	var out []recording.Probe
	for name, err := range state {
		p := recording.Probe{Probe: name, Attached: err == nil}
		if err != nil {
			p.Reason = err.Error()
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b recording.Probe) int { return strings.Compare(a.Probe, b.Probe) })
	return out
}
