package stack

import (
	"errors"
	"fmt"
	"maps"

	"github.com/cilium/ebpf"
	"go.opentelemetry.io/ebpf-profiler/support"
	"go.opentelemetry.io/ebpf-profiler/tracer"

	"github.com/ragscope/ragscope/bpf"
)

// known are the parts of the unwinder that remember frames, and see through return probes (bpf/unwind.bpf.c), in the
// place of its own. Without them a stack costs twice as much, and ends at a function that somebody waits to return.
type known struct {
	why    error // why it is not loaded, nil while it is
	frames *ebpf.Map
	calls  *ebpf.Map // through it the programs call one another
	parts  []knownPart
}

type knownPart struct {
	slot         uint32
	ours, theirs *ebpf.Program // theirs is nil where it was never loaded
}

var knownPrograms = map[string]uint32{
	"known_unwind_native": support.ProgUnwindNative,
	"known_unwind_python": support.ProgUnwindPython,
}

// load loads them for the unwinder's clock, or as adapt makes them, with further maps of ours by their names.
func (k *known) load(unwinder *tracer.ProbeContext, adapt func(*ebpf.ProgramSpec) error, ours map[string]*ebpf.Map) error {
	spec, err := bpf.LoadUnwind()
	if err != nil {
		return err
	}
	if err := setSystem(spec, unwinder); err != nil {
		return err
	}
	if k.frames, err = ebpf.NewMap(spec.Maps["known_frames"]); err != nil {
		return fmt.Errorf("create known_frames: %w", err)
	}
	for name := range knownPrograms {
		if err := adapt(spec.Programs[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	used := map[string]*ebpf.Map{"known_frames": k.frames}
	maps.Copy(used, ours)
	if err := unwinder.RewriteMaps(spec, used); err != nil {
		return err
	}
	rodata, err := bindReadOnly(spec)
	if err != nil {
		return err
	}
	defer rodata.Close() // the loaded programs hold it
	for name, slot := range knownPrograms {
		p := spec.Programs[name]
		if k.calls = programsOf(p); k.calls == nil {
			return fmt.Errorf("%s does not call others", name)
		}
		program, err := ebpf.NewProgram(p)
		if err != nil {
			return fmt.Errorf("load %s: %w", name, err)
		}
		k.parts = append(k.parts, knownPart{slot: slot, ours: program})
	}
	return nil
}

// replace puts them in the place of the unwinder's own.
func (k *known) replace() error {
	for i := range k.parts {
		if err := k.calls.Lookup(k.parts[i].slot, &k.parts[i].theirs); err != nil {
			return fmt.Errorf("the unwinder's own program %d: %w", k.parts[i].slot, err)
		}
	}
	return k.use(true)
}

// program is the one for a place, nil if there is none.
func (k *known) program(slot uint32) *ebpf.Program {
	for _, p := range k.parts {
		if p.slot == slot {
			return p.ours
		}
	}
	return nil
}

// setSystem gives programs what the unwinder knows of this kernel.
func setSystem(spec *ebpf.CollectionSpec, unwinder *tracer.ProbeContext) error {
	theirs, err := unwinder.CollectionSpecWith(nil, nil, nil)
	if err != nil {
		return err
	}
	for name, v := range theirs.Variables {
		if ours := spec.Variables[name]; ours != nil {
			if len(ours.Value) != len(v.Value) {
				return fmt.Errorf("variable %s has %d bytes here and %d there: another version of the unwinder", name, len(ours.Value), len(v.Value))
			}
			ours.Value = v.Value
		}
	}
	return spec.Variables["python_frames_per_program"].Set(framesAtOnce)
}

// programsOf is the map of the programs that a program calls, once its references are resolved.
func programsOf(p *ebpf.ProgramSpec) *ebpf.Map {
	for i := range p.Instructions {
		if m, ok := p.Instructions[i].Map().(*ebpf.Map); ok && m != nil && m.Type() == ebpf.ProgramArray {
			return m
		}
	}
	return nil
}

// use makes the unwinder call ours, or its own again.
func (k *known) use(ours bool) error {
	var errs []error
	for _, p := range k.parts {
		to := p.theirs
		if ours {
			to = p.ours
		}
		errs = append(errs, k.calls.Put(p.slot, to))
	}
	return errors.Join(errs...)
}

// close is called when nothing is unwound any more, or when not all was loaded.
func (k *known) close() error {
	var errs []error
	for _, p := range k.parts {
		if p.theirs != nil {
			errs = append(errs, k.calls.Put(p.slot, p.theirs), p.theirs.Close())
		}
		errs = append(errs, p.ours.Close())
	}
	if k.frames != nil {
		errs = append(errs, k.frames.Close())
	}
	k.parts, k.frames, k.calls = nil, nil, nil
	return errors.Join(errs...)
}
