package pyroscope

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/pprof/profile"
	"github.com/google/uuid"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"

	"github.com/ragscope/ragscope/internal/export/pprofile"
	"github.com/ragscope/ragscope/internal/stack"
)

// What a server accepts unless configured otherwise (pyroscope/pkg/validation/limits.go).
// A profile above the first two is split, a label value above the last is cut.
const (
	maxSamples      = 16_000
	maxProfileBytes = 4 << 20 // uncompressed
	maxLabelBytes   = 2048
	maxRequestBytes = 8 << 20 // compressed, our own: several series travel together
)

// serviceLabel is the label that Pyroscope insists on.
const serviceLabel = "service_name"

// nameOf is the first part of a profile's type; kind and units come from the pprof itself:
// process_cpu:cpu:nanoseconds:cpu:nanoseconds, off_cpu:off_cpu:…, memory:alloc_space:bytes:….
func nameOf(k stack.Kind) string {
	switch k {
	case stack.OffCPU:
		return "off_cpu"
	case stack.Alloc, stack.Malloc:
		return "memory"
	default:
		return "process_cpu"
	}
}

// encode turns p into requests: a series an endpoint, as many in one request as it holds.
func encode(p *stack.Profile, labels map[string]string) ([]*pushv1.PushRequest, error) {
	var requests []*pushv1.PushRequest
	size := 0
	for endpoint, parts := range split(p) {
		series := &pushv1.RawProfileSeries{Labels: pairs(labels, nameOf(p.Kind), endpoint)}
		seriesSize := 0
		for _, one := range parts {
			one.TimeNanos += int64(len(series.Samples)) // those of one interval must differ
			samples, err := rawSamples(one)
			if err != nil {
				return nil, fmt.Errorf("encode the profile of %s: %w", endpoint, err)
			}
			for _, s := range samples {
				seriesSize += len(s.RawProfile)
			}
			series.Samples = append(series.Samples, samples...)
		}
		if len(requests) == 0 || size+seriesSize > maxRequestBytes {
			requests, size = append(requests, &pushv1.PushRequest{}), 0
		}
		last := requests[len(requests)-1]
		last.Series = append(last.Series, series)
		size += seriesSize
	}
	return requests, nil
}

// split yields the pprof profiles of each endpoint, none with more than maxSamples.
func split(p *stack.Profile) func(yield func(string, []*profile.Profile) bool) {
	return func(yield func(string, []*profile.Profile) bool) {
		var parts []*pprofile.Builder
		endpoint := ""
		done := func() bool {
			var profiles []*profile.Profile
			for _, b := range parts {
				profiles = append(profiles, b.Profile())
			}
			return len(parts) == 0 || yield(endpoint, profiles)
		}
		for s := range p.All() { // grouped by endpoint
			if s.Endpoint != endpoint || len(parts) == 0 {
				if !done() {
					return
				}
				endpoint, parts = s.Endpoint, []*pprofile.Builder{pprofile.NewBuilder(p)}
			}
			if parts[len(parts)-1].Samples() >= maxSamples {
				parts = append(parts, pprofile.NewBuilder(p))
			}
			parts[len(parts)-1].Add(s, nil)
		}
		done()
	}
}

// rawSamples encodes a profile, halving it until each part is small enough.
func rawSamples(p *profile.Profile) ([]*pushv1.RawSample, error) {
	var raw bytes.Buffer
	if err := p.WriteUncompressed(&raw); err != nil {
		return nil, err
	}
	if raw.Len() > maxProfileBytes && len(p.Sample) > 1 {
		half := len(p.Sample) / 2
		a, err := rawSamples(part(p, p.Sample[:half], 0))
		if err != nil {
			return nil, err
		}
		b, err := rawSamples(part(p, p.Sample[half:], int64(len(a))))
		return append(a, b...), err
	}
	packed, err := pack(raw.Bytes())
	if err != nil {
		return nil, err
	}
	// The id lets the server recognise a profile that it got before an answer was lost.
	return []*pushv1.RawSample{{RawProfile: packed, ID: uuid.NewString()}}, nil
}

// packers are used again: one takes a megabyte. Their level makes profiles a tenth larger than the
// usual one, for a fifth of its CPU time.
var packers = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // fails for levels that do not exist
	return w
}}

// pack compresses. What it returns has no room to spare, because it may wait for long.
func pack(raw []byte) ([]byte, error) {
	var packed bytes.Buffer
	w := packers.Get().(*gzip.Writer)
	defer packers.Put(w)
	w.Reset(&packed)
	if _, err := w.Write(raw); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return bytes.Clone(packed.Bytes()), nil
}

// part is p with some of its samples and only what these refer to, later nanoseconds later.
func part(p *profile.Profile, samples []*profile.Sample, later int64) *profile.Profile {
	some := profile.Profile{
		SampleType: p.SampleType, PeriodType: p.PeriodType, Period: p.Period,
		TimeNanos: p.TimeNanos + later, DurationNanos: p.DurationNanos,
		Sample: samples, Mapping: p.Mapping, Location: p.Location, Function: p.Function,
	}
	return some.Compact()
}

// pairs are the labels of a series, sorted, as the server wants them.
func pairs(labels map[string]string, name, endpoint string) []*typesv1.LabelPair {
	all := maps.Clone(labels)
	all["__name__"] = name
	all[pprofile.EndpointLabel] = endpoint
	out := make([]*typesv1.LabelPair, 0, len(all))
	for _, key := range slices.Sorted(maps.Keys(all)) {
		out = append(out, &typesv1.LabelPair{Name: key, Value: labelValue(all[key])})
	}
	return out
}

func labelValue(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= maxLabelBytes {
		return s
	}
	cut := maxLabelBytes
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

// validLabel says whether name is [a-zA-Z_][a-zA-Z0-9_]*.
func validLabel(name string) bool {
	for i, c := range name {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// maxAge is how long after its end a profile is worth sending: servers reject samples older
// than an hour by default, and the clocks may differ.
const maxAge = 55 * time.Minute
