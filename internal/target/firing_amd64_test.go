package target

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
)

// Offsets in struct pt_regs of x86-64: the return value and the first two arguments.
const (
	regAX = 80
	regSI = 104
	regDI = 112
)

// recorder attaches probes that write a register into a set of values seen.
type recorder struct {
	seen *ebpf.Map
}

func newRecorder(t *testing.T) recorder {
	t.Helper()
	_ = rlimit.RemoveMemlock() // not needed, or not allowed, on newer kernels; NewMap tells
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 4096})
	if err != nil {
		t.Skipf("NO RIGHTS FOR BPF, whether probes fire is not verified: %v", err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return recorder{m}
}

func (r recorder) attach(t *testing.T, p Probe, pid int, register int16, atReturn bool) {
	t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Kprobe, License: "GPL",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, register, asm.DWord),
			asm.StoreMem(asm.RFP, -8, asm.R2, asm.DWord),
			asm.LoadMapPtr(asm.R1, r.seen.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -8),
			asm.Mov.Reg(asm.R3, asm.R2),
			asm.Mov.Imm(asm.R4, 0),
			asm.FnMapUpdateElem.Call(),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return(),
		},
	})
	if err != nil {
		t.Skipf("NO RIGHTS FOR BPF, whether probes fire is not verified: %v", err)
	}
	t.Cleanup(func() { _ = program.Close() })
	file, err := link.OpenExecutable(p.Path)
	if err != nil {
		t.Fatal(err)
	}
	options := &link.UprobeOptions{Address: p.Offset, PID: pid}
	attach := file.Uprobe
	if atReturn {
		attach = file.Uretprobe
	}
	l, err := attach("", program, options)
	if errors.Is(err, ebpf.ErrNotSupported) {
		t.Skipf("NO UPROBES ON THIS KERNEL, whether probes fire is not verified: %v", err)
	}
	if err != nil {
		t.Fatalf("attach %+v: %v", p, err)
	}
	t.Cleanup(func() { _ = l.Close() })
}

func (r recorder) saw(value uint64) bool {
	var v uint64
	return r.seen.Lookup(&value, &v) == nil
}

const firingTruth = `
import asyncio, contextvars, sys
async def child():
    pass
async def parent(keep):
    t = asyncio.create_task(child())
    await t
    keep.append(t)
print(0, flush=True)
sys.stdin.readline()
fresh = contextvars.Context()
copied = contextvars.copy_context()
entered = contextvars.Context()
entered.run(lambda: None)
ran = contextvars.Context()
asyncio.new_event_loop().call_soon(lambda: None, context=ran)._run()
keep = []
asyncio.run(parent(keep))
print(id(fresh), id(copied), id(entered), id(ran), flush=True)
sys.stdin.read()
`

// TestProbesFire attaches the probes to a running interpreter and compares the arguments they
// see with what the program says.
func TestProbesFire(t *testing.T) {
	for _, python := range interpreters(t) {
		t.Run(python, func(t *testing.T) {
			needContexts(t, python)
			truth := start(t, python, firingTruth)
			truth.numbers(t, new(int))
			p, err := InspectPython(truth.pid)
			if errors.Is(err, ErrUnsupportedPython) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			enter, copied, made := newRecorder(t), newRecorder(t), newRecorder(t)
			for _, probe := range p.Enter {
				enter.attach(t, probe, truth.pid, map[int]int16{1: regDI, 2: regSI}[probe.Arg], false)
			}
			copied.attach(t, *p.Copy, truth.pid, regAX, true)
			made.attach(t, *p.New, truth.pid, regAX, true)
			if _, err := truth.stdin.Write([]byte("\n")); err != nil {
				t.Fatal(err)
			}
			var aFresh, aCopy, anEntered, aRan uint64
			truth.numbers(t, &aFresh, &aCopy, &anEntered, &aRan)
			for _, c := range []struct {
				what    string
				by      recorder
				context uint64
				want    bool
			}{
				{"birth of contextvars.Context()", made, aFresh, true},
				{"birth of copy_context()", copied, aCopy, true},
				{"Context.run", enter, anEntered, true},
				{"asyncio.Handle", enter, aRan, true},
				{"a Context that was never entered", enter, aFresh, false},
			} {
				if got := c.by.saw(c.context); got != c.want {
					t.Errorf("%s: seen %v, want %v", c.what, got, c.want)
				}
			}
		})
	}
}
