package stack

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"go.opentelemetry.io/ebpf-profiler/reporter/samples"
	"go.opentelemetry.io/ebpf-profiler/tracer"
	"golang.org/x/sys/unix"

	"github.com/ragscope/ragscope/bpf"
)

// sleepType marks the samples of the trigger below.
const sleepType = "off_cpu"

// asleep is the trigger that samples a process's main thread, the one that runs an event loop as a
// rule, where it goes to sleep in a call (bpf/asleep.bpf.c).
type asleep struct {
	why error // why it is not there, nil while it is

	objects  bpf.AsleepObjects
	unwinder *ebpf.Program
	threads  map[uint32]int // perf event file descriptors by thread
}

func (a *asleep) load(origins tracer.ProbeRegistrar, unwinder *tracer.ProbeContext) error {
	origin, err := origins.Register(&samples.TypeMetadata{SampleType: sleepType, SampleUnit: "count"})
	if err != nil {
		return err
	}
	if a.unwinder, err = loadUnwinder(unwinder, origin); err != nil {
		return fmt.Errorf("load the unwinder's entry: %w", err)
	}
	if err := bpf.LoadAsleepObjects(&a.objects, nil); err != nil {
		return fmt.Errorf("load sample_asleep: %w", err)
	}
	a.threads = map[uint32]int{}
	return a.objects.AsleepUnwinder.Put(uint32(0), a.unwinder)
}

// watch makes the main threads of pids the ones that are sampled.
func (a *asleep) watch(pids map[uint32]bool) error {
	if a.why != nil {
		return nil //nolint:nilerr // said where it failed; there is nothing to watch with
	}
	for pid, fd := range a.threads {
		if !pids[pid] {
			delete(a.threads, pid)
			if err := unix.Close(fd); err != nil {
				return err
			}
			_ = a.objects.AsleepMet.Delete(pid) // it may never have slept
		}
	}
	for pid := range pids {
		if _, known := a.threads[pid]; known {
			continue
		}
		fd, err := a.open(int(pid))
		if errors.Is(err, unix.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			return fmt.Errorf("sample the sleeps of process %d: %w", pid, err)
		}
		a.threads[pid] = fd
	}
	return a.meet()
}

// meet lets the program sample the next sleep of each process that it has not met.
func (a *asleep) meet() error {
	var unmet uint64
	for pid := range a.threads {
		if err := a.objects.AsleepMet.Lookup(pid, new(uint8)); errors.Is(err, ebpf.ErrKeyNotExist) {
			unmet++
		}
	}
	if err := a.objects.AsleepUnmet.Put(uint32(0), unmet); err != nil {
		return fmt.Errorf("ask for a first sample of %d processes: %w", unmet, err)
	}
	return nil
}

// open opens the event of one thread's context switches.
func (a *asleep) open(tid int) (int, error) {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CONTEXT_SWITCHES, Sample: 1, Size: unix.PERF_ATTR_SIZE_VER7}
	fd, err := unix.PerfEventOpen(&attr, tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return -1, err
	}
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, a.objects.SampleAsleep.FD()); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("attach sample_asleep: %w", err)
	}
	return fd, nil
}

func (a *asleep) count(what bpf.AsleepAsleepCount) uint64 {
	return sumPerCPU(a.objects.AsleepCounts, uint32(what))
}

func (a *asleep) counts() (entered, failed uint64) {
	failed = a.count(bpf.AsleepAsleepCountASLEEP_NOT_ENTERED)
	return a.count(bpf.AsleepAsleepCountASLEEP_TICKS) - failed, failed
}

// skipped is how many sleeps were too many to be sampled.
func (a *asleep) skipped() uint64 { return a.count(bpf.AsleepAsleepCountASLEEP_SKIPPED) }

func (a *asleep) ran() float64 { return ran(a.objects.SampleAsleep) }

func (a *asleep) close() error {
	var errs []error
	for pid, fd := range a.threads {
		errs = append(errs, unix.Close(fd))
		delete(a.threads, pid)
	}
	if a.objects.SampleAsleep != nil {
		errs = append(errs, a.objects.Close())
	}
	if a.unwinder != nil {
		errs = append(errs, a.unwinder.Close())
	}
	return errors.Join(errs...)
}
