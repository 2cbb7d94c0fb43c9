package pprofile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/ragscope/ragscope/internal/stack"
)

var (
	start  = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	search = stack.Frame{Function: "search", File: "/app/api.py", Start: 10, Line: 12, Kind: stack.Python}
	main   = stack.Frame{Function: "main", File: "/app/api.py", Start: 3, Kind: stack.Python}
	memcpy = stack.Frame{Function: "memcpy", File: "libc.so.6", Kind: stack.Native}
	read   = stack.Frame{Function: "vfs_read", File: "vmlinux", Kind: stack.Kernel}
)

func sampled(kind stack.Kind) *stack.Profile {
	p := stack.NewProfile(kind, 10*time.Millisecond, start)
	p.End = start.Add(5 * time.Second)
	p.Add("POST /search", stack.Sample{Value: 10e6, Frames: []stack.Frame{memcpy, search, main}})
	p.Add("POST /search", stack.Sample{Value: 10e6, Frames: []stack.Frame{memcpy, search, main}})
	p.Add("GET /health", stack.Sample{Value: 10e6, Frames: []stack.Frame{read, main}})
	return p
}

func TestBuild(t *testing.T) {
	tests := []struct {
		kind   stack.Kind
		types  string
		period string
		values string // of POST /search
	}{
		{stack.CPU, "samples/count cpu/nanoseconds", "cpu/nanoseconds 10000000", "[2 20000000]"},
		{stack.OffCPU, "off_cpu/nanoseconds", "off_cpu/nanoseconds 0", "[20000000]"},
		{stack.Alloc, "alloc_space/bytes", "space/bytes 0", "[20000000]"},
	}
	for _, test := range tests {
		t.Run(test.kind.String(), func(t *testing.T) {
			p := Build(sampled(test.kind))
			if err := p.CheckValid(); err != nil {
				t.Fatal(err)
			}
			var types []string
			for _, v := range p.SampleType {
				types = append(types, v.Type+"/"+v.Unit)
			}
			if got := strings.Join(types, " "); got != test.types {
				t.Errorf("sample types %q, want %q", got, test.types)
			}
			if got := fmt.Sprintf("%s/%s %d", p.PeriodType.Type, p.PeriodType.Unit, p.Period); got != test.period {
				t.Errorf("period %q, want %q", got, test.period)
			}
			if len(p.Sample) != 2 || len(p.Location) != 4 || len(p.Function) != 4 {
				t.Fatalf("%d samples, %d locations, %d functions; want 2, 4, 4", len(p.Sample), len(p.Location), len(p.Function))
			}
			s := p.Sample[1] // endpoints are sorted
			if got := fmt.Sprint(s.Label, s.Value); got != "map[endpoint:[POST /search]] "+test.values {
				t.Errorf("sample %s, want values %s", got, test.values)
			}
			if leaf := s.Location[0].Line[0]; leaf.Function.Name != "memcpy" {
				t.Errorf("the first location is %s, want the running function", leaf.Function.Name)
			}
			if got := s.Location[1].Line[0]; got.Line != 12 || got.Function.StartLine != 10 || got.Function.Filename != "/app/api.py" {
				t.Errorf("search begins at %d and is at %s:%d", got.Function.StartLine, got.Function.Filename, got.Line)
			}
			if got := s.Location[2].Line[0]; got.Line != 3 { // where no line is told: where it begins
				t.Errorf("main is at %d", got.Line)
			}
		})
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "cpu.pb.gz")
	if err := WriteFile(path, sampled(stack.CPU)); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := profile.Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	if p.TimeNanos != start.UnixNano() || p.DurationNanos != 5e9 || len(p.Sample) != 2 {
		t.Errorf("read back time %d, duration %d, %d samples", p.TimeNanos, p.DurationNanos, len(p.Sample))
	}
	if err := WriteFile(filepath.Join(dir, "none", "cpu.pb.gz"), sampled(stack.CPU)); err == nil {
		t.Error("no error for a folder that does not exist")
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d files are left, want the profile only", len(left))
	}
}

func TestAnEmptyProfileIsAFileToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cpu.pb.gz")
	if err := WriteFile(path, stack.NewProfile(stack.CPU, time.Millisecond, start)); err != nil {
		t.Fatal(err)
	}
}
