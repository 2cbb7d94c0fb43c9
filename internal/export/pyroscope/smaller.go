package pyroscope

import (
	"bytes"

	"github.com/google/pprof/profile"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
)

// smaller is a request in two parts: half of its series, or of the profiles of its only one,
// or, where the server said that it is too large, of the samples of its only profile. nil when
// it cannot be parted.
func smaller(r *pushv1.PushRequest, tooLarge bool) []*pushv1.PushRequest {
	if n := len(r.Series); n != 1 {
		if n == 0 {
			return nil
		}
		return []*pushv1.PushRequest{{Series: r.Series[:n/2]}, {Series: r.Series[n/2:]}}
	}
	series := r.Series[0]
	profiles := series.Samples
	if len(profiles) == 1 && tooLarge {
		profiles = halves(profiles[0])
	}
	if len(profiles) < 2 {
		return nil
	}
	half := len(profiles) / 2
	with := func(s []*pushv1.RawSample) *pushv1.PushRequest {
		return &pushv1.PushRequest{Series: []*pushv1.RawProfileSeries{{Labels: series.Labels, Samples: s}}}
	}
	return []*pushv1.PushRequest{with(profiles[:half]), with(profiles[half:])}
}

// halves parts a profile in two, nil when it has a single sample.
func halves(raw *pushv1.RawSample) []*pushv1.RawSample {
	p, err := profile.Parse(bytes.NewReader(raw.RawProfile))
	if err != nil || len(p.Sample) < 2 {
		return nil // ours can always be read
	}
	half := len(p.Sample) / 2
	a, err := rawSamples(part(p, p.Sample[:half], 0))
	if err != nil {
		return nil
	}
	b, err := rawSamples(part(p, p.Sample[half:], int64(len(a))))
	if err != nil {
		return nil
	}
	return append(a, b...)
}
