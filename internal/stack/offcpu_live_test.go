package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/target"
)

// sleeper sleeps in functions of known names. When told to it says of each how long it took, what of it was CPU, and
// what of it the thread was runnable without a CPU, as the kernel counts them for that thread.
const sleeper = `
import ctypes, json, os, socket, sys, tempfile, threading, time
libc = ctypes.PyDLL(None) # it keeps the GIL: a look at the clock must not be what the thread waits for it for
known, lock, local, stop = {}, threading.Lock(), threading.local(), False
def counted():
    if not hasattr(local, "file"):
        local.file, local.text = os.open("/proc/thread-self/schedstat", os.O_RDONLY), ctypes.create_string_buffer(128)
    n = libc.pread(local.file, local.text, 127, 0)
    return time.monotonic(), time.thread_time(), int(local.text.raw[:n].split()[1]) / 1e9
def naps(): time.sleep(0.03)
def short_naps(): time.sleep(0.0008)
def locks():
    with lock: time.sleep(0.004)
def reads(): b.recv(1)
def syncs():
    os.pwrite(file.fileno(), b"x" * 4096, 0)
    os.fsync(file.fileno())
    time.sleep(0.001)
def computes():
    for _ in range(200_000): pass
def forever(*functions):
    took = {f.__name__: [0, 0, 0] for f in functions}
    while not stop:
        for f in functions:
            before = counted()
            f()
            for i, (x, y) in enumerate(zip(before, counted())): took[f.__name__][i] += y - x
    for name, t in took.items():
        with lock: known[name] = [x + y for x, y in zip(t, known.get(name, [0, 0, 0]))]
def sends():
    while not stop:
        a.send(b"x")
        time.sleep(0.015)
    a.close()
a, b = socket.socketpair()
file = tempfile.TemporaryFile(dir="/var/tmp")
run = [[naps], [short_naps], [locks], [locks], [reads], [syncs], [computes], [computes]]
threads = [threading.Thread(target=sends)] + [threading.Thread(target=forever, args=f) for f in run]
print("ready", flush=True)
for _ in range(3): sys.stdin.readline()
for t in threads: t.start()
sys.stdin.readline()
stop = True
for t in threads: t.join()
print(json.dumps(known), flush=True)
sys.stdin.read()
`

// TestLiveOffCPU holds the off-CPU profile of a real Python process to what the kernel counts for its threads: what
// is neither CPU nor run queue they slept, and between a sleep's end and the CPU they were in the run queue.
func TestLiveOffCPU(t *testing.T) {
	live(t)
	pid, in, out := startProgram(t, sleeper)
	k := seesSwitches(t, pid)
	s := NewSampler(Options{Shared: Shared{Maps: k.Maps(), Switches: k.Switches()}})
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.OffCPUWhy(); err != nil {
		t.Skipf("SKIPPED, nothing was proved: %v", err)
	}
	s.SetPIDs([]int{pid})
	seen := newSleepCount()
	fmt.Fprintln(in)
	seen.read(s, 100*time.Millisecond)
	fmt.Fprintln(in) // this sleep is seen from its begin: the unwinder meets the process, and reads how it is unwound
	seen.read(s, time.Second)
	fmt.Fprintln(in)
	seen.read(s, 3*time.Second)
	fmt.Fprintln(in)
	var known map[string][3]float64
	if err := json.NewDecoder(out).Decode(&known); err != nil {
		t.Fatal(err)
	}
	seen.read(s, time.Second)
	lost := s.Lost()
	t.Logf("received %d, lost %v, cost %.4f s", s.Received(), lost, s.RunSeconds())
	if n := lost[LostNotEntered] + lost[LostQueueFull]; n > 0 || lost[LostTruncated] > s.Received()/100 {
		t.Errorf("of %d stacks are lost: %v", s.Received(), lost)
	}
	seen.hold(t, known)
}

// seesSwitches loads the kernel side, which tells the sampler of sleeps, for one process.
func seesSwitches(t testing.TB, pid int) *kernel.Kernel {
	k, err := kernel.Load(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	py, err := target.InspectPython(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Watch(pid, py); err != nil {
		t.Fatal(err)
	}
	go k.Read(t.Context(), func(*event.Event) {}, func(bool) {}) // what nobody reads would be lost, and cost less
	return k
}

// sleepCount sums the sleeps that were seen by the function that slept.
type sleepCount struct {
	of map[string]map[SleepKind]int64
}

func newSleepCount() *sleepCount { return &sleepCount{of: map[string]map[SleepKind]int64{}} }

func (c *sleepCount) read(s *Sampler, during time.Duration) {
	end := time.After(during)
	for {
		select {
		case <-end:
			return
		case x := <-s.Samples():
			if x.Kind != OffCPU {
				continue
			}
			for _, f := range pythonOf(x.Frames) {
				if c.of[f.Function] == nil {
					c.of[f.Function] = map[SleepKind]int64{}
				}
				c.of[f.Function][x.Sleep] += x.Value
			}
		}
	}
}

func (c *sleepCount) seconds(function string) (sum float64) {
	for _, ns := range c.of[function] {
		sum += float64(ns) / 1e9
	}
	return sum
}

func (c *sleepCount) hold(t *testing.T, known map[string][3]float64) {
	main := map[string]SleepKind{"naps": SleepTimer, "reads": SleepSocket, "computes": SleepGIL}
	for f, k := range known {
		wall, cpu, ready := k[0], k[1], k[2]
		least, most, got := wall-cpu-ready, wall-cpu, c.seconds(f)
		t.Logf("%-10s %.3f s, true are %.3f to %.3f s; by kind %v", f, got, least, most, c.of[f])
		slack := .05*most + 4*minPeriod.Seconds() // two periods of each of two threads
		if f != "naps" && f != "reads" {          // sleeps shorter than the period are each seen or not: four deviations of that
			slack = max(slack, 4*math.Sqrt(minPeriod.Seconds()*most))
		}
		if got < least-slack || got > most+slack {
			t.Errorf("%s: %.3f s of sleep were seen, true are %.3f to %.3f s", f, got, least, most)
		}
		if kind, is := main[f]; is && float64(c.of[f][kind])/1e9 < .5*got {
			t.Errorf("%s: %v, most is expected to be %v", f, c.of[f], kind)
		}
	}
}
