package stack

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
)

// arsonist is testdata/burner.c, compiled.
type arsonist struct{ path, dir string }

func compile(t *testing.T, name string, args ...string) arsonist {
	t.Helper()
	clang, err := exec.LookPath("clang")
	if err != nil {
		t.Skip("SKIPPED, nothing was proved: no clang in PATH")
	}
	dir := t.TempDir()
	b := arsonist{filepath.Join(dir, name), dir}
	argv := append([]string{"-O1", "-g0", "-fno-optimize-sibling-calls", "-pthread", "-o", b.path, "testdata/burner.c"}, args...)
	if out, err := exec.Command(clang, argv...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return b
}

// run starts it, or a command that becomes it, and returns its process id.
func (a arsonist) run(t *testing.T, argv ...string) int {
	t.Helper()
	if len(argv) == 0 {
		argv = []string{a.path}
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stderr = a.dir, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its children too
		_ = cmd.Wait()
	})
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Fatalf("%s does not start: %v", argv[0], err)
	}
	return cmd.Process.Pid
}

// hostiles are processes whose files are not where /proc says, or say nothing, by what is wrong with them.
func hostiles(t *testing.T) map[string]int {
	t.Helper()
	deleted, replaced, stripped, hidden, forking := compile(t, "deleted"), compile(t, "replaced"), compile(t, "stripped", "-s"), compile(t, "hidden"), compile(t, "forking")
	other := compile(t, "other", "-DLEAF=burn_other")
	pids := map[string]int{"deleted": deleted.run(t), "replaced": replaced.run(t), "stripped": stripped.run(t), "forking": forking.run(t, forking.path, "fork")}
	// A file system of its own hides what is there for all others, and holds the program.
	pids["hidden"] = hidden.run(t, "unshare", "-m", "--propagation", "private", "sh", "-c",
		`mkdir in && cp hidden in/ && mkdir out && mount -t tmpfs none out && cp hidden out/ && exec out/hidden`)
	if err := os.Remove(deleted.path); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other.path, replaced.path); err != nil {
		t.Fatal(err)
	}
	return pids
}

// Stacks of programs that were deleted, replaced, stripped, that lie in a mount namespace of their own, or fork
// and die all the time: names are right, or file+0xaddress.
func TestHostileTargets(t *testing.T) {
	if testing.Short() || os.Geteuid() != 0 {
		t.Skip("SKIPPED, nothing was proved: needs root for BPF, and not -short")
	}
	if err := features.HaveProgramType(ebpf.PerfEvent); err != nil {
		t.Skipf("SKIPPED, nothing was proved: this kernel or these rights do not allow BPF on perf events: %v", err)
	}
	s := NewSampler(Options{Hz: 199})
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	pids := hostiles(t) // now: loading the sampler would take long beside them
	all := make([]int, 0, len(pids))
	for _, pid := range pids {
		all = append(all, pid)
	}
	s.SetPIDs(all)
	seen := map[uint32][]Sample{}
	for end := time.Now().Add(20 * time.Second); !enough(seen, all) && time.Now().Before(end); {
		gather(s, time.Second, seen)
	}
	if err := syscall.Kill(pids["deleted"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	gather(s, 500*time.Millisecond, seen)
	for name, pid := range pids {
		check(t, name, seen[uint32(pid)])
	}
	lost := s.Lost()
	t.Logf("lost %v, without symbols: %v", lost, s.Nameless())
	if lost[LostUnreadable] != 0 {
		t.Errorf("%d files could not be opened", lost[LostUnreadable])
	}
	if !strings.Contains(strings.Join(s.Nameless(), " "), "stripped") {
		t.Errorf("it does not say that the stripped program has no symbols: %v", s.Nameless())
	}
	for pid := range seen {
		if !slices.Contains(all, int(pid)) {
			t.Errorf("process %d was sampled, which is not watched", pid)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// enough says whether each process has stacks to judge it by.
func enough(seen map[uint32][]Sample, pids []int) bool {
	for _, pid := range pids {
		whole := 0
		for _, s := range seen[uint32(pid)] {
			if !s.Truncated {
				whole++
			}
		}
		if whole < 30 {
			return false
		}
	}
	return true
}

// gather adds the CPU samples that come meanwhile, by process.
func gather(s *Sampler, d time.Duration, into map[uint32][]Sample) {
	for end := time.After(d); ; {
		select {
		case sample := <-s.Samples():
			if sample.Kind == CPU {
				into[sample.PID] = append(into[sample.PID], sample)
			}
		case <-end:
			return
		}
	}
}

// check looks at the samples of a hostile process, of which those are left out that were cut off: the unwinder must first learn
// what a process has mapped.
func check(t *testing.T, name string, samples []Sample) {
	t.Helper()
	right, wrong, numbers, cut, functions := 0, 0, 0, 0, map[string]int{}
	for _, s := range samples {
		if s.Truncated {
			cut++
			continue
		}
		for _, f := range s.Frames {
			functions[f.Function]++
			switch {
			case f.Function == "burn_leaf" || f.Function == "burn_middle":
				right++
			case strings.HasPrefix(f.Function, "burn_"):
				wrong++
			case strings.HasPrefix(f.Function, name+"+0x"):
				numbers++
			}
		}
	}
	t.Logf("%s: %d samples, %d cut off, %d frames named, %d by address", name, len(samples), cut, right, numbers)
	switch {
	case len(samples)-cut < 30:
		t.Errorf("%s: %d samples, %d of them cut off", name, len(samples), cut)
	case wrong > 0:
		t.Errorf("%s: %d frames have a name from another file: %v", name, wrong, functions)
	case name == "stripped" && (right > 0 || numbers < len(samples)-cut):
		t.Errorf("%s: %d frames named, %d by address: %v", name, right, numbers, functions)
	case name != "stripped" && (right < len(samples)-cut || numbers > 0):
		t.Errorf("%s: %d frames named, %d by address: %v", name, right, numbers, functions)
	}
}
