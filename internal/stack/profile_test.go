package stack

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func sampleOf(functions ...string) Sample {
	s := Sample{Value: 10}
	for _, f := range functions {
		s.Frames = append(s.Frames, Frame{Function: f, Kind: Python})
	}
	return s
}

func lines(p *Profile) string {
	var b strings.Builder
	for s := range p.All() {
		var names []string
		for _, f := range s.Frames {
			names = append(names, f.Function)
		}
		fmt.Fprintf(&b, "%s %s %d %d\n", s.Endpoint, strings.Join(names, "<"), s.Samples, s.Value)
	}
	return b.String()
}

func TestProfileCounts(t *testing.T) {
	p := NewProfile(CPU, 10, noon)
	p.Add("GET /b", sampleOf("x", "main"))
	p.Add("GET /a", sampleOf("y", "main"))
	p.Add("GET /a", sampleOf("x", "main"))
	p.Add("GET /a", sampleOf("x", "main"))
	p.Add("GET /a", sampleOf())
	want := "GET /a x<main 2 20\nGET /a  1 10\nGET /a y<main 1 10\nGET /b x<main 1 10\n"
	if got := lines(p); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if samples, value := p.Totals(); samples != 5 || value != 50 {
		t.Errorf("totals %d, %d", samples, value)
	}
	if got := p.ByEndpoint(); got["GET /a"] != 40 || got["GET /b"] != 10 {
		t.Errorf("by endpoint %v", got)
	}
}

func TestProfileIsBounded(t *testing.T) {
	p := NewProfile(CPU, 10, noon)
	for i := range MaxStacks + 1000 {
		p.Add("GET /a", sampleOf(fmt.Sprint(i)))
	}
	p.Add("GET /b", sampleOf("0")) // known frames, but no room for another stack
	p.Add("GET /a", sampleOf("0")) // a known stack still counts
	if samples, _ := p.Totals(); samples != MaxStacks+1002 {
		t.Errorf("%d samples, want all %d", samples, MaxStacks+1002)
	}
	if p.Folded() != 1001 || len(p.counts) != MaxStacks+2 || len(p.frames) != MaxStacks+1 {
		t.Errorf("%d folded, %d stacks, %d frames", p.Folded(), len(p.counts), len(p.frames))
	}
	if got := lines(p); !strings.Contains(got, "GET /a [other stacks] 1000 10000\n") || !strings.Contains(got, "GET /b [other stacks] 1 10\n") || !strings.Contains(got, "GET /a 0 2 20\n") {
		t.Error("the other stacks are not counted by endpoint, or a known one is not")
	}
}

func TestTally(t *testing.T) {
	tally := NewTally(CPU, 10, noon)
	tally.Add("GET /a", sampleOf("x"))
	first := tally.Take(noon.Add(time.Minute))
	tally.Add("GET /a", sampleOf("x"))
	total := tally.Total(noon.Add(2 * time.Minute))
	tally.Add("GET /a", sampleOf("y")) // after the copy
	second := tally.Take(noon.Add(3 * time.Minute))
	for _, c := range []struct {
		name       string
		p          *Profile
		start, end int // minutes
		lines      string
	}{
		{"first interval", first, 0, 1, "GET /a x 1 10\n"},
		{"total", total, 0, 2, "GET /a x 2 20\n"},
		{"second interval", second, 1, 3, "GET /a x 1 10\nGET /a y 1 10\n"},
	} {
		if got := lines(c.p); got != c.lines {
			t.Errorf("%s:\n%swant\n%s", c.name, got, c.lines)
		}
		if start, end := c.p.Start.Sub(noon).Minutes(), c.p.End.Sub(noon).Minutes(); int(start) != c.start || int(end) != c.end {
			t.Errorf("%s covers minutes %g to %g, want %d to %d", c.name, start, end, c.start, c.end)
		}
	}
}

func TestOfOneEndpoint(t *testing.T) {
	p := NewProfile(CPU, 10, noon)
	p.Add("GET /a", sampleOf("x"))
	p.Add("GET /b", sampleOf("y"))
	if got := lines(p.Of("GET /b")); got != "GET /b y 1 10\n" {
		t.Errorf("of GET /b: %q", got)
	}
	if got := lines(p); got != "GET /a x 1 10\nGET /b y 1 10\n" {
		t.Errorf("the whole changed to %q", got)
	}
}

func TestLargest(t *testing.T) {
	p := NewProfile(CPU, 10, noon)
	add := func(endpoint, function string, value int64) {
		p.Add(endpoint, Sample{Value: value, Frames: []Frame{{Function: function}}})
	}
	add("GET /a", "large", 50)
	add("GET /a", "small", 3)
	add("GET /a", "tiny", 1)
	add("GET /b", "middle", 20)
	add("GET /b", OtherStacks, 2)
	add("GET /c", "small", 4)
	show := func(p *Profile) string {
		var b strings.Builder
		for s := range p.All() {
			fmt.Fprintf(&b, "%s %s %d/%d, ", s.Endpoint, s.Frames[0].Function, s.Value, s.Samples)
		}
		return b.String()
	}
	whole := show(p)
	if got, want := show(p.Largest(2)), "GET /a large 50/1, GET /a [other stacks] 4/2, GET /b middle 20/1, GET /b [other stacks] 2/1, GET /c [other stacks] 4/1, "; got != want {
		t.Errorf("the two largest: %s\nwant %s", got, want)
	}
	if got := show(p.Largest(6)); got != whole || show(p) != whole {
		t.Errorf("all of them: %s, left %s, want %s", got, show(p), whole)
	}
}
