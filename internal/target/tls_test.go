package target

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestInspectTLS looks at every CPython of this machine with its ssl loaded.
func TestInspectTLS(t *testing.T) {
	for _, python := range interpreters(t) {
		t.Run(python, func(t *testing.T) {
			cmd := exec.Command(python, "-c", "import ssl, sys; print(ssl.OPENSSL_VERSION, flush=True); sys.stdin.read()")
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
			defer func() { _ = in.Close(); _ = cmd.Wait() }()
			version, err := bufio.NewReader(out).ReadString('\n')
			if err != nil || !strings.HasPrefix(version, "OpenSSL ") {
				t.Skipf("no OpenSSL: %q, %v", version, err)
			}
			found, notes, err := InspectTLS(cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			if len(found) == 0 && len(notes) > 0 {
				t.Skipf("not followed, and said so: %v", notes)
			}
			if len(found) == 0 {
				t.Fatalf("%s: no TLS library was found: %v", strings.TrimSpace(version), notes)
			}
			l := found[0]
			if l.Read == nil || l.Write == nil || l.Handshake == nil || l.Free == nil || l.BIO == 0 || l.Pointer == 0 {
				t.Errorf("%s: %+v", strings.TrimSpace(version), l)
			}
			t.Logf("%s in %s: read %+v, write %+v, BIO at %d, its data at %d", strings.TrimSpace(version), l.Name, *l.Read, *l.Write, l.BIO, l.Pointer)
		})
	}
}

func TestInspectTLSOfNone(t *testing.T) {
	found, notes, err := InspectTLS(os.Getpid()) // Go brings its own, compiled in
	if err != nil || len(found)+len(notes) > 0 {
		t.Errorf("%+v, %v, %v", found, notes, err)
	}
}
