package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/ragscope/ragscope/internal/command"
)

// elsewhere runs the agent in another process.
func elsewhere(t *testing.T, as func(*exec.Cmd), name string, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), plays+"=agent")
	as(cmd)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	failed := cmd.Run()
	var exit *exec.ExitError
	if failed != nil && !errors.As(failed, &exit) {
		t.Fatal(failed)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), err.String()}
}

// nobody takes root's rights away; without root there are none to take.
func nobody(cmd *exec.Cmd) {
	const uid = 65534
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
}

func TestWithoutRights(t *testing.T) {
	target := startService(t)
	in := func(cmd *exec.Cmd) { nobody(cmd); cmd.Dir = "/" }
	dir, err := os.MkdirTemp("", "ragscope") // of t.TempDir only root sees the inside
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{
		"record --target " + target.port + " --out " + dir + "/new/folder --requests " + dir + "/requests",
		"run --listen 127.0.0.1:0 --target " + target.port,
		"doctor",
	} {
		t.Run(strings.Fields(args)[0], func(t *testing.T) {
			got := elsewhere(t, in, "/proc/self/exe", strings.Fields(args)...)
			got.wants(t, command.Environment, "agent: ")
			if !strings.Contains(got.err+got.out, "root") && !strings.Contains(got.err+got.out, "sudo") {
				t.Errorf("it does not say what to do: %s", got.err)
			}
			if names := list(t, dir); names != "" {
				t.Errorf("left behind: %s", names)
			}
		})
	}
	t.Run("doctor --json", func(t *testing.T) {
		got := elsewhere(t, in, "/proc/self/exe", "doctor", "--json")
		got.wants(t, command.Environment, "CAP_BPF")
		rights := finding(t, got.out, "rights")
		if rights.Verdict != "missing" || !rights.Needed || !strings.Contains(rights.Mend, "sudo") || !strings.Contains(rights.Detail, "CAP_PERFMON") {
			t.Errorf("rights: %+v", rights)
		}
	})
}

// A folder that may not be written to is told before anything is measured.
func TestFolderOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can run the agent as another user")
	}
	target := startService(t)
	dir := t.TempDir() // root's
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"record", "--target", target.port, "--out", dir},
		{"record", "--target", target.port, "--out", dir + "/new"},
	} {
		got := elsewhere(t, func(cmd *exec.Cmd) { nobody(cmd); cmd.Dir = "/" }, "/proc/self/exe", args...)
		got.wants(t, command.Environment, "--out", "permission denied")
	}
}

// A kernel without BTF, and one whose tracefs is not there: mounts of a namespace of its own
// hide them.
func TestWithoutBTFOrTracefs(t *testing.T) {
	needRoot(t)
	target := startService(t)
	hidden := func(folder string, args ...string) result {
		script := `mount -t tmpfs none "$0" || exit 99; exec "$@"`
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		got := elsewhere(t, func(*exec.Cmd) {}, "unshare", append([]string{"--mount", "sh", "-c", script, folder, exe}, args...)...)
		if got.code == 99 || strings.HasPrefix(got.err, "unshare:") {
			t.Skipf("SKIPPED: nothing can be hidden here: %s", got.err)
		}
		return got
	}
	t.Run("record without BTF", func(t *testing.T) {
		dir := t.TempDir()
		hidden("/sys/kernel/btf", "record", "--duration", "1ms", "--target", target.port, "--out", dir+"/new").wants(t, command.Environment, "BTF")
		if names := list(t, dir); names != "" {
			t.Errorf("left behind: %s", names)
		}
	})
	t.Run("doctor without BTF", func(t *testing.T) {
		got := hidden("/sys/kernel/btf", "doctor", "--json")
		got.wants(t, command.Environment, "BTF")
		if f := finding(t, got.out, "BTF"); f.Verdict != "missing" || !strings.Contains(f.Mend, "CONFIG_DEBUG_INFO_BTF") {
			t.Errorf("%+v", f)
		}
	})
	t.Run("record without tracefs", func(t *testing.T) { // not needed: links are file descriptors
		if _, err := os.Stat("/sys/kernel/tracing"); err != nil {
			t.Skip("SKIPPED: there is no tracefs to hide")
		}
		dir := t.TempDir()
		hidden("/sys/kernel/tracing", "record", "--cpu-hz", "0", "--duration", "1ms", "--target", target.port, "--out", dir).wants(t, command.OK)
	})
}

func findings(t *testing.T, text string) []found {
	t.Helper()
	var all []found
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return all
}

// found is a finding as the JSON has it.
type found struct {
	What, Verdict, Detail, Mend string
	Needed                      bool
}

func finding(t *testing.T, text, what string) found {
	t.Helper()
	for _, f := range findings(t, text) {
		if f.What == what {
			return f
		}
	}
	t.Fatalf("no finding about %s in %s", what, text)
	return found{}
}
