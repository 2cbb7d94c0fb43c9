package stack

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/ragscope/ragscope/internal/target"
)

// returner computes and sleeps in a function that the C library's qsort calls back.
const returner = `
import ctypes, sys, threading, time
libc = ctypes.CDLL(None)
kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
def leaf():
    s = 0
    for i in range(100_000):
        s += i
    time.sleep(0.004)
    return s
@kind
def compares(a, b):
    leaf()
    return 0
def outer():
    two = (ctypes.c_int * 2)()
    while True:
        libc.qsort(two, 2, 4, compares)
threading.Thread(target=outer, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
`

// TestReturnProbes follows stacks through functions whose return somebody waits for: the kernel has put an address of
// its own in the place of where they return to.
func TestReturnProbes(t *testing.T) {
	live(t)
	pid, _, _ := startProgram(t, returner)
	attachAtReturn(t, pid, "qsort")
	k := seesSwitches(t, pid)
	s := NewSampler(Options{Hz: 199, Shared: Shared{Maps: k.Maps(), Switches: k.Switches()}, KeepPlumbing: true})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.entry.known.why != nil {
		t.Skipf("SKIPPED, nothing was proved: %v", s.entry.known.why)
	}
	wanted := map[Kind]int{CPU: 100}
	if s.OffCPUWhy() == nil {
		wanted[OffCPU] = 100
	}
	s.SetPIDs([]int{pid})
	whole, cut := map[Kind]int{}, map[Kind]int{}
	for end, learned := time.After(30*time.Second), time.Now().Add(3*time.Second); whole[CPU] < wanted[CPU] || whole[OffCPU] < wanted[OffCPU]; {
		select {
		case x := <-s.Samples():
			switch {
			case time.Now().Before(learned): // the unwinder reads how the process's objects are unwound
			case calls(x.Frames, "leaf", "compares", "outer") && !x.Truncated:
				whole[x.Kind]++
			case calls(x.Frames, "leaf", "compares"):
				cut[x.Kind]++
			}
		case <-end:
			t.Fatalf("stacks leaf < compares < outer: %v of %v, and cut off before outer: %v; lost %v", whole, wanted, cut, s.Lost())
		}
	}
	for kind, n := range whole {
		if cut[kind] > n/50 {
			t.Errorf("%s: %d stacks are whole, %d end before outer", kind, n, cut[kind])
		}
	}
}

// attachAtReturn has the kernel wait for a function of the C library to return, for nobody.
func attachAtReturn(t *testing.T, pid int, function string) {
	t.Helper()
	py, err := target.InspectPython(pid)
	if err != nil {
		t.Fatal(err)
	}
	if len(py.Accept) == 0 {
		t.Fatal("there is no C library")
	}
	nothing, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.Kprobe, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nothing.Close() })
	libc, err := link.OpenExecutable(py.Accept[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := libc.Uretprobe(function, nothing, &link.UprobeOptions{PID: pid})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}
