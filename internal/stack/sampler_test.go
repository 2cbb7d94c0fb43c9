package stack

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/ebpf-profiler/libpf"
	"go.opentelemetry.io/ebpf-profiler/metrics"
	"go.opentelemetry.io/ebpf-profiler/reporter/samples"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

func traceOf(frames ...libpf.Frame) *libpf.Trace {
	var t libpf.Trace
	for _, f := range frames {
		t.Frames.Append(&f)
	}
	return &t
}

// One function is one frame, whichever of its lines runs, unless lines are asked for.
func TestLines(t *testing.T) {
	at := func(kind libpf.FrameType, line, offset int) libpf.Frame {
		return libpf.Frame{Type: kind, FunctionName: libpf.Intern("search"), SourceFile: libpf.Intern("api"), SourceLine: libpf.SourceLineno(line), FunctionOffset: uint32(offset)}
	}
	for _, test := range []struct {
		frame          libpf.Frame
		function, line Frame
	}{
		{at(libpf.PythonFrame, 12, 2), Frame{"search", "api", 10, 0, Python}, Frame{"search", "api", 10, 12, Python}},
		{at(libpf.PythonFrame, 15, 5), Frame{"search", "api", 10, 0, Python}, Frame{"search", "api", 10, 15, Python}},
		{at(libpf.HotSpotFrame, 9, 0), Frame{"search", "api", 9, 0, "jvm"}, Frame{"search", "api", 9, 9, "jvm"}},
		{at(libpf.GoFrame, 12, 0), Frame{"search", "api", 0, 0, "go"}, Frame{"search", "api", 0, 12, "go"}},
		{at(libpf.DotnetFrame, 12, 400), Frame{"search", "api", 0, 0, "dotnet"}, Frame{"search", "api", 0, 12, "dotnet"}}, // its offset is none of lines
	} {
		for lines, want := range map[bool]Frame{false: test.function, true: test.line} {
			frames, _ := newTranslator(newSymbols(openFile, identify), lines).frames(1, traceOf(test.frame))
			if len(frames) != 1 || frames[0] != want {
				t.Errorf("lines %v: %+v, want %+v", lines, frames, want)
			}
		}
	}
}

func TestTracesBecomeSamples(t *testing.T) {
	s := NewSampler(Options{Hz: 100})
	s.current.Store(&libpf.EbpfTrace{KTime: 123456789})
	trace := traceOf(
		libpf.Frame{Type: libpf.KernelFrame, FunctionName: libpf.Intern("finish_task_switch.isra.0")},
		libpf.Frame{Type: libpf.PythonFrame, FunctionName: libpf.Intern("search"), SourceFile: libpf.Intern("/app/api.py"), SourceLine: 12, FunctionOffset: 2},
		libpf.Frame{Type: libpf.NativeFrame},
		libpf.Frame{Type: libpf.PythonFrame, FunctionName: libpf.Intern("main"), SourceFile: libpf.Intern("/app/api.py"), SourceLine: 3},
		libpf.Frame{Type: libpf.NativeFrame.Error()},
	)
	if err := s.ReportTraceEvent(trace, &samples.TraceEventMeta{PID: 7, TID: 9}); err != nil {
		t.Fatal(err)
	}
	got := <-s.Samples()
	want := "{PID:7 TID:9 Time:123456789 Value:10000000 Kind:cpu Sleep: Slept:0 Frames:[" +
		"{Function:finish_task_switch File: Start:0 Line:0 Kind:kernel} {Function:search File:/app/api.py Start:10 Line:0 Kind:python} " +
		"{Function:[unknown native] File: Start:0 Line:0 Kind:native} {Function:main File:/app/api.py Start:3 Line:0 Kind:python} {Function:[not unwound further] File: Start:0 Line:0 Kind:}] Truncated:true}"
	if fmt.Sprintf("%+v", got) != want {
		t.Errorf("sample\n%+v, want\n%s", got, want)
	}
	if err := s.ReportTraceEvent(traceOf(), &samples.TraceEventMeta{ProfileType: &samples.TypeMetadata{SampleType: sleepType}}); err != nil {
		t.Fatal(err)
	}
	if got := <-s.Samples(); got.Kind != OffCPU || got.Value != 0 {
		t.Errorf("sample %+v of a sleep", got)
	}
	meta := samples.TraceEventMeta{Value: int64(SleepLock)<<kindShift | 5e6, SpanID: libpf.APMSpanID{1}, ProfileType: &samples.TypeMetadata{SampleType: sleptType}}
	if err := s.ReportTraceEvent(traceOf(), &meta); err != nil {
		t.Fatal(err)
	}
	if got := <-s.Samples(); got.Kind != OffCPU || got.Sleep != SleepLock || got.Value != 5e6 || got.Slept != 1 || len(got.Frames) != 1 {
		t.Errorf("sample %+v of a sleep in a lock", got)
	}
	meta.Value = int64(SleepEpoll) << kindShift // to meet the process
	if err := s.ReportTraceEvent(traceOf(), &meta); err != nil || len(s.Samples()) > 0 {
		t.Errorf("%v, a sample that stands for nothing", err)
	}
	if lost := s.Lost(); lost[LostTruncated] != 1 {
		t.Errorf("lost %v, want one truncated", lost)
	}
}

func TestAFullQueueCounts(t *testing.T) {
	s := NewSampler(Options{})
	s.current.Store(&libpf.EbpfTrace{})
	for range queueLength + 3 {
		if err := s.ReportTraceEvent(traceOf(), &samples.TraceEventMeta{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Lost()[LostQueueFull]; got != 3 || len(s.Samples()) != queueLength {
		t.Errorf("%d lost, %d queued", got, len(s.Samples()))
	}
}

func TestTicksWithoutAStackAreLost(t *testing.T) {
	tests := []struct {
		name   string
		drains [][2]uint64 // ticks, received
		want   uint64
	}{
		{"all arrive", [][2]uint64{{10, 10}, {20, 20}}, 0},
		{"the last are on their way", [][2]uint64{{10, 8}, {20, 19}}, 0},
		{"two never arrive", [][2]uint64{{10, 8}, {10, 8}, {20, 18}, {20, 18}}, 2},
		{"more later", [][2]uint64{{10, 8}, {10, 8}, {30, 20}, {30, 20}}, 10},
		{"never counted back", [][2]uint64{{10, 8}, {10, 8}, {30, 30}, {40, 40}}, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := NewSampler(Options{})
			for _, d := range test.drains {
				s.received.Store(d[1])
				s.drained(d[0])
			}
			if got := s.Lost()[LostNotUnwound]; got != test.want {
				t.Errorf("%d lost, want %d", got, test.want)
			}
		})
	}
}

func TestCloseWithoutStart(t *testing.T) {
	s := NewSampler(Options{})
	s.SetPIDs([]int{1, 2})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, open := <-s.Samples(); open {
		t.Error("Samples is still open")
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	if err := s.Start(context.Background()); err == nil {
		t.Error("a closed sampler starts")
	}
}

// The unwinder counts under names that could change with its version.
func TestTheUnwinderStillHasItsLossCounters(t *testing.T) {
	names := map[string]bool{}
	for _, d := range metrics.GetDefinitions() {
		names[d.Field] = !d.Obsolete
	}
	for name := range unwinderLosses {
		if !names[name] {
			t.Errorf("the unwinder no longer counts %s", name)
		}
	}
	counter, err := lossMeter{}.Int64Counter("bpf.errors.ringbuf_output")
	if err != nil {
		t.Fatal(err)
	}
	before := unwinderCounts[LostRingFull].Load()
	counter.Add(context.Background(), 4)
	if got := unwinderCounts[LostRingFull].Load() - before; got != 4 {
		t.Errorf("counted %d, want 4", got)
	}
	other, err := lossMeter{}.Int64Counter("bpf.python.frames")
	if err != nil {
		t.Fatal(err)
	}
	other.Add(context.Background(), 4) // not ours: goes nowhere
}

func TestParseCPUs(t *testing.T) {
	for list, want := range map[string]string{"0": "[0]", "0-3": "[0 1 2 3]", "0-1,8,10-11": "[0 1 8 10 11]"} {
		got, err := parseCPUs(list)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("parseCPUs(%q) = %v, %v; want %s", list, got, err, want)
		}
	}
	for _, list := range []string{"", "a", "3-1", "0-", "-1", "0-999999999"} {
		if got, err := parseCPUs(list); err == nil {
			t.Errorf("parseCPUs(%q) = %v, want an error", list, got)
		}
	}
}

// The filter is run by the classic BPF machine of x/net, which loads words big-endian.
func TestMemlockFilterAnswersOneCallOnly(t *testing.T) {
	var raw []bpf.RawInstruction
	for _, i := range memlockFilter(unix.AUDIT_ARCH_X86_64) {
		raw = append(raw, bpf.RawInstruction{Op: i.Code, Jt: i.Jt, Jf: i.Jf, K: i.K})
	}
	instructions, decoded := bpf.Disassemble(raw)
	if !decoded {
		t.Fatal("the filter has unknown instructions")
	}
	vm, err := bpf.NewVM(instructions)
	if err != nil {
		t.Fatal(err)
	}
	const read = 0
	tests := []struct {
		name               string
		arch, nr, resource uint32
		low, high          uint32 // of the pointer to the new limit
		ignored            bool
	}{
		{"raises memlock", unix.AUDIT_ARCH_X86_64, unix.SYS_PRLIMIT64, unix.RLIMIT_MEMLOCK, 0x1000, 0x7ffd, true},
		{"… at an address that ends in zeros", unix.AUDIT_ARCH_X86_64, unix.SYS_PRLIMIT64, unix.RLIMIT_MEMLOCK, 0, 0x7ffd, true},
		{"… at a low address", unix.AUDIT_ARCH_X86_64, unix.SYS_PRLIMIT64, unix.RLIMIT_MEMLOCK, 0x1000, 0, true},
		{"asks for memlock", unix.AUDIT_ARCH_X86_64, unix.SYS_PRLIMIT64, unix.RLIMIT_MEMLOCK, 0, 0, false},
		{"raises another", unix.AUDIT_ARCH_X86_64, unix.SYS_PRLIMIT64, unix.RLIMIT_NOFILE, 0x1000, 0x7ffd, false},
		{"another call", unix.AUDIT_ARCH_X86_64, read, unix.RLIMIT_MEMLOCK, 0x1000, 0x7ffd, false},
		{"another architecture", unix.AUDIT_ARCH_I386, unix.SYS_PRLIMIT64, unix.RLIMIT_MEMLOCK, 0x1000, 0x7ffd, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data := make([]byte, 64) // struct seccomp_data
			put := func(offset int, v uint32) { binary.BigEndian.PutUint32(data[offset:], v) }
			put(0, test.nr)
			put(4, test.arch)
			put(24, test.resource)
			put(32, test.low)
			put(36, test.high)
			got, err := vm.Run(data)
			if err != nil {
				t.Fatal(err)
			}
			want := uint32(unix.SECCOMP_RET_ALLOW)
			if test.ignored {
				want = unix.SECCOMP_RET_ERRNO
			}
			if uint32(got) != want {
				t.Errorf("answer %#x, want %#x", uint32(got), want)
			}
		})
	}
}

func TestUnwinderLogIsQuiet(t *testing.T) {
	var out strings.Builder
	l := &unwinderLog{to: slog.New(slog.NewTextHandler(&out, nil))}
	log := slog.New(l)
	log.Info("found an interpreter")
	log.Error("R1 is not a pointer")
	if out.Len() != 0 {
		t.Errorf("logged %q above debug", out.String())
	}
	if l.lastError() != "R1 is not a pointer" {
		t.Errorf("last error %q", l.lastError())
	}
}
