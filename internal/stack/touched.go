package stack

import (
	"github.com/ragscope/ragscope/bpf"
)

// bytes are what the stack of a thread taken at an instant stands for.
func (s *Sampler) bytes(t *takings, tid uint32, at int64) int64 {
	if t == nil {
		return 0
	}
	if err := t.read(); err != nil {
		s.opts.Logger.Debug("the bytes of a stack", "error", err)
	}
	return t.of(tid, at, s.withoutStack(t.kind))
}

// giveUp lets the bytes go whose stacks should have come before an instant.
func (s *Sampler) giveUp(before int64) {
	for _, t := range []*takings{s.faults.taken, s.allocs.takings()} {
		if t == nil {
			continue
		}
		if err := t.read(); err != nil {
			s.opts.Logger.Debug("the bytes of stacks", "error", err)
		}
		t.old(before, s.withoutStack(t.kind))
	}
}

// withoutStack sends bytes whose stack never came, so that they are still their endpoint's.
func (s *Sampler) withoutStack(kind Kind) func(bpf.FaultTaken) {
	return func(x bpf.FaultTaken) {
		s.send(Sample{
			PID: x.Pid, TID: x.Tid, Time: int64(x.Time), Value: int64(x.Bytes), Kind: kind,
			Frames: []Frame{{Function: NotUnwound}}, Truncated: true,
		})
	}
}

// Touched are the bytes of memory that the watched processes touched for the first time, and those of them that
// belong to files or are shared, which no sample stands for. Both are 0 where that is not counted.
func (s *Sampler) Touched() (all, shared uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entry == nil {
		return 0, 0
	}
	f := &s.entry.faults
	return f.count(bpf.FaultFaultCountFAULT_BYTES), f.count(bpf.FaultFaultCountFAULT_FILE_BYTES)
}

// TouchedWhy is why samples of kind Alloc are not taken, nil while they are, or before Start.
func (s *Sampler) TouchedWhy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entry == nil {
		return nil
	}
	return s.entry.faults.why
}
