package stack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"go.opentelemetry.io/ebpf-profiler/times"
	"go.opentelemetry.io/ebpf-profiler/tracer"
)

// newUnwinder loads the unwinder without its copy for probes, which takes as long again in the kernel's verifier: Enable
// insists on it, but our triggers bring what they enter.
func newUnwinder(ctx context.Context, config *tracer.Config) (*tracer.Tracer, error) {
	config.Intervals = pace{times.New(5*time.Second, 5*time.Second, time.Minute), config}
	return tracer.NewTracer(ctx, config)
}

// pollEvery is how often the ring buffer of stacks is read.
const pollEvery = 100 * time.Millisecond

// pace is how often the unwinder does what. NewTracer asks the configuration whether to load the copy, then this for its
// intervals, and the configuration again to remember whether the copy was loaded.
type pace struct {
	*times.Times
	config *tracer.Config
}

// MonitorInterval makes the unwinder believe that the copy is there.
func (p pace) MonitorInterval() time.Duration {
	p.config.LoadProbe = true
	return p.Times.MonitorInterval()
}

func (pace) TracePollInterval() time.Duration { return pollEvery }

// loadUnwinder loads a second copy of the unwinder's own clock entry, which knows our origin.
func loadUnwinder(unwinder *tracer.ProbeContext, origin uint16) (*ebpf.Program, error) {
	const program = "native_tracer_entry"
	variables := map[string]any{"origin_id_sampling": origin, "filter_idle_frames": true}
	spec, err := unwinder.CollectionSpecWith(nil, []string{program}, []string{"origin_id_sampling", "filter_idle_frames"})
	if err != nil {
		return nil, err
	}
	for name, value := range variables {
		if err := spec.Variables[name].Set(value); err != nil {
			return nil, fmt.Errorf("set %s: %w", name, err)
		}
	}
	if err := unwinder.RewriteMaps(spec, nil); err != nil {
		return nil, err
	}
	rodata, err := bindReadOnly(spec)
	if err != nil {
		return nil, err
	}
	defer rodata.Close() // the loaded program holds it
	return ebpf.NewProgram(spec.Programs[program])
}

// bindReadOnly creates the collection's read-only data with the values its variables now have
// and points the programs at it. The unwinder's own helper for this also swaps the map of its
// tail calls for that of its uprobes, so it cannot be used for a clock.
func bindReadOnly(spec *ebpf.CollectionSpec) (*ebpf.Map, error) {
	const section = ".rodata.var"
	data := spec.Maps[section]
	if data == nil || len(data.Contents) == 0 {
		return nil, errors.New("the unwinder has no " + section)
	}
	contents, ok := data.Contents[0].Value.([]byte)
	if !ok {
		return nil, errors.New("the unwinder's " + section + " is no byte array")
	}
	contents = append([]byte(nil), contents...) // shared with other copies of the spec
	for name, v := range spec.Variables {
		if v.SectionName != section {
			continue
		}
		if int(v.Offset)+len(v.Value) > len(contents) {
			return nil, fmt.Errorf("variable %s lies outside %s", name, section)
		}
		copy(contents[v.Offset:], v.Value)
	}
	data.Contents[0] = ebpf.MapKV{Key: uint32(0), Value: contents}
	m, err := ebpf.NewMap(data)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", section, err)
	}
	for name, program := range spec.Programs {
		if err := program.Instructions.AssociateMap(section, m); err != nil && !errors.Is(err, asm.ErrUnreferencedSymbol) {
			m.Close()
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return m, nil
}
