package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"go.opentelemetry.io/ebpf-profiler/reporter/samples"
	"go.opentelemetry.io/ebpf-profiler/tracer"
	"golang.org/x/sys/unix"

	"github.com/ragscope/ragscope/bpf"
)

// entry is the trigger in front of the unwinder: a CPU clock on every CPU whose ticks enter
// the unwinder only while a watched process runs (bpf/sample.bpf.c).
type entry struct {
	periodNS uint64

	objects  bpf.SampleObjects
	unwinder *ebpf.Program
	clocks   []int // perf event file descriptors, one a CPU
	asleep   asleep
}

// Load is called by the unwinder with access to its maps; it implements tracer.Probe.
func (e *entry) Load(_ context.Context, origins tracer.ProbeRegistrar, unwinder *tracer.ProbeContext) (link.Link, error) {
	origin, err := origins.Register(&samples.TypeMetadata{PeriodType: "cpu", PeriodUnit: "nanoseconds", SampleType: "samples", SampleUnit: "count"})
	if err != nil {
		return nil, err
	}
	if e.unwinder, err = loadUnwinder(unwinder, origin); err != nil {
		return nil, fmt.Errorf("load the unwinder's entry: %w", err)
	}
	if err := bpf.LoadSampleObjects(&e.objects, nil); err != nil {
		return nil, fmt.Errorf("load sample_cpu: %w", err)
	}
	if err := e.objects.SampleUnwinder.Put(uint32(0), e.unwinder); err != nil {
		return nil, fmt.Errorf("link the unwinder behind sample_cpu: %w", err)
	}
	if err := e.startClocks(); err != nil {
		return nil, err
	}
	e.asleep.why = e.asleep.load(origins, unwinder) // CPU stacks are there without it
	return nil, nil
}

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

// startClocks opens one software clock a CPU. The period is fixed, not a frequency for the
// kernel to steer by, so that every sample stands for the same time.
func (e *entry) startClocks() error {
	cpus, err := onlineCPUs()
	if err != nil {
		return err
	}
	for _, cpu := range cpus {
		attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Sample: e.periodNS, Size: unix.PERF_ATTR_SIZE_VER7}
		fd, err := unix.PerfEventOpen(&attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if err != nil {
			return fmt.Errorf("open a CPU clock on cpu %d: %w; needs CAP_PERFMON", cpu, err)
		}
		e.clocks = append(e.clocks, fd)
		if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, e.objects.SampleCpu.FD()); err != nil {
			return fmt.Errorf("attach sample_cpu on cpu %d: %w", cpu, err)
		}
		if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0); err != nil {
			return fmt.Errorf("start the CPU clock on cpu %d: %w", cpu, err)
		}
	}
	return nil
}

// watch makes pids the processes whose ticks are unwound.
func (e *entry) watch(pids []int) error {
	want := map[uint32]bool{}
	for _, pid := range pids {
		want[uint32(pid)] = true
	}
	var gone []uint32
	var pid uint32
	var one uint8
	for it := e.objects.SampledPids.Iterate(); it.Next(&pid, &one); {
		if !want[pid] {
			gone = append(gone, pid)
		}
	}
	for _, pid := range gone {
		if err := e.objects.SampledPids.Delete(pid); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("stop sampling process %d: %w", pid, err)
		}
	}
	for pid := range want {
		if err := e.objects.SampledPids.Put(pid, uint8(1)); err != nil {
			return fmt.Errorf("sample process %d: %w", pid, err)
		}
	}
	return e.asleep.watch(want)
}

// entered is how often the unwinder was entered.
func (e *entry) entered() uint64 {
	return e.count(bpf.SampleSampleCountSAMPLE_TICKS) + e.asleep.count(bpf.AsleepAsleepCountASLEEP_TICKS) - e.notEntered()
}

// notEntered is how often it should have been and could not.
func (e *entry) notEntered() uint64 {
	return e.count(bpf.SampleSampleCountSAMPLE_NOT_ENTERED) + e.asleep.count(bpf.AsleepAsleepCountASLEEP_NOT_ENTERED)
}

// count is a counter of sample_cpu, summed over the CPUs.
func (e *entry) count(what bpf.SampleSampleCount) uint64 {
	return sumPerCPU(e.objects.SampleCounts, uint32(what))
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

func (e *entry) close() error {
	errs := []error{e.asleep.close()}
	for _, fd := range e.clocks {
		errs = append(errs, unix.Close(fd))
	}
	e.clocks = nil
	if e.objects.SampleCpu != nil {
		errs = append(errs, e.objects.Close())
	}
	if e.unwinder != nil {
		errs = append(errs, e.unwinder.Close())
	}
	return errors.Join(errs...)
}

// onlineCPUs are the CPUs of the host, not only those this process may run on.
func onlineCPUs() ([]int, error) {
	const file = "/sys/devices/system/cpu/online"
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("list the CPUs: %w", err)
	}
	cpus, err := parseCPUs(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return cpus, nil
}

// parseCPUs reads the kernel's list format, "0-3,8,10-11".
func parseCPUs(list string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(list, ",") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || first < 0 || last < first || last >= 1<<16 {
			return nil, fmt.Errorf("%q is no list of CPUs", list)
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}
