package stack

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"go.opentelemetry.io/ebpf-profiler/reporter/samples"
	"go.opentelemetry.io/ebpf-profiler/tracer"
	"golang.org/x/sync/errgroup"

	"github.com/ragscope/ragscope/bpf"
	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/target"
)

// allocType marks the samples of the trigger below.
const allocType = "alloc_space"

// allocs is the trigger that samples where allocators are asked for memory (bpf/alloc.bpf.c). It is loaded
// and attached only while somebody asks for it.
type allocs struct {
	why      error                // why it cannot be asked for
	shared   map[string]*ebpf.Map // see Options.Maps
	origin   uint16
	unwinder *tracer.ProbeContext

	mu      sync.Mutex // of what follows, and held while it is loaded
	loaded  bool
	objects bpf.AllocObjects
	chain   chain
	taken   *takings
	told    *ringbuf.Reader               // of runs
	at      map[uint32][]target.Allocator // by process
	links   []link.Link
}

func (a *allocs) load(origins tracer.ProbeRegistrar, unwinder *tracer.ProbeContext) (err error) {
	a.unwinder = unwinder
	a.origin, err = origins.Register(&samples.TypeMetadata{SampleType: allocType, SampleUnit: "bytes"})
	return err
}

// prepare loads the programs; it takes a second or two.
func (a *allocs) prepare() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.loaded {
		return nil
	}
	attach := ebpf.AttachNone
	if kernel.HaveMulti() {
		attach = ebpf.AttachTraceUprobeMulti
	}
	spec, err := bpf.LoadAlloc()
	if err != nil {
		return fmt.Errorf("load sample_alloc: %w", err)
	}
	for _, p := range spec.Programs {
		p.AttachType = attach
	}
	if err := loadObjects(func() (*ebpf.CollectionSpec, error) { return spec, nil }, &a.objects, a.shared); err != nil {
		return fmt.Errorf("load sample_alloc: %w", err)
	}
	a.loaded = true
	if err := a.chain.loadProbes(a.unwinder, a.origin, attach); err != nil {
		return fmt.Errorf("load the unwinder for probes: %w", err)
	}
	if a.taken, err = newTakings(Malloc, a.objects.AllocTaken); err != nil {
		return err
	}
	if a.told, err = ringbuf.NewReader(a.objects.AllocRuns); err != nil {
		return fmt.Errorf("read the runs of allocations: %w", err)
	}
	return a.objects.AllocUnwinder.Put(uint32(0), a.chain.entry)
}

// aim looks for the allocators of processes. notes say what of them is not seen.
func (a *allocs) aim(pids []int) (notes []string, err error) {
	a.at = map[uint32][]target.Allocator{}
	var errs []error
	for _, pid := range pids {
		found, err := target.InspectAllocators(pid)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := a.objects.AllocWindows.Put(uint32(pid), bpf.AllocWindow{}); err != nil {
			return nil, fmt.Errorf("watch the allocators of process %d: %w", pid, err)
		}
		a.at[uint32(pid)] = found.List
		for _, n := range found.Notes {
			if !slices.Contains(notes, n) {
				notes = append(notes, n)
			}
		}
	}
	if len(a.at) == 0 {
		return nil, errors.Join(errs...)
	}
	for _, err := range errs {
		notes = append(notes, err.Error())
	}
	return notes, nil
}

// attach puts the probes in place, unless they are.
func (a *allocs) attach() error {
	if len(a.links) > 0 {
		return nil
	}
	for pid, list := range a.at {
		byPath := map[string][]target.Allocator{}
		for _, x := range list {
			byPath[x.Path] = append(byPath[x.Path], x)
		}
		for path, list := range byPath {
			if err := a.attachTo(pid, path, list); err != nil {
				return errors.Join(err, a.detach())
			}
		}
	}
	return nil
}

func (a *allocs) attachTo(pid uint32, path string, list []target.Allocator) error {
	exe, err := link.OpenExecutable(path)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	if kernel.HaveMulti() {
		opts := &link.UprobeMultiOptions{PID: pid}
		for _, x := range list {
			opts.Addresses = append(opts.Addresses, x.Offset)
			opts.Cookies = append(opts.Cookies, cookie(x))
		}
		l, err := exe.UprobeMulti(nil, a.objects.SampleAlloc, opts)
		if err != nil {
			return fmt.Errorf("probe the allocators in %s: %w", path, err)
		}
		a.links = append(a.links, l)
		return nil
	}
	for _, x := range list {
		l, err := exe.Uprobe(x.Name, a.objects.SampleAlloc, &link.UprobeOptions{Address: x.Offset, Cookie: cookie(x), PID: int(pid)})
		if err != nil {
			return fmt.Errorf("probe %s in %s: %w", x.Name, path, err)
		}
		a.links = append(a.links, l)
	}
	return nil
}

// cookie tells the program where it finds the size: struct where of bpf/alloc.bpf.c.
func cookie(x target.Allocator) uint64 {
	register := func(n int) uint64 {
		if n == target.None {
			return uint64(bpf.AllocWhereFlagWHERE_NO_REGISTER)
		}
		return uint64(n)
	}
	c := register(x.Size) | register(x.Times)<<8 | uint64(x.Plus)<<32
	if x.Small {
		c |= uint64(bpf.AllocWhereFlagWHERE_SMALL) << 16
	}
	switch {
	case x.NotNull != target.None:
		c |= uint64(bpf.AllocWhereFlagWHERE_NOT_NULL)<<16 | register(x.NotNull)<<24
	case x.Aligned != target.None:
		c |= uint64(bpf.AllocWhereFlagWHERE_ALIGNED)<<16 | register(x.Aligned)<<24
	}
	return c
}

// detach takes the probes away, side by side: with each link the kernel waits for all processors.
func (a *allocs) detach() error {
	var all errgroup.Group
	for _, l := range a.links {
		all.Go(l.Close)
	}
	a.links = nil
	return all.Wait()
}

// watch does nothing: the processes are those that aim found.
func (a *allocs) watch(map[uint32]bool) error { return nil }

func (a *allocs) count(what bpf.AllocAllocCount) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return sumPerCPU(a.objects.AllocCounts, uint32(what))
}

func (a *allocs) counts() (entered, failed uint64) {
	failed = a.count(bpf.AllocAllocCountALLOC_NOT_ENTERED)
	return a.count(bpf.AllocAllocCountALLOC_TICKS) - failed, failed
}

func (a *allocs) ran() float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return ran(a.objects.SampleAlloc)
}

// takings are the bytes of stacks on their way, nil while nothing is loaded.
func (a *allocs) takings() *takings {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.taken
}

func (a *allocs) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	errs := []error{a.detach()}
	if a.taken != nil {
		errs = append(errs, a.taken.close())
		a.taken = nil
	}
	if a.told != nil {
		errs = append(errs, a.told.Close())
		a.told = nil
	}
	errs = append(errs, a.chain.close())
	if a.loaded {
		errs = append(errs, a.objects.Close())
		a.loaded, a.objects = false, bpf.AllocObjects{}
	}
	return errors.Join(errs...)
}
