package target

import (
	"bufio"
	"os/exec"
	"testing"
)

// TestInlinedAllocator reads Debian's interpreter, in which the allocator of objects is built into hundreds of functions.
func TestInlinedAllocator(t *testing.T) {
	const debian = "/usr/bin/python3"
	cmd := exec.Command(debian, "-c", "print('ready', flush=True); input()")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("SKIPPED, nothing was proved: no %s", debian)
	}
	defer func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	}()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "ready\n" { // before, its libraries may not be there yet
		t.Fatalf("the target says %q, %v", line, err)
	}
	a, err := InspectAllocators(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"malloc", "calloc", "realloc", "posix_memalign", "PyObject_Malloc", "PyObject_Calloc"} {
		if p := allocator(a, name); p == nil {
			t.Errorf("%s was not found", name)
		} else if p.Size == None {
			t.Errorf("%s: nothing holds the size", name)
		}
	}
	if allocator(a, "PyObject_Malloc, built in") == nil {
		t.Skipf("SKIPPED, copies of the allocator are not tested: this interpreter has none")
	}
	copies, constant := 0, 0
	for _, x := range a.List {
		if x.Name != "PyObject_Malloc, built in" {
			continue
		}
		copies++
		if x.Size == None {
			constant++
		}
		if x.Size == None && (x.Plus == 0 || x.Plus > 4096) {
			t.Errorf("a copy at %#x allocates always %d bytes", x.Offset, x.Plus)
		}
	}
	t.Logf("%d copies, of them %d of one size; %q", copies, constant, a.Notes)
	if copies < 100 || constant == 0 || constant == copies {
		t.Errorf("%d copies, of them %d of one size", copies, constant)
	}
}

func allocator(a *Allocators, name string) *Allocator {
	for i := range a.List {
		if a.List[i].Name == name {
			return &a.List[i]
		}
	}
	return nil
}
