package stack

import (
	"context"
	"errors"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"go.opentelemetry.io/ebpf-profiler/tracer"
)

// trigger says where a stack is taken: its programs enter the unwinder there.
type trigger interface {
	// load puts its programs into the kernel, with a copy of the unwinder's entry behind them whose
	// origin says of which trigger a stack is. What it loaded before it failed is close's to remove.
	load(origins tracer.ProbeRegistrar, unwinder *tracer.ProbeContext) error
	// watch makes pids the processes of which stacks are taken.
	watch(pids map[uint32]bool) error
	// counts are how often the unwinder was entered, and how often it should have been and could not.
	counts() (entered, failed uint64)
	// ran is the seconds that the programs and the unwinder behind them took while the kernel kept run times.
	ran() float64
	close() error
}

// entry holds the triggers in front of the unwinder.
type entry struct {
	memoryOnly bool

	known  known
	clock  clock
	offcpu offcpu
	asleep asleep // instead of offcpu, on a kernel without its tracepoint
	faults faults
	allocs allocs
}

// Load is called by the unwinder with access to its maps; it implements tracer.Probe.
func (e *entry) Load(_ context.Context, origins tracer.ProbeRegistrar, unwinder *tracer.ProbeContext) (link.Link, error) {
	if !e.memoryOnly {
		if err := e.clock.load(origins, unwinder); err != nil {
			return nil, err
		}
	}
	e.loadKnown(unwinder)
	// CPU stacks are there without the others.
	e.loadSleeps(origins, unwinder)
	e.faults.why = e.faults.load(origins, unwinder)
	e.allocs.why = e.allocs.load(origins, unwinder)
	return nil, nil
}

func (e *entry) loadKnown(unwinder *tracer.ProbeContext) {
	k := &e.known
	k.why = k.load(unwinder, func(*ebpf.ProgramSpec) error { return nil }, nil)
	if k.why == nil {
		k.why = k.replace()
	}
	if k.why != nil {
		k.why = errors.Join(k.why, k.close())
	}
}

func (e *entry) loadSleeps(origins tracer.ProbeRegistrar, unwinder *tracer.ProbeContext) {
	if e.memoryOnly {
		e.offcpu.why, e.asleep.why = errMemoryOnly, errMemoryOnly
		return
	}
	e.asleep.why = errInstead
	if e.offcpu.why = e.offcpu.load(origins, unwinder); e.offcpu.why != nil {
		e.offcpu.why = errors.Join(e.offcpu.why, e.offcpu.close())
		e.asleep.why = e.asleep.load(origins, unwinder)
	}
}

var errMemoryOnly = errors.New("stacks are taken of memory alone")

var errInstead = errors.New("sleeps are sampled by a clock")

// sleepsWhy is why nobody samples sleeps, nil while somebody does.
func (e *entry) sleepsWhy() error {
	if e.offcpu.why == nil {
		return nil
	}
	return e.asleep.why
}

func (e *entry) triggers() []trigger {
	if e.memoryOnly {
		return []trigger{&e.faults, &e.allocs}
	}
	return []trigger{&e.clock, &e.offcpu, &e.asleep, &e.faults, &e.allocs}
}

func (e *entry) watch(pids []int) error {
	want := map[uint32]bool{}
	for _, pid := range pids {
		want[uint32(pid)] = true
	}
	var errs []error
	for _, t := range e.triggers() {
		errs = append(errs, t.watch(want))
	}
	return errors.Join(errs...)
}

func (e *entry) counts() (entered, failed uint64) {
	for _, t := range e.triggers() {
		n, bad := t.counts()
		entered, failed = entered+n, failed+bad
	}
	return entered, failed
}

// priced are the triggers whose cost is the number of their samples times the price of one.
func (e *entry) priced() (entered uint64, ran float64) {
	for _, t := range e.triggers() {
		if t == trigger(&e.offcpu) || t == trigger(&e.allocs) {
			continue // they measure themselves
		}
		n, _ := t.counts()
		entered, ran = entered+n, ran+t.ran()
	}
	return entered, ran
}

func (e *entry) close() error {
	var errs []error
	for _, t := range e.triggers() {
		errs = append(errs, t.close())
	}
	errs = append(errs, e.known.close())
	return errors.Join(errs...)
}

// loadObjects loads a trigger's programs and maps. Those maps that are shared, by name, are used where the programs
// have such; the others are made.
func loadObjects(read func() (*ebpf.CollectionSpec, error), objects any, shared map[string]*ebpf.Map) error {
	spec, err := read()
	if err != nil {
		return err
	}
	used := map[string]*ebpf.Map{}
	for name, m := range shared {
		if spec.Maps[name] != nil {
			used[name] = m
		}
	}
	return spec.LoadAndAssign(objects, &ebpf.CollectionOptions{MapReplacements: used})
}

// ran is the seconds that a program, not loaded if it is nil, took while the kernel kept run times.
func ran(p *ebpf.Program) float64 {
	if p == nil {
		return 0
	}
	stats, err := p.Stats()
	if err != nil {
		return 0
	}
	return stats.Runtime.Seconds()
}

func sumPerCPU(m *ebpf.Map, key uint32) uint64 {
	var perCPU []uint64
	if m == nil || m.Lookup(key, &perCPU) != nil {
		return 0
	}
	var sum uint64
	for _, n := range perCPU {
		sum += n
	}
	return sum
}
