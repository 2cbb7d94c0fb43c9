package target

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// ErrNotPython says that a process runs no CPython.
var ErrNotPython = errors.New("not a CPython process")

// ErrUnsupportedPython says that a CPython's layout is not known, or not as expected.
var ErrUnsupportedPython = errors.New("unsupported CPython")

// Python is what BPF needs to know about one CPython process. All of it is read from files.
type Python struct {
	Version string // "3.11.7"
	Minor   int    // 11

	// Runtime and RuntimeEnd bound _PyRuntime in the process; the futexes of the GIL lie inside.
	Runtime, RuntimeEnd uint64
	Offsets             Offsets

	Enter []Probe // every way into a Context
	Copy  *Probe  // PyContext_CopyCurrent, its entry, for a return probe
	New   *Probe  // the function that makes a fresh Context, its entry, for a return probe
	GRPC  *GRPC   // nil when cygrpc is not loaded

	// CopyContext is contextvars.copy_context, which Python code calls where work goes to a thread. Its return
	// value is the Context made.
	CopyContext *Probe
	// Task is the initialiser of asyncio's tasks, its first argument the task, which keeps its
	// Context TaskContext bytes from its start once it is made; nil where that is not known.
	Task        *Probe
	TaskContext uint32

	// WorkPut is queue.SimpleQueue.put, through which an executor's work goes to its threads; WorkGet are the
	// entries of get and get_nowait, where they ask for it. Empty where module _queue is not loaded.
	WorkPut *Probe
	WorkGet []Probe

	// Handle is the entry of uvloop's call_soon_threadsafe, for a return probe, and ContextType the address of
	// PyContext_Type in the process: what it returns refers to a new Context. nil: the loop is another.
	Handle      *Probe
	ContextType uint64

	Epoll  []Probe // libc's epoll_wait, epoll_pwait, epoll_pwait2
	Accept []Probe // libc's accept, accept4, entries, for return probes

	// UVWrite holds UVStream.write and writelines of a uvloop that queues its writes to the end of
	// the iteration, empty otherwise. The file descriptor is the 32-bit word at
	// *(self + UVHandleOffset) + UVFdOffset; both are 0 where that is not known.
	UVWrite                    []Probe
	UVHandleOffset, UVFdOffset uint32

	Loop     string            // "uvloop 0.22.1", "asyncio", "" unknown
	Packages map[string]string // installed distributions: normalised name → version

	// Notes lists what was looked for and not found, as sentences for the user.
	Notes []string
}

// Offsets leads from _PyRuntime to what a thread runs, in bytes:
// *(_PyRuntime + InterpHead) is the newest interpreter, *(interpreter + Threads) its newest thread
// state, *(state + Next) the next one; state + ThreadID holds the pthread_t (the thread pointer)
// and state + Context its current Context, 0 before the first.
type Offsets struct {
	InterpHead, Threads, Next, ThreadID, Context uint32
}

// Probe is an instruction of a file to trap.
type Probe struct {
	Name     string
	Path     string // openable from outside the process's mount namespace
	Offset   uint64 // file offset of the instruction
	Arg      int    // which C argument (1 or 2) holds the Context, 0 where none does
	Emulated bool   // the kernel emulates the instruction: no single step
	Delta    uint64 // bytes from the start of the function
}

// GRPC holds the methods of grpcio's cygrpc module through which calls start.
type GRPC struct {
	Call       *Probe // AioChannel.call
	Unary      *Probe // _AioCall.unary_unary
	Segregated *Probe // Channel.segregated_call
	Integrated *Probe // Channel.integrated_call
	VarArgs    bool   // arguments come as a tuple (METH_VARARGS) rather than as a C array
}

// InspectPython looks at the files of a process. It fails with ErrNotPython where no CPython is
// mapped, and with ErrUnsupportedPython where the version's layout is not known or is not the
// expected one. Parts that a process does not have, or that could not be found, stay empty.
func InspectPython(pid int) (*Python, error) {
	maps, err := readMaps(pid)
	if err != nil {
		return nil, err
	}
	lib, err := openInterpreter(pid, maps)
	if err != nil {
		return nil, err
	}
	defer lib.close()
	p := &Python{}
	if p.Version, p.Minor, err = version(lib.image, lib.name); err != nil {
		return nil, err
	}
	runtime := lib.symbols["_PyRuntime"]
	if runtime.address == 0 || runtime.size == 0 {
		return nil, fmt.Errorf("%w: %s of %s exports no _PyRuntime", ErrUnsupportedPython, p.Version, lib.name)
	}
	p.Runtime = lib.bias + runtime.address
	p.RuntimeEnd = p.Runtime + runtime.size
	if p.Offsets, err = findOffsets(lib.image, lib.code, p.Minor); err != nil {
		return nil, err
	}
	p.findContextProbes(lib)
	p.findCopyContext(pid, maps, lib)
	p.findSystemCalls(pid, maps)
	p.findGRPC(pid, maps)
	p.findTask(pid, maps)
	p.findWork(pid, maps, lib)
	p.Packages = installedPackages(pid, p.Minor, maps)
	p.findLoop(pid, maps, lib)
	return p, nil
}

// openInterpreter finds the file with the interpreter in it: a libpython, or the executable
// itself when it was linked statically.
func openInterpreter(pid int, maps []mapping) (*library, error) {
	// PyThreadState_Next is exported by every CPython 3, and not by the stub libpython3.so.
	isCPython := func(m *image) bool { return m.symbols["PyThreadState_Next"].address != 0 }
	shared := func(base string) bool { return strings.HasPrefix(base, "libpython") }
	lib, err := openLibrary(pid, maps, shared, isCPython)
	if lib != nil {
		return lib, nil
	}
	exe := executable(pid)
	static := func(base string) bool { return exe != "" && base == filepath.Base(exe) }
	lib, err2 := openLibrary(pid, maps, static, isCPython)
	if lib != nil {
		return lib, nil
	}
	if err = errors.Join(err, err2); err != nil && !errors.Is(err, errNotELF) {
		return nil, fmt.Errorf("open the executable of process %d: %w", pid, err)
	}
	return nil, fmt.Errorf("process %d (%s): %w", pid, exe, ErrNotPython)
}

func (p *Python) note(format string, a ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, a...))
}

// add keeps a probe that was found.
func add(list []Probe, p *Probe) []Probe {
	if p == nil {
		return list
	}
	return append(list, *p)
}
