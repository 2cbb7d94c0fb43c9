package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"golang.org/x/sys/unix"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/stack"
)

func read(t *testing.T, dir string) *recording.Recording {
	t.Helper()
	rec, err := recording.Read(filepath.Join(dir, "recording.json"))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func requestsOf(rec *recording.Recording) (n int64) {
	for _, e := range rec.Endpoints {
		n += e.Requests
	}
	return n
}

func says(rec *recording.Recording, text string) bool {
	return slices.ContainsFunc(rec.NotMeasured, func(n recording.NotMeasured) bool {
		return strings.Contains(n.What+": "+n.Why, text)
	})
}

// Ctrl-C keeps what was seen, and all of it, though nothing gave it time to arrive; a target
// that is not Python is followed by its sockets, and the recording says what that leaves out.
func TestRecordInterrupted(t *testing.T) {
	needRoot(t)
	target := startService(t)
	dir := t.TempDir()
	out, lines := filepath.Join(dir, "made", "here"), filepath.Join(dir, "requests.jsonl")
	agent := begin(t, "record", "--target", target.port, "--duration", "1h", "--out", out, "--requests", lines, "--cpu-hz", "0", "--service", "shop")
	agent.until(t, "attached")
	const n = 25
	target.ask(t, "/hello", n)
	agent.stop()
	got := agent.end(t)
	got.wants(t, command.OK)
	rec := read(t, out)
	if seen := requestsOf(rec); seen != n {
		t.Errorf("%d requests recorded of %d", seen, n)
	}
	if !strings.HasPrefix(rec.Target.Runtime, "Go ") || rec.Target.Service != "shop" || !slices.Equal(rec.Target.PIDs, []int{target.pid}) {
		t.Errorf("target: %+v", rec.Target)
	}
	if !says(rec, "is Go ") || !says(rec, "switched off") {
		t.Errorf("it does not say what was not measured: %+v", rec.NotMeasured)
	}
	for _, s := range []string{"shop", "GET /hello", fmt.Sprint(n), filepath.Join(out, "recording.json")} {
		if !strings.Contains(got.out, s) {
			t.Errorf("the summary has no %q:\n%s", s, got.out)
		}
	}
	checkRequestLines(t, lines, n)
	if want := " /made /made/here /made/here/memory_profile.svg /made/here/memory_report.json /made/here/recording.json /requests.jsonl"; list(t, dir) != want {
		t.Errorf("files:%s, want%s", list(t, dir), want)
	}
}

func checkRequestLines(t *testing.T, path string, n int) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := bytes.Count(text, []byte("\n")); got != n {
		t.Errorf("%d lines in --requests, want %d", got, n)
	}
	for line := range bytes.Lines(text) {
		var r struct {
			Endpoint string
			Status   int
			Seconds  float64
		}
		if err := json.Unmarshal(line, &r); err != nil || r.Endpoint != "GET /hello" || r.Status != http.StatusOK || r.Seconds <= 0 {
			t.Errorf("%v in %s", err, line)
		}
	}
}

// Flame graphs lie beside the recording when the target burned CPU.
func TestRecordStacks(t *testing.T) {
	needRoot(t)
	target := startService(t)
	dir := t.TempDir()
	agent := begin(t, "record", "--target", target.port, "--duration", "1h", "--out", dir)
	if line := agent.until(t, "stacks"); !strings.Contains(line, "are sampled") {
		t.Skipf("SKIPPED: CPU STACKS NOT TESTED: %s", line)
	}
	const n = 10 // half a second of CPU, 48 samples
	target.ask(t, "/burn", n)
	agent.stop()
	agent.end(t).wants(t, command.OK)
	files := list(t, dir)
	for _, chance := range []string{" /memory.pb.gz /memory.svg", " /off_cpu.pb.gz /off_cpu.svg"} { // it may touch new memory and sleep for a reason, or not
		files = strings.Replace(files, chance, "", 1)
	}
	if want := " /cpu.pb.gz /cpu.svg /memory_profile.svg /memory_report.json /recording.json"; files != want {
		t.Errorf("files:%s, want%s", files, want)
	}
	zipped, err := os.ReadFile(filepath.Join(dir, "cpu.pb.gz"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.ParseData(zipped)
	if err != nil {
		t.Fatal(err)
	}
	var sampled int64
	for _, s := range p.Sample {
		sampled += s.Value[len(s.Value)-1]
	}
	if unit := p.SampleType[len(p.SampleType)-1].Unit; unit != "nanoseconds" {
		t.Errorf("samples are in %s", unit)
	}
	if whole := n * burn.Nanoseconds(); sampled < whole/4 || sampled > whole*4 { // the unit is right
		t.Errorf("%d ms sampled of %d ms burned", sampled/1e6, whole/1e6)
	}
	if svg, err := os.ReadFile(filepath.Join(dir, "cpu.svg")); err != nil || !bytes.Contains(svg, []byte("cmd/agent.service")) {
		t.Errorf("the flame graph does not show the function that burns: %v", err)
	}
	if rec := read(t, dir); requestsOf(rec) != n || says(rec, recording.CPUProfile) {
		t.Errorf("%d requests recorded of %d; not measured: %+v", requestsOf(rec), n, rec.NotMeasured)
	}
}

// The duration ends a recording that nobody interrupts; the flags may all come from a file.
func TestRecordAsTheFileSays(t *testing.T) {
	needRoot(t)
	target := startService(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "agent.yaml")
	text := fmt.Sprintf("target: %s\nduration: 10ms\nout: %s\ncpu-hz: 0\nlog-format: json\nno-openapi: true\n", target.port, filepath.Join(dir, "results"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := call(t, "record", "--config", config)
	got.wants(t, command.OK)
	if rec := read(t, filepath.Join(dir, "results")); rec.Window.Seconds < .01 || rec.Window.Seconds > 5 {
		t.Errorf("window of %g s, want 10 ms and what ending takes", rec.Window.Seconds)
	}
	if !json.Valid([]byte(strings.Split(got.err, "\n")[0])) {
		t.Errorf("the log is not JSON: %s", got.err)
	}
}

// A target that ends: what it did until then is kept, and the recording says that it ended.
func TestRecordTargetEnds(t *testing.T) {
	needRoot(t)
	target := startService(t)
	dir := t.TempDir()
	agent := begin(t, "record", "--target", target.port, "--duration", "1h", "--out", dir, "--cpu-hz", "0")
	agent.until(t, "attached")
	target.ask(t, "/hello", 5)
	target.end()
	agent.until(t, "has ended")
	agent.stop()
	got := agent.end(t)
	got.wants(t, command.OK)
	rec := read(t, dir)
	if n := requestsOf(rec); n != 5 {
		t.Errorf("%d requests recorded of 5", n)
	}
	if !says(rec, "the target ended") {
		t.Errorf("it does not say that the target ended: %+v", rec.NotMeasured)
	}
	if !strings.Contains(got.out, "GET /hello") {
		t.Errorf("summary: %s", got.out)
	}
}

// smallDisk mounts one that holds bytes.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("ragscope-test", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		t.Skipf("SKIPPED: NOT TESTED ON A FULL DISK: mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A full disk: the earlier results stay as they were, nothing half-written is left, and the
// figures are on the screen at least.
func TestRecordDiskFull(t *testing.T) {
	needRoot(t)
	target := startService(t)
	dir := smallDisk(t, 4096)
	earlier := []byte(`{"schema": "ragscope.recording/1"}` + "\n")
	for _, name := range []string{"recording.json", "requests.jsonl"} {
		content := earlier
		if name == "requests.jsonl" {
			content = nil // takes no room
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := list(t, dir)
	agent := begin(t, "record", "--target", target.port, "--duration", "1h", "--out", dir, "--requests", filepath.Join(dir, "requests.jsonl"), "--cpu-hz", "0")
	agent.until(t, "attached")
	target.ask(t, "/hello", 5)
	agent.stop()
	got := agent.end(t)
	got.wants(t, command.Environment, "recording.json", "requests.jsonl", "no space left")
	if !strings.Contains(got.out, "GET /hello") {
		t.Errorf("what was seen is lost: %s", got.out)
	}
	if strings.Contains(got.out, "recording.json") {
		t.Errorf("it names a file that it could not write: %s", got.out)
	}
	if after := list(t, dir); after != before {
		t.Errorf("files:%s, want%s", after, before)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "recording.json")); err != nil || !bytes.Equal(text, earlier) {
		t.Errorf("the earlier recording is now %q, %v", text, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "requests.jsonl")); err != nil || info.Size() != 0 {
		t.Errorf("the earlier --requests file changed: %v, %v", info, err)
	}
}

// A disk that may only be read is told before anything is measured.
func TestRecordReadOnly(t *testing.T) {
	needRoot(t)
	target := startService(t)
	dir := smallDisk(t, 4096)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	got := call(t, "record", "--target", target.port, "--duration", "1h", "--out", dir)
	got.wants(t, command.Environment, "--out", "read-only")
	if strings.Contains(got.err, "attached") {
		t.Error("it attached first")
	}
}

// A disk with room for some of the files: those are kept, the message names the others.
func TestResultsOnANearlyFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: NOT TESTED ON A FULL DISK: run the tests as root")
	}
	dir := smallDisk(t, 64<<10)
	p := stack.NewProfile(stack.CPU, 0, time.Unix(0, 0))
	for i := range 400 {
		p.Add("GET /", stack.Sample{Value: 1, Frames: []stack.Frame{{Function: fmt.Sprint("function_", i), Kind: stack.Python}}})
	}
	err := writeResults(dir, &recording.Recording{}, []*stack.Profile{p})
	if err == nil || !strings.Contains(err.Error(), "cpu.svg: ") || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("the error is %v", err)
	}
	got := list(t, dir)
	for _, kept := range []string{"/recording.json", "/cpu.pb.gz", "/memory_report.json"} {
		if !strings.Contains(got, kept) {
			t.Errorf("%s is missing: %s", kept, got)
		}
		if strings.Contains(err.Error(), kept) {
			t.Errorf("the error names %s, which is there: %v", kept, err)
		}
	}
	if strings.Contains(got, "cpu.svg") {
		t.Errorf("half a picture is left: %s", got)
	}
}
