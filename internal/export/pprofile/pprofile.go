// Package pprofile writes stack profiles as pprof files.
//
// In: stack.Profile. Out: a profile.Profile of google/pprof with the endpoint as a label of
// every sample, or the gzip file of it, which `go tool pprof`, Pyroscope, Speedscope and
// Grafana read. It never measures and never symbolises: the frames come named.
package pprofile

import (
	"cmp"

	"github.com/google/pprof/profile"

	"github.com/ragscope/ragscope/internal/stack"
)

// EndpointLabel is the label of a sample that says whose it is.
const EndpointLabel = "endpoint"

// Build returns p with every sample labelled by its endpoint.
func Build(p *stack.Profile) *profile.Profile {
	b := NewBuilder(p)
	for s := range p.All() {
		b.Add(s, map[string][]string{EndpointLabel: {s.Endpoint}})
	}
	return b.Profile()
}

// Builder makes a pprof profile of some of the stacks of a profile.
type Builder struct {
	out       *profile.Profile
	counts    bool // samples have a count beside their value
	functions map[functionKey]*profile.Function
	locations map[stack.Frame]*profile.Location
	mappings  map[string]*profile.Mapping
}

type functionKey struct {
	name, file string
	start      int
}

// NewBuilder starts an empty profile with the kind, period and time of p.
func NewBuilder(p *stack.Profile) *Builder {
	b := &Builder{
		out: &profile.Profile{
			TimeNanos:     p.Start.UnixNano(),
			DurationNanos: p.End.Sub(p.Start).Nanoseconds(),
		},
		functions: map[functionKey]*profile.Function{},
		locations: map[stack.Frame]*profile.Location{},
		mappings:  map[string]*profile.Mapping{},
	}
	switch p.Kind {
	case stack.OffCPU:
		b.out.SampleType = []*profile.ValueType{{Type: "off_cpu", Unit: "nanoseconds"}}
		b.out.PeriodType = &profile.ValueType{Type: "off_cpu", Unit: "nanoseconds"}
	case stack.Alloc, stack.Malloc:
		b.out.SampleType = []*profile.ValueType{{Type: "alloc_space", Unit: "bytes"}}
		b.out.PeriodType = &profile.ValueType{Type: "space", Unit: "bytes"}
	default:
		b.counts = true
		b.out.SampleType = []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}
		b.out.PeriodType = &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}
		b.out.Period = p.Period.Nanoseconds()
		b.out.DefaultSampleType = "cpu"
	}
	return b
}

// Add adds a stack. Its frames are copied, labels are kept.
func (b *Builder) Add(s stack.Stack, labels map[string][]string) {
	sample := &profile.Sample{Value: []int64{s.Value}, Label: labels, Location: make([]*profile.Location, len(s.Frames))}
	if b.counts {
		sample.Value = []int64{s.Samples, s.Value}
	}
	for i, f := range s.Frames {
		sample.Location[i] = b.location(f)
	}
	b.out.Sample = append(b.out.Sample, sample)
}

// Samples is how many stacks were added.
func (b *Builder) Samples() int { return len(b.out.Sample) }

// Profile is what was built. The builder is not to be used after it.
func (b *Builder) Profile() *profile.Profile { return b.out }

func (b *Builder) location(f stack.Frame) *profile.Location {
	if l := b.locations[f]; l != nil {
		return l
	}
	l := &profile.Location{
		ID:      uint64(len(b.out.Location) + 1),
		Mapping: b.mapping(f),
		Line:    []profile.Line{{Function: b.function(f), Line: int64(cmp.Or(f.Line, f.Start))}},
	}
	b.locations[f] = l
	b.out.Location = append(b.out.Location, l)
	return l
}

func (b *Builder) function(f stack.Frame) *profile.Function {
	key := functionKey{f.Function, f.File, f.Start}
	if fn := b.functions[key]; fn != nil {
		return fn
	}
	fn := &profile.Function{ID: uint64(len(b.out.Function) + 1), Name: f.Function, SystemName: f.Function, Filename: f.File, StartLine: int64(f.Start)}
	b.functions[key] = fn
	b.out.Function = append(b.out.Function, fn)
	return fn
}

// mapping is the object of a native frame; for other frames one named after their kind, so
// that pprof can show and hide a whole runtime. All are marked as symbolised, which keeps
// pprof from looking for the objects.
func (b *Builder) mapping(f stack.Frame) *profile.Mapping {
	name := f.Kind
	if f.Kind == stack.Native {
		name = f.File
	}
	if m := b.mappings[name]; m != nil {
		return m
	}
	m := &profile.Mapping{
		ID: uint64(len(b.out.Mapping) + 1), File: name,
		HasFunctions: true, HasFilenames: true, HasLineNumbers: true, HasInlineFrames: true,
	}
	b.mappings[name] = m
	b.out.Mapping = append(b.out.Mapping, m)
	return m
}
