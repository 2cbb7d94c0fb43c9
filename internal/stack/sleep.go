package stack

import (
	"strings"
	"time"

	"github.com/ragscope/ragscope/bpf"
)

// SleepKind is what a thread sleeps in, as far as its system call tells.
type SleepKind uint32

// The kinds of sleep.
const (
	SleepCall   = SleepKind(bpf.OffcpuSleepKindSLEEP_CALL)
	SleepEpoll  = SleepKind(bpf.OffcpuSleepKindSLEEP_EPOLL) // the rest of an event loop; never sampled
	SleepGIL    = SleepKind(bpf.OffcpuSleepKindSLEEP_GIL)
	SleepLock   = SleepKind(bpf.OffcpuSleepKindSLEEP_LOCK)
	SleepTimer  = SleepKind(bpf.OffcpuSleepKindSLEEP_TIMER)
	SleepSocket = SleepKind(bpf.OffcpuSleepKindSLEEP_SOCKET)
	SleepPoll   = SleepKind(bpf.OffcpuSleepKindSLEEP_POLL)
	SleepDisk   = SleepKind(bpf.OffcpuSleepKindSLEEP_DISK)
	SleepKernel = SleepKind(bpf.OffcpuSleepKindSLEEP_KERNEL)
)

// sleepKinds are all of them, with the innermost frame of their stacks.
var sleepKinds = map[SleepKind]string{
	SleepCall:   "[sleeps in a system call]",
	SleepEpoll:  "[waits for events]",
	SleepGIL:    "[waits for the GIL]",
	SleepLock:   "[waits for a lock]",
	SleepTimer:  "[sleeps for a time]",
	SleepSocket: "[waits for a socket]",
	SleepPoll:   "[waits in poll or select]",
	SleepDisk:   "[waits for a file]",
	SleepKernel: "[sleeps in the kernel]",
}

// String is the words that stand in a stack for it.
func (k SleepKind) String() string { return sleepKinds[k] }

// Sleeps are sleeps that ended.
type Sleeps struct {
	Count   int64
	Seconds float64
}

// above puts the kind on top of a stack, in place of what the kernel does in every sleep.
func (k SleepKind) above(frames []Frame) []Frame {
	n := 0
	for n < len(frames) && frames[n].Kind == Kernel && schedules(frames[n].Function) {
		n++
	}
	return append([]Frame{{Function: k.String(), Kind: Kernel}}, frames[n:]...)
}

// schedules recognises the functions through which every sleep goes.
func schedules(function string) bool {
	return strings.HasPrefix(function, "__bpf_") || strings.HasPrefix(function, "bpf_") || strings.HasPrefix(function, "__traceiter_") ||
		function == "__schedule" || function == "schedule"
}

// Sleeps are all sleeps of the watched processes by kind, sampled or not, and the period of the clock by
// which they are sampled.
func (s *Sampler) Sleeps() (byKind map[SleepKind]Sleeps, period time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entry == nil || s.entry.offcpu.why != nil {
		return nil, 0
	}
	return s.entry.offcpu.sums(), s.entry.offcpu.period
}

// OffCPUWhy is why there is no off-CPU profile, nil while there is, or before Start.
func (s *Sampler) OffCPUWhy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entry == nil {
		return nil
	}
	return s.entry.offcpu.why
}

// SleepsWhy is why no samples of kind OffCPU are taken at all, nil while they are, or before Start.
func (s *Sampler) SleepsWhy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entry == nil {
		return nil
	}
	return s.entry.sleepsWhy()
}
