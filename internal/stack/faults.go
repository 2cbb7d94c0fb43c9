package stack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"go.opentelemetry.io/ebpf-profiler/reporter/samples"
	"go.opentelemetry.io/ebpf-profiler/tracer"
	"golang.org/x/sys/unix"

	"github.com/ragscope/ragscope/bpf"
)

// faultType marks the samples of the trigger below.
const faultType = "touched_space"

// faults is the trigger that samples where a process touches new memory (bpf/fault.bpf.c).
type faults struct {
	why    error                // why it is not there, nil while it is
	shared map[string]*ebpf.Map // see Options.Maps

	objects  bpf.FaultObjects
	unwinder *ebpf.Program
	taken    *takings
	each     uint64           // faults of a thread between two runs of the program
	events   map[uint32][]int // perf event file descriptors by process, one a thread
}

func (f *faults) load(origins tracer.ProbeRegistrar, unwinder *tracer.ProbeContext) error {
	origin, err := origins.Register(&samples.TypeMetadata{SampleType: faultType, SampleUnit: "bytes"})
	if err != nil {
		return err
	}
	if f.unwinder, err = loadUnwinder(unwinder, origin); err != nil {
		return fmt.Errorf("load the unwinder's entry: %w", err)
	}
	spec, err := bpf.LoadFault()
	if err != nil {
		return fmt.Errorf("load sample_fault: %w", err)
	}
	levels, offsetAt := pageTables()
	for name, value := range map[string]any{bpf.FaultVarPageSize: uint64(os.Getpagesize()), bpf.FaultVarPageLevels: levels, bpf.FaultVarPageOffsetBase: offsetAt} {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	if err := spec.Variables[bpf.FaultVarFaultsEach].Get(&f.each); err != nil {
		return fmt.Errorf("get %s: %w", bpf.FaultVarFaultsEach, err)
	}
	if err := loadObjects(func() (*ebpf.CollectionSpec, error) { return spec, nil }, &f.objects, f.shared); err != nil {
		return fmt.Errorf("load sample_fault: %w", err)
	}
	if f.taken, err = newTakings(Alloc, f.objects.FaultTaken); err != nil {
		return err
	}
	f.events = map[uint32][]int{}
	return f.objects.FaultUnwinder.Put(uint32(0), f.unwinder)
}

// watch makes pids the processes whose faults are counted.
func (f *faults) watch(pids map[uint32]bool) error {
	if f.why != nil {
		return nil //nolint:nilerr // said where it failed; there is nothing to watch with
	}
	var errs []error
	for pid := range f.events {
		if !pids[pid] {
			errs = append(errs, f.leave(pid))
		}
	}
	for pid := range pids {
		if _, known := f.events[pid]; !known {
			errs = append(errs, f.follow(pid))
		}
	}
	return errors.Join(errs...)
}

func (f *faults) leave(pid uint32) error {
	var errs []error
	for _, fd := range f.events[pid] {
		errs = append(errs, unix.Close(fd))
	}
	delete(f.events, pid)
	_ = f.objects.FaultPending.Delete(pid) // it may not have been there
	return errors.Join(errs...)
}

// follow opens an event for each thread of a process. Threads that these start later are in their
// events; those started while this looks for them are not, rather than twice.
func (f *faults) follow(pid uint32) error {
	if err := f.objects.FaultPending.Put(pid, make([]bpf.FaultPending, ebpf.MustPossibleCPU())); err != nil {
		return fmt.Errorf("watch the memory of process %d: %w", pid, err)
	}
	f.events[pid] = nil
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		return err
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(filepath.Base(t))
		if err != nil {
			continue
		}
		fd, err := f.open(tid)
		if errors.Is(err, unix.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			return errors.Join(fmt.Errorf("watch the memory of thread %d of process %d: %w", tid, pid, err), f.leave(pid))
		}
		f.events[pid] = append(f.events[pid], fd)
	}
	return nil
}

// open opens the event of one thread's minor faults, and those of the threads that it will start.
func (f *faults) open(tid int) (int, error) {
	const inheritThread = 1 << 35 // perf_event_attr.inherit_thread, Linux 5.13: not its child processes
	attr := unix.PerfEventAttr{
		Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_PAGE_FAULTS_MIN,
		Sample: f.each, Size: unix.PERF_ATTR_SIZE_VER7, Bits: unix.PerfBitInherit | inheritThread,
	}
	fd, err := unix.PerfEventOpen(&attr, tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return -1, err
	}
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, f.objects.SampleFault.FD()); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("attach sample_fault: %w", err)
	}
	return fd, nil
}

func (f *faults) count(what bpf.FaultFaultCount) uint64 {
	return sumPerCPU(f.objects.FaultCounts, uint32(what))
}

func (f *faults) counts() (entered, failed uint64) {
	failed = f.count(bpf.FaultFaultCountFAULT_NOT_ENTERED)
	return f.count(bpf.FaultFaultCountFAULT_TICKS) - failed, failed
}

func (f *faults) ran() float64 { return ran(f.objects.SampleFault) }

func (f *faults) close() error {
	var errs []error
	for pid := range f.events {
		errs = append(errs, f.leave(pid))
	}
	if f.taken != nil {
		errs = append(errs, f.taken.close())
	}
	if f.objects.SampleFault != nil {
		errs = append(errs, f.objects.Close())
	}
	if f.unwinder != nil {
		errs = append(errs, f.unwinder.Close())
	}
	return errors.Join(errs...)
}

// pageTables says how this kernel's page tables are walked, for huge pages to be told: how many levels
// they have, 0 where that is not known, and the address of the variable page_offset_base, 0 where there is none.
func pageTables() (levels uint32, offsetAt uint64) {
	if runtime.GOARCH != "amd64" {
		return 0, 0
	}
	offsetAt, err := kernelSymbol("page_offset_base")
	if err != nil {
		return 0, 0
	}
	cpu, err := os.ReadFile("/proc/cpuinfo")
	switch {
	case err != nil:
		return 0, offsetAt
	case strings.Contains(string(cpu), " la57"): // a kernel that uses four levels clears the flag (early_identify_cpu)
		return 5, offsetAt
	default:
		return 4, offsetAt
	}
}
