package stack

import (
	"errors"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// back is where a thread that left the CPU comes back: a tracepoint since Linux 6.14, after the run queue was unlocked; on
// older kernels a probe on the function that unlocks it.
type back struct {
	probe string // "": the tracepoint
}

const backTracepoint = "sched_exit_tp"

// whereBack looks for either in the kernel's symbols. An error says what is missing.
func whereBack() (back, error) {
	var probe string
	tracepoint := false
	err := kernelSymbols(func(_, name string) bool {
		// A compiler that changed a function's parameters appends how, as in finish_task_switch.isra.0.
		if name == "finish_task_switch" || strings.HasPrefix(name, "finish_task_switch.") && !strings.Contains(name, ".cold") {
			probe = name
		}
		tracepoint = name == "__traceiter_"+backTracepoint
		return !tracepoint
	})
	if err != nil || tracepoint {
		return back{}, err
	}
	if _, err := os.Stat("/sys/bus/event_source/devices/kprobe"); probe == "" || err != nil {
		return back{}, errors.New("this kernel has neither the tracepoint " + backTracepoint + " nor kprobes")
	}
	return back{probe}, nil
}

// prepare makes a program, of a raw tracepoint, one for there.
func (b back) prepare(p *ebpf.ProgramSpec) {
	if b.probe != "" {
		p.Type, p.AttachType, p.AttachTo, p.SectionName = ebpf.Kprobe, 0, "", "kprobe/"+p.Name
	}
}

func (b back) attach(p *ebpf.Program) (link.Link, error) {
	if b.probe != "" {
		return link.Kprobe(b.probe, p, nil)
	}
	return link.AttachRawTracepoint(link.RawTracepointOptions{Name: backTracepoint, Program: p})
}
