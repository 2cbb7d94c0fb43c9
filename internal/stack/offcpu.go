package stack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"go.opentelemetry.io/ebpf-profiler/reporter/samples"
	"go.opentelemetry.io/ebpf-profiler/tracer"

	"github.com/ragscope/ragscope/bpf"
)

// sleptType marks the samples of the trigger below, which know how long the sleep was.
const sleptType = "off_cpu_clock"

// offcpu is the trigger that samples every thread of a watched process where it comes back from a
// sleep: one stack for each period of sleep (bpf/offcpu.bpf.c).
type offcpu struct {
	why    error // why it is not there, nil while it is
	untold error // why nobody tells of sleeps, nil where somebody does

	shared  map[string]*ebpf.Map // see Options.Maps
	objects bpf.OffcpuObjects
	at      back
	chain   chain
	links   []link.Link
	period  time.Duration
	off     bool    // no process is watched
	unwound float64 // seconds of unwinding when the period was last looked at
}

// offcpuSpec is what is loaded, fitted to the unwinder's records.
func offcpuSpec(unwinder *tracer.ProbeContext, at back) (*ebpf.CollectionSpec, error) {
	spec, err := bpf.LoadOffcpu()
	if err != nil {
		return nil, err
	}
	for _, p := range spec.Programs {
		at.prepare(p)
	}
	if err := newRecords(spec.Maps[bpf.OffcpuMapOffcpuRecords], unwinder); err != nil {
		return nil, err
	}
	for name, at := range map[string]uint32{bpf.OffcpuVarAtValue: atValue, bpf.OffcpuVarAtSlept: atSlept} {
		if err := spec.Variables[name].Set(at); err != nil {
			return nil, fmt.Errorf("set %s: %w", name, err)
		}
	}
	return spec, nil
}

func (o *offcpu) load(origins tracer.ProbeRegistrar, unwinder *tracer.ProbeContext) error {
	if o.untold != nil {
		return o.untold
	}
	origin, err := origins.Register(&samples.TypeMetadata{SampleType: sleptType, SampleUnit: "nanoseconds", ReportValues: true})
	if err != nil {
		return err
	}
	if o.at, err = whereBack(); err != nil {
		return err
	}
	if err := loadObjects(func() (*ebpf.CollectionSpec, error) { return offcpuSpec(unwinder, o.at) }, &o.objects, o.shared); err != nil {
		return fmt.Errorf("load the programs of sleeps: %w", err)
	}
	// Until a process is watched nothing comes of it, and a kernel that lacks it is asked no more.
	if err := o.attach(); err != nil {
		return err
	}
	if err := o.chain.loadForSleeps(unwinder, origin, o.objects.OffcpuRecords, o.objects.OffcpuStop, o.at); err != nil {
		return fmt.Errorf("load the unwinder for sleeps: %w", err)
	}
	for at, program := range []*ebpf.Program{o.chain.entry, o.chain.stop} {
		if err := o.objects.OffcpuUnwinder.Put(uint32(at), program); err != nil {
			return fmt.Errorf("link the unwinder behind sleeps: %w", err)
		}
	}
	return o.setPeriod(minPeriod)
}

// attach puts the program in its place.
func (o *offcpu) attach() error {
	l, err := o.at.attach(o.objects.OffcpuComes)
	if err != nil {
		return fmt.Errorf("attach where threads come back: %w", err)
	}
	o.links = append(o.links, l)
	return nil
}

// watch samples no sleeps while no process is watched; which ones are, the programs that tell of sleeps know.
func (o *offcpu) watch(pids map[uint32]bool) error {
	if o.why != nil || o.off == (len(pids) == 0) {
		return nil //nolint:nilerr // said where it failed; there is nothing to watch with
	}
	o.off = len(pids) == 0
	return o.setPeriod(o.period)
}

func (o *offcpu) setPeriod(p time.Duration) error {
	ns := uint64(p)
	if o.off {
		ns = 0
	}
	if err := o.objects.OffcpuPeriod.Put(uint32(0), ns); err != nil {
		return fmt.Errorf("set the period of sleeps: %w", err)
	}
	o.period = p
	return nil
}

func (o *offcpu) count(what bpf.OffcpuOffcpuCount) uint64 {
	return sumPerCPU(o.objects.OffcpuCounts, uint32(what))
}

func (o *offcpu) counts() (entered, failed uint64) {
	failed = o.count(bpf.OffcpuOffcpuCountOFFCPU_NOT_ENTERED)
	return o.count(bpf.OffcpuOffcpuCountOFFCPU_SAMPLES) - failed, failed
}

// ran is measured by the programs themselves.
func (o *offcpu) ran() float64 {
	hooks, unwinding := o.cost()
	return hooks + unwinding
}

// unwinding is the part of it that depends on the period.
func (o *offcpu) unwinding() float64 {
	_, unwinding := o.cost()
	return unwinding
}

func (o *offcpu) cost() (hooks, unwinding float64) {
	var perCPU []bpf.OffcpuOffcpuCost
	if o.objects.OffcpuCosts == nil || o.objects.OffcpuCosts.Lookup(uint32(0), &perCPU) != nil {
		return 0, 0
	}
	var timed, runs int64
	for _, c := range perCPU {
		unwinding += float64(c.UnwindingNs) / 1e9
		hooks += float64(c.Ns) / 1e9
		timed += int64(c.Timed)
	}
	if timed == 0 {
		return 0, unwinding
	}
	for _, s := range o.sums() {
		runs += s.Count
	}
	return hooks * float64(runs) / float64(timed), unwinding
}

// sums are all sleeps by kind, sampled or not.
func (o *offcpu) sums() map[SleepKind]Sleeps {
	sums := map[SleepKind]Sleeps{}
	for kind := range sleepKinds {
		var perCPU []bpf.OffcpuOffcpuSum
		if o.objects.OffcpuSums == nil || o.objects.OffcpuSums.Lookup(kind, &perCPU) != nil {
			continue
		}
		var s Sleeps
		for _, c := range perCPU {
			s.Count += int64(c.Sleeps)
			s.Seconds += float64(c.Ns) / 1e9
		}
		sums[kind] = s
	}
	return sums
}

func (o *offcpu) close() error {
	var errs []error
	for _, l := range o.links {
		errs = append(errs, l.Close())
	}
	o.links = nil
	errs = append(errs, o.chain.close())
	if o.objects.OffcpuComes != nil {
		errs = append(errs, o.objects.Close())
	}
	o.chain, o.objects = chain{}, bpf.OffcpuObjects{}
	return errors.Join(errs...)
}

const kindShift = 56

// slept takes apart what came with a stack: in what the thread slept, for how long, and how long a time the stack stands for.
func slept(value int64, transaction [8]byte, ktime int64) (kind SleepKind, length, stands int64) {
	kind = SleepKind(uint64(value) >> kindShift)
	stands = value & (1<<kindShift - 1)
	length = int64(binary.NativeEndian.Uint64(transaction[:]))
	if length <= 0 || length > ktime { // the unwinder has put something of its own there
		length = stands
	}
	return kind, length, stands
}
