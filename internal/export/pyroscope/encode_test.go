package pyroscope

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/pprof/profile"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"

	"github.com/ragscope/ragscope/internal/stack"
)

// parts parses all profiles of the only series, and checks the server's limits on each.
func parts(t *testing.T, requests []*pushv1.PushRequest) []*profile.Profile {
	t.Helper()
	if len(requests) != 1 || len(requests[0].Series) != 1 {
		t.Fatalf("got %d requests, want one with one series", len(requests))
	}
	var out []*profile.Profile
	times, ids := map[int64]bool{}, map[string]bool{}
	for _, s := range requests[0].Series[0].Samples {
		p, err := profile.Parse(bytes.NewReader(s.RawProfile))
		if err != nil {
			t.Fatal(err)
		}
		var raw bytes.Buffer
		if err := p.WriteUncompressed(&raw); err != nil {
			t.Fatal(err)
		}
		if raw.Len() > maxProfileBytes || len(p.Sample) > maxSamples {
			t.Errorf("a part has %d bytes and %d samples", raw.Len(), len(p.Sample))
		}
		if times[p.TimeNanos] || ids[s.ID] {
			t.Errorf("two parts share time %d or id %s", p.TimeNanos, s.ID)
		}
		times[p.TimeNanos], ids[s.ID] = true, true
		out = append(out, p)
	}
	return out
}

func total(profiles []*profile.Profile) (sum int64) {
	for _, p := range profiles {
		for _, s := range p.Sample {
			sum += s.Value[0]
		}
	}
	return sum
}

func TestALargeProfileIsSplitByBytes(t *testing.T) {
	p := stack.NewProfile(stack.CPU, 1, monday)
	long := strings.Repeat("x", 8000)
	for i := range 1500 {
		p.Add("GET /", stack.Sample{Value: 1, Frames: []stack.Frame{{Function: fmt.Sprint(i, long)}}})
	}
	requests, err := encode(p, map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	got := parts(t, requests)
	if len(got) < 3 || total(got) != 1500 {
		t.Errorf("%d parts with %d samples, want at least 3 with 1500", len(got), total(got))
	}
}

func TestSplitBySamples(t *testing.T) {
	p := stack.NewProfile(stack.CPU, 1, monday)
	for i := range stack.MaxStacks + 10 { // the last ten become OtherStacks
		p.Add("GET /", stack.Sample{Value: 1, Frames: []stack.Frame{{Function: "f", Line: i}}})
	}
	requests, err := encode(p, map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	if got := parts(t, requests); len(got) != 2 || total(got) != stack.MaxStacks+10 {
		t.Errorf("%d parts with %d samples, want 2 with %d", len(got), total(got), stack.MaxStacks+10)
	}
}

func TestKindsHaveTheirTypes(t *testing.T) {
	for kind, want := range map[stack.Kind]string{
		stack.CPU:    "process_cpu cpu:nanoseconds:cpu:nanoseconds",
		stack.OffCPU: "off_cpu off_cpu:nanoseconds:off_cpu:nanoseconds",
		stack.Alloc:  "memory alloc_space:bytes:space:bytes",
	} {
		p := stack.NewProfile(kind, 1, monday)
		p.Add("GET /", stack.Sample{Value: 5, Frames: []stack.Frame{{Function: "f"}}})
		requests, err := encode(p, map[string]string{})
		if err != nil {
			t.Fatal(err)
		}
		out := parts(t, requests)[0]
		last := out.SampleType[len(out.SampleType)-1]
		name, _, _ := strings.Cut(strings.TrimPrefix(labelsOf(requests[0].Series[0]), "__name__="), " ")
		if got := fmt.Sprintf("%s %s:%s:%s:%s", name, last.Type, last.Unit, out.PeriodType.Type, out.PeriodType.Unit); got != want {
			t.Errorf("%v: type %q, want %q", kind, got, want)
		}
	}
}

func TestLabelValue(t *testing.T) {
	for _, in := range []string{"GET /", strings.Repeat("é", 2000), "bad \xff byte", strings.Repeat("\xff", 4000)} {
		got := labelValue(in)
		if len(got) > maxLabelBytes || !utf8.ValidString(got) {
			t.Errorf("labelValue(%.10q…) has %d bytes, valid %v", in, len(got), utf8.ValidString(got))
		}
	}
	if got := labelValue("GET /"); got != "GET /" {
		t.Errorf("labelValue changed %q", got)
	}
}

func TestAnEmptyProfileSendsNothing(t *testing.T) {
	requests, err := encode(stack.NewProfile(stack.CPU, 1, monday), map[string]string{})
	if err != nil || len(requests) != 0 {
		t.Errorf("got %d requests, %v", len(requests), err)
	}
}
