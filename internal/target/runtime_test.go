package target

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestInspectRuntime(t *testing.T) {
	got := InspectRuntime(os.Getpid())
	if want := strings.TrimPrefix(runtime.Version(), "go"); got.Kind != Golang || !strings.HasPrefix(want, got.Version) || got.Version == "" {
		t.Errorf("this test, built by Go %s, is %v", want, got)
	}
	for _, program := range []struct {
		argv []string
		want string
	}{
		{[]string{"node", "-e", "console.log(1); process.stdin.on('end', () => {}).resume()"}, "Node.js"},
		{[]string{"sh", "-c", "echo 1; read line"}, "not CPython"},
	} {
		path, err := exec.LookPath(program.argv[0])
		if err != nil {
			t.Logf("NOT TESTED: %v", err)
			continue
		}
		cmd := exec.Command(path, program.argv[1:]...)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
		if got := InspectRuntime(cmd.Process.Pid).String(); got != program.want {
			t.Errorf("%s is %q, want %q", path, got, program.want)
		}
		in.Close()
		_ = cmd.Wait()
	}
	if got := InspectRuntime(1 << 30); got != (Runtime{}) {
		t.Errorf("a process that is not there is %v", got)
	}
}

func TestJavaVersion(t *testing.T) {
	root := t.TempDir()
	jdk := filepath.Join(root, "opt", "jdk")
	if err := os.MkdirAll(jdk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(jdk, "release"), []byte("IMPLEMENTOR=\"Debian\"\nJAVA_VERSION=\"21.0.2\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := javaVersion(root, "/opt/jdk/lib/server/libjvm.so"); got != "21.0.2" {
		t.Errorf("version %q", got)
	}
	if got := javaVersion(root, "/elsewhere/lib/server/libjvm.so"); got != "" {
		t.Errorf("without a release file: %q", got)
	}
}
