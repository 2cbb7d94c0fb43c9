package target

import (
	"os"
	"os/exec"
	"testing"
)

func TestChanged(t *testing.T) {
	self, err := readProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	x := Target{Processes: []Process{self}}
	expect := func(want bool, when string) {
		t.Helper()
		if x.Changed() != want {
			t.Errorf("%s: changed is %t", when, !want)
		}
	}
	expect(true, "nothing to compare with")
	expect(false, "nothing happened")
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	expect(true, "a child began")
	expect(false, "it was seen")
	p, err := readProcess(child.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	x.Processes = append(x.Processes, p)
	expect(false, "the child is taken over")
	_ = child.Process.Kill()
	_ = child.Wait()
	expect(true, "the child ended")
	x.Processes = nil
	expect(true, "the target is gone")
}
