package stack

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"go.opentelemetry.io/ebpf-profiler/support"
	"go.opentelemetry.io/ebpf-profiler/tracer"
)

// chain is a further copy of the unwinder, beside the one for clocks and the one for probes: for raw tracepoints, or
// for probes that are attached many at once. The kernel lets only programs of one type, attached in the same way,
// call one another.
type chain struct {
	programs *ebpf.Map // that call one another
	entry    *ebpf.Program
	stop     *ebpf.Program // the last one, which hands the stack over
	known    known         // as far as it is loaded, in place of others
	others   []*ebpf.Program
}

// chainPrograms are those that the entry leads to, by their place in the map.
var chainPrograms = map[string]uint32{
	"kprobe_unwind_native":  support.ProgUnwindNative,
	"kprobe_unwind_python":  support.ProgUnwindPython,
	"kprobe_unwind_hotspot": support.ProgUnwindHotspot,
	"kprobe_unwind_v8":      support.ProgUnwindV8,
}

const (
	chainEntry = "kprobe__generic"
	chainStop  = "kprobe_unwind_stop"
	// framesAtOnce are the Python frames of one run of its program, of which 29 may follow one another: as
	// many as the unwinder's other copies have on kernels of today.
	framesAtOnce = uint32(15)
)

// newRecords makes the map of the unwinder's records that a chain of its own needs, as it would be
// called while another copy is interrupted.
func newRecords(spec *ebpf.MapSpec, unwinder *tracer.ProbeContext) error {
	const name = "per_cpu_records"
	theirs, err := unwinder.CollectionSpecWith([]string{name}, nil, nil)
	if err != nil {
		return err
	}
	spec.ValueSize, spec.Key, spec.Value = theirs.Maps[name].ValueSize, nil, nil
	return nil
}

// loadForSleeps loads the chain for where threads come back, with its entry's origin. Its last program is called where
// stop says.
func (c *chain) loadForSleeps(unwinder *tracer.ProbeContext, origin uint16, records *ebpf.Map, stop *ebpf.Program, at back) error {
	adapt := asRawTracepoint
	if at.probe != "" {
		adapt = func(p *ebpf.ProgramSpec, _ bool) error {
			at.prepare(p)
			refer(p, ourPrograms, ourRecords)
			return nil
		}
	}
	return c.load(unwinder, map[string]any{"origin_id_probe": origin, "python_frames_per_program": framesAtOnce}, chainParts{
		programs: ourPrograms, maps: map[string]*ebpf.Map{ourRecords: records}, adapt: adapt, stop: stop, alone: true,
	})
}

// chainParts are in what a chain differs from the unwinder's own.
type chainParts struct {
	programs string               // the name of our map of programs in their references
	maps     map[string]*ebpf.Map // further maps of ours by such a name
	adapt    func(p *ebpf.ProgramSpec, entry bool) error
	stop     *ebpf.Program // in place of the last program; nil: that itself
	alone    bool          // no program of it runs before another one is done on a CPU, so that they may remember frames
}

func (c *chain) load(unwinder *tracer.ProbeContext, variables map[string]any, parts chainParts) error {
	names := []string{chainEntry, chainStop}
	for name := range chainPrograms {
		names = append(names, name)
	}
	spec, err := unwinder.CollectionSpecWith([]string{"perf_progs"}, names, slices.Collect(maps.Keys(variables)))
	if err != nil {
		return err
	}
	for name, value := range variables {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	if c.programs, err = ebpf.NewMap(spec.Maps["perf_progs"]); err != nil {
		return fmt.Errorf("create the map of the unwinder's programs: %w", err)
	}
	delete(spec.Maps, "perf_progs")
	for name, program := range spec.Programs {
		if err := parts.adapt(program, name == chainEntry); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	ours := map[string]*ebpf.Map{parts.programs: c.programs}
	maps.Copy(ours, parts.maps)
	if parts.alone {
		c.loadKnown(unwinder, parts, ours)
	}
	if err := unwinder.RewriteMaps(spec, ours); err != nil {
		return err
	}
	rodata, err := bindReadOnly(spec)
	if err != nil {
		return err
	}
	defer rodata.Close() // the loaded programs hold it
	return c.link(spec, parts.stop)
}

func (c *chain) loadKnown(unwinder *tracer.ProbeContext, parts chainParts, ours map[string]*ebpf.Map) {
	adapt := func(p *ebpf.ProgramSpec) error { return parts.adapt(p, false) }
	if c.known.why = c.known.load(unwinder, adapt, ours); c.known.why != nil {
		c.known.why = errors.Join(c.known.why, c.known.close())
	}
}

func (c *chain) link(spec *ebpf.CollectionSpec, stop *ebpf.Program) (err error) {
	if c.entry, err = ebpf.NewProgram(spec.Programs[chainEntry]); err != nil {
		return fmt.Errorf("load %s: %w", chainEntry, err)
	}
	if c.stop, err = ebpf.NewProgram(spec.Programs[chainStop]); err != nil {
		return fmt.Errorf("load %s: %w", chainStop, err)
	}
	if stop == nil {
		stop = c.stop
	}
	if err := c.programs.Put(uint32(support.ProgUnwindStop), stop); err != nil {
		return fmt.Errorf("link the end of unwinding: %w", err)
	}
	for name, slot := range chainPrograms {
		p := c.known.program(slot)
		if p == nil {
			if p, err = ebpf.NewProgram(spec.Programs[name]); err != nil {
				return fmt.Errorf("load %s: %w", name, err)
			}
			c.others = append(c.others, p)
		}
		if err := c.programs.Put(slot, p); err != nil {
			return fmt.Errorf("link %s: %w", name, err)
		}
	}
	return nil
}

// refer gives a program our maps for those that it may not share.
func refer(p *ebpf.ProgramSpec, programs, records string) {
	for i := range p.Instructions {
		ins := &p.Instructions[i]
		switch ins.Reference() {
		case "perf_progs":
			*ins = ins.WithReference(programs)
		case "per_cpu_records":
			*ins = ins.WithReference(records)
		}
	}
}

// The names that our maps have in the programs' references; the unwinder's own are taken.
const (
	ourPrograms = "raw_tp_progs"
	ourRecords  = "raw_tp_records"
)

// asRawTracepoint gives a program another type, and our maps for those that it may not share.
func asRawTracepoint(p *ebpf.ProgramSpec, entry bool) error {
	p.Type, p.AttachType, p.AttachTo, p.SectionName = ebpf.RawTracepoint, 0, "", "raw_tp/unwind"
	refer(p, ourPrograms, ourRecords)
	patched := 0
	for i := range p.Instructions {
		ins := &p.Instructions[i]
		if entry && readsMode(ins) {
			*ins = asm.Mov.Imm(ins.Dst, kernelMode[runtime.GOARCH].value).WithMetadata(ins.Metadata)
			patched++
		}
	}
	if entry && patched != 1 {
		return fmt.Errorf("it asks %d times whether its context is of user mode, once is expected: another version of the unwinder", patched)
	}
	return nil
}

// kernelMode is where the entry looks in its context, which it takes for registers, whether they are those of
// user mode; and a value that says that they are not, so that it takes the ones that the thread saved. The
// context of a raw tracepoint has no registers.
var kernelMode = map[string]struct {
	offset int16
	value  int32
}{
	"amd64": {160, 0}, // ss: any but __USER_DS
	"arm64": {264, 5}, // pstate: EL1h
}

func readsMode(ins *asm.Instruction) bool {
	at, known := kernelMode[runtime.GOARCH]
	return known && ins.OpCode.Class() == asm.LdXClass && ins.OpCode.Size() == asm.DWord && ins.Offset == at.offset && ins.Src != asm.RFP
}

// Where in a record the fields are that a trigger fills in. The transaction of a tracer is not used here; in
// a service that has one the unwinder may put it there all the same.
const (
	atValue = uint32(unsafe.Offsetof(support.Trace{}.Value))
	atSlept = uint32(unsafe.Offsetof(support.Trace{}.Apm_transaction_id))
)

func (c *chain) close() error {
	errs := []error{c.known.close()}
	for _, p := range append(c.others, c.entry, c.stop) {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	if c.programs != nil {
		errs = append(errs, c.programs.Close())
	}
	*c = chain{}
	return errors.Join(errs...)
}
