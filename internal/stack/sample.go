package stack

import "strings"

// Kind is what a sample measures.
type Kind uint8

// The kinds of sample, with the unit of their Value.
const (
	CPU    Kind = iota // nanoseconds on a CPU
	OffCPU             // nanoseconds off the CPU
	Alloc              // bytes of private memory that were touched for the first time
	Malloc             // bytes that allocators were asked for, while somebody asks for it
)

// Kinds are all of them.
var Kinds = []Kind{CPU, OffCPU, Alloc, Malloc}

// ParseKind is the way back from String.
func ParseKind(name string) (Kind, bool) {
	for _, k := range Kinds {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

// String is the kind's stable name in files and labels.
func (k Kind) String() string {
	switch k {
	case OffCPU:
		return "off_cpu"
	case Alloc:
		return "memory"
	case Malloc:
		return "allocations"
	default:
		return "cpu"
	}
}

// Sees says what a kind of sample is blind to, for those who read its figures; "" where its name says it all.
func (k Kind) Sees() string {
	switch k {
	case Alloc:
		return "private memory where it was first touched; not what the allocator had already, nor files and shared memory"
	case Malloc:
		return "what allocators were asked for in the time that was watched, freed since or not; not what code takes from the kernel itself"
	default:
		return ""
	}
}

// The kinds of frame that have a colour and rules of their own; other runtimes keep the
// unwinder's name (jvm, go, v8js, …).
const (
	Python = "python"
	Native = "native"
	Kernel = "kernel"
)

// unknown begins what is shown for frames of which not even the object is known.
const unknown = "[unknown "

// CutOff is the outermost frame of a stack that was not unwound to the thread's start.
const CutOff = "[not unwound further]"

// Frame is one function of a stack. It is comparable: equal frames are one node of a graph.
type Frame struct {
	Function string // demangled; "libfoo.so+0x1a2b" where no symbol covers the address
	File     string // source path of interpreted code, base name of the object of native code
	Start    int    // line in File where the function begins, with its decorators; 0 where unknown (native and kernel code, Go)
	Line     int    // line in File that ran; 0 where unknown, or where functions are not told apart by it, see Options.Lines
	Kind     string // Python, Native, Kernel or another runtime's name
}

// Named says that the function has a name, and not only an address in an object.
func (f Frame) Named() bool { return !unnamed(f) && !strings.HasPrefix(f.Function, unknown) }

// Sample is one stack of one thread at one instant.
type Sample struct {
	PID, TID  uint32
	Time      int64 // nanoseconds on CLOCK_MONOTONIC
	Value     int64 // in the unit of Kind; OffCPU: 0 where it was taken as the thread fell asleep
	Kind      Kind
	Sleep     SleepKind // OffCPU with a value: in what
	Slept     int64     // … and for how many nanoseconds; it ended at Time
	Frames    []Frame   // the running function first, the thread's start last
	Truncated bool      // unwinding stopped before the thread's start
}
