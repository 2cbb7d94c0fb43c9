package stack

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"go.opentelemetry.io/ebpf-profiler/reporter/samples"
	"go.opentelemetry.io/ebpf-profiler/tracer"
	"golang.org/x/sys/unix"

	"github.com/ragscope/ragscope/bpf"
)

// clock is the trigger of CPU samples: a software clock on every CPU whose ticks enter the unwinder
// only while a watched process runs (bpf/sample.bpf.c).
type clock struct {
	periodNS uint64
	shared   map[string]*ebpf.Map

	objects  bpf.SampleObjects
	unwinder *ebpf.Program
	events   []int // perf event file descriptors, one a CPU
}

func (c *clock) load(origins tracer.ProbeRegistrar, unwinder *tracer.ProbeContext) error {
	origin, err := origins.Register(&samples.TypeMetadata{PeriodType: "cpu", PeriodUnit: "nanoseconds", SampleType: "samples", SampleUnit: "count"})
	if err != nil {
		return err
	}
	if c.unwinder, err = loadUnwinder(unwinder, origin); err != nil {
		return fmt.Errorf("load the unwinder's entry: %w", err)
	}
	if err := loadObjects(bpf.LoadSample, &c.objects, c.shared); err != nil {
		return fmt.Errorf("load sample_cpu: %w", err)
	}
	if err := c.objects.SampleUnwinder.Put(uint32(0), c.unwinder); err != nil {
		return fmt.Errorf("link the unwinder behind sample_cpu: %w", err)
	}
	return c.start()
}

// start opens one event a CPU. The period is fixed, not a frequency for the
// kernel to steer by, so that every sample stands for the same time.
func (c *clock) start() error {
	cpus, err := onlineCPUs()
	if err != nil {
		return err
	}
	for _, cpu := range cpus {
		attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Sample: c.periodNS, Size: unix.PERF_ATTR_SIZE_VER7}
		fd, err := unix.PerfEventOpen(&attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if err != nil {
			return fmt.Errorf("open a CPU clock on cpu %d: %w; needs CAP_PERFMON", cpu, err)
		}
		c.events = append(c.events, fd)
		if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, c.objects.SampleCpu.FD()); err != nil {
			return fmt.Errorf("attach sample_cpu on cpu %d: %w", cpu, err)
		}
		if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0); err != nil {
			return fmt.Errorf("start the CPU clock on cpu %d: %w", cpu, err)
		}
	}
	return nil
}

// watch makes want the processes whose ticks are unwound.
func (c *clock) watch(want map[uint32]bool) error {
	var gone []uint32
	var pid uint32
	var one uint8
	for it := c.objects.SampledPids.Iterate(); it.Next(&pid, &one); {
		if !want[pid] {
			gone = append(gone, pid)
		}
	}
	for _, pid := range gone {
		if err := c.objects.SampledPids.Delete(pid); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("stop sampling process %d: %w", pid, err)
		}
	}
	for pid := range want {
		if err := c.objects.SampledPids.Put(pid, uint8(1)); err != nil {
			return fmt.Errorf("sample process %d: %w", pid, err)
		}
	}
	return nil
}

func (c *clock) counts() (entered, failed uint64) {
	failed = sumPerCPU(c.objects.SampleCounts, uint32(bpf.SampleSampleCountSAMPLE_NOT_ENTERED))
	return c.ticks() - failed, failed
}

// ticks are those of watched processes.
func (c *clock) ticks() uint64 {
	return sumPerCPU(c.objects.SampleCounts, uint32(bpf.SampleSampleCountSAMPLE_TICKS))
}

func (c *clock) ran() float64 { return ran(c.objects.SampleCpu) }

func (c *clock) close() error {
	var errs []error
	for _, fd := range c.events {
		errs = append(errs, unix.Close(fd))
	}
	c.events = nil
	if c.objects.SampleCpu != nil {
		errs = append(errs, c.objects.Close())
	}
	if c.unwinder != nil {
		errs = append(errs, c.unwinder.Close())
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
