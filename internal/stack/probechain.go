package stack

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"go.opentelemetry.io/ebpf-profiler/support"
	"go.opentelemetry.io/ebpf-profiler/tracer"
)

// probeChain is a copy of the unwinder for probes that are attached many at once: the kernel lets only
// programs that are attached in the same way call one another.
type probeChain struct {
	programs *ebpf.Map // that call one another
	loaded   []*ebpf.Program
	entry    *ebpf.Program // one of them
}

const (
	probeEntry    = "kprobe__generic"
	probePrograms = "alloc_progs" // our name for the map; the unwinder's own is taken
)

// probeLinks are the programs that the entry leads to, by their place in the map.
var probeLinks = map[string]uint32{
	"kprobe_unwind_stop":    support.ProgUnwindStop,
	"kprobe_unwind_native":  support.ProgUnwindNative,
	"kprobe_unwind_python":  support.ProgUnwindPython,
	"kprobe_unwind_hotspot": support.ProgUnwindHotspot,
	"kprobe_unwind_v8":      support.ProgUnwindV8,
}

// load loads the chain. Its entry knows our origin.
func (c *probeChain) load(unwinder *tracer.ProbeContext, origin uint16, as ebpf.AttachType) error {
	names := []string{probeEntry}
	for name := range probeLinks {
		names = append(names, name)
	}
	spec, err := unwinder.CollectionSpecWith([]string{"perf_progs"}, names, []string{"origin_id_probe"})
	if err != nil {
		return err
	}
	if err := spec.Variables["origin_id_probe"].Set(origin); err != nil {
		return fmt.Errorf("set origin_id_probe: %w", err)
	}
	if c.programs, err = ebpf.NewMap(spec.Maps["perf_progs"]); err != nil {
		return fmt.Errorf("create the map of the unwinder's programs: %w", err)
	}
	delete(spec.Maps, "perf_progs")
	for _, p := range spec.Programs {
		p.AttachType = as
		for i := range p.Instructions {
			ins := &p.Instructions[i]
			switch ins.Reference() {
			case "perf_progs":
				*ins = ins.WithReference(probePrograms)
			case "per_cpu_records": // a clock may interrupt it, which has that one
				*ins = ins.WithReference("per_cpu_records_kp")
			}
		}
	}
	if err := unwinder.RewriteMaps(spec, map[string]*ebpf.Map{probePrograms: c.programs}); err != nil {
		return err
	}
	rodata, err := bindReadOnly(spec)
	if err != nil {
		return err
	}
	defer rodata.Close() // the loaded programs hold it
	for name, p := range spec.Programs {
		program, err := ebpf.NewProgram(p)
		if err != nil {
			return fmt.Errorf("load %s: %w", name, err)
		}
		c.loaded = append(c.loaded, program)
		if name == probeEntry {
			c.entry = program
		} else if err := c.programs.Put(probeLinks[name], program); err != nil {
			return fmt.Errorf("link %s: %w", name, err)
		}
	}
	return nil
}

func (c *probeChain) close() error {
	var errs []error
	for _, p := range c.loaded {
		errs = append(errs, p.Close())
	}
	if c.programs != nil {
		errs = append(errs, c.programs.Close())
	}
	*c = probeChain{}
	return errors.Join(errs...)
}
