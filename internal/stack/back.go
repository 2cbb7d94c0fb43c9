package stack

import (
	"bufio"
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
	file, err := os.Open("/proc/kallsyms")
	if err != nil {
		return back{}, err
	}
	defer file.Close()
	var probe string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text()) // address, kind, name, and the module of one that is not the kernel's own
		if len(fields) != 3 {
			continue
		}
		// A compiler that changed a function's parameters appends how, as in finish_task_switch.isra.0.
		switch name := fields[2]; {
		case name == "__traceiter_"+backTracepoint:
			return back{}, nil
		case name == "finish_task_switch", strings.HasPrefix(name, "finish_task_switch.") && !strings.Contains(name, ".cold"):
			probe = name
		}
	}
	if err := lines.Err(); err != nil {
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
