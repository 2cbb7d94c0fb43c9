package stack

import (
	"github.com/cilium/ebpf"
	"go.opentelemetry.io/ebpf-profiler/tracer"
)

// loadProbes loads the chain for probes that are attached as it says, with its entry's origin.
func (c *chain) loadProbes(unwinder *tracer.ProbeContext, origin uint16, as ebpf.AttachType) error {
	const programs = "alloc_progs" // our name for the map; the unwinder's own is taken
	return c.load(unwinder, map[string]any{"origin_id_probe": origin}, chainParts{
		programs: programs,
		adapt: func(p *ebpf.ProgramSpec, _ bool) error {
			p.AttachType = as
			refer(p, programs, "per_cpu_records_kp") // a clock may interrupt it, which has the other records
			return nil
		},
	})
}
