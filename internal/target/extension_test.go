package target

import (
	"os"
	"os/exec"
	"testing"
)

// extensionEnvironment finds a virtual environment with grpcio and uvloop, and a directory with
// older versions of both:
//
//	python3 -m venv /tmp/target-venv && /tmp/target-venv/bin/pip install grpcio uvloop uvicorn
//	/tmp/target-venv/bin/pip install --no-deps --target /tmp/target-old uvloop==0.21.0 grpcio==1.60.1
func extensionEnvironment(t *testing.T, old bool) (python, before string) {
	t.Helper()
	venv, earlier := os.Getenv("RAGSCOPE_TEST_VENV"), os.Getenv("RAGSCOPE_TEST_OLD_PACKAGES")
	if venv == "" {
		venv = "/tmp/target-venv"
	}
	if earlier == "" {
		earlier = "/tmp/target-old"
	}
	python = venv + "/bin/python"
	if exec.Command(python, "-c", "import grpc, uvloop").Run() != nil {
		t.Skipf("NO ENVIRONMENT WITH grpcio AND uvloop in %s: their method tables are not verified", venv)
	}
	if !old {
		return python, ""
	}
	if exec.Command(python, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import grpc, uvloop; assert uvloop.__version__ < '0.23'", earlier).Run() != nil {
		t.Skipf("NO OLDER grpcio AND uvloop in %s: tuples of arguments and queued writes are not verified", earlier)
	}
	return python, earlier
}

const extensionTruth = `
import sys
if len(sys.argv) > 1: sys.path.insert(0, sys.argv[1])
import grpc, grpc.aio, uvloop
print(0, flush=True)
sys.stdin.read()
`

func TestExtensionModules(t *testing.T) {
	for _, c := range []struct {
		name         string
		old          bool
		varArgs      bool
		queuedWrites int
	}{
		{"current", false, false, 0},
		{"grpcio 1.60, uvloop 0.21", true, true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			python, before := extensionEnvironment(t, c.old)
			args := []string{before}
			if before == "" {
				args = nil
			}
			truth := start(t, python, extensionTruth, args...)
			truth.numbers(t, new(int))
			p, err := InspectPython(truth.pid)
			if err != nil {
				t.Fatal(err)
			}
			if p.GRPC == nil {
				t.Fatalf("cygrpc not recognised: %v", p.Notes)
			}
			if p.GRPC.VarArgs != c.varArgs {
				t.Errorf("VarArgs %v, want %v", p.GRPC.VarArgs, c.varArgs)
			}
			for name, probe := range map[string]*Probe{
				"call": p.GRPC.Call, "unary_unary": p.GRPC.Unary,
				"segregated_call": p.GRPC.Segregated, "integrated_call": p.GRPC.Integrated,
			} {
				if probe == nil || !probe.Emulated {
					t.Errorf("%s: %+v, want a probe at an emulated instruction", name, probe)
				}
			}
			if len(p.UVWrite) != c.queuedWrites {
				t.Errorf("%d probes for queued writes, want %d", len(p.UVWrite), c.queuedWrites)
			}
			if want := "uvloop " + p.Packages["uvloop"]; p.Loop != want || p.Packages["uvloop"] == "" {
				t.Errorf("loop %q, want %q", p.Loop, want)
			}
			if p.Packages["uvicorn"] == "" || p.Packages["grpcio"] == "" {
				t.Errorf("packages %v: uvicorn or grpcio missing", p.Packages)
			}
			if len(p.Notes) != 0 {
				t.Errorf("notes: %v", p.Notes)
			}
			t.Logf("%s, grpcio %s: %+v", p.Loop, p.Packages["grpcio"], *p.GRPC.Call)
		})
	}
}

const queuedWriteTruth = `
import asyncio, sys
if len(sys.argv) > 1: sys.path.insert(0, sys.argv[1])
import uvloop
async def main():
    async def serve(r, w):
        await r.read()
        w.close()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    r, w = await asyncio.open_connection(*server.sockets[0].getsockname())
    print(id(w.transport), w.get_extra_info("socket").fileno(), flush=True)
    sys.stdin.read()
    w.close()
uvloop.new_event_loop().run_until_complete(main())
`

// TestQueuedWriteOffsets follows a uvloop transport to its file descriptor in memory.
func TestQueuedWriteOffsets(t *testing.T) {
	python, before := extensionEnvironment(t, true)
	truth := start(t, python, queuedWriteTruth, before)
	var transport, fd uint64
	truth.numbers(t, &transport, &fd)
	p, err := InspectPython(truth.pid)
	if err != nil {
		t.Fatal(err)
	}
	m := openMemory(t, truth.pid)
	handle := m.word(transport + uint64(p.UVHandleOffset))
	if got := m.word(handle+uint64(p.UVFdOffset)) & 0xffffffff; got != fd {
		t.Errorf("file descriptor %d, want %d", got, fd)
	}
}
