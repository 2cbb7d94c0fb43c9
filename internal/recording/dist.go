package recording

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Range and precision of every histogram: 1 µs to 1 h at 3 significant digits.
const (
	lowest  = 1
	highest = 3_600_000_000
	digits  = 3
)

// Dist is a distribution of durations: DIST of the file format. Count, Sum and Max are exact
// in seconds; the percentiles come from an HdrHistogram of microseconds.
// The zero value is an empty distribution, ready to use. Not safe for concurrent use.
type Dist struct {
	Count int64
	Sum   float64
	Max   float64
	hist  *hdrhistogram.Histogram
}

// Observe adds one duration in seconds. Negative and NaN values are a caller's defect and are
// recorded as zero.
func (d *Dist) Observe(seconds float64) {
	if !(seconds > 0) {
		seconds = 0
	}
	if d.hist == nil {
		d.hist = hdrhistogram.New(lowest, highest, digits)
	}
	d.Count++
	d.Sum += seconds
	d.Max = math.Max(d.Max, seconds)
	us := int64(math.Round(seconds * 1e6))
	_ = d.hist.RecordValue(min(max(us, lowest), highest)) // in range by the clamp
}

// Merge adds other's observations to d.
func (d *Dist) Merge(other Dist) {
	if other.Count == 0 {
		return
	}
	if d.hist == nil {
		d.hist = hdrhistogram.New(lowest, highest, digits)
	}
	d.Count += other.Count
	d.Sum += other.Sum
	d.Max = math.Max(d.Max, other.Max)
	if other.hist != nil {
		d.hist.Merge(other.hist)
	}
}

// Clone returns an independent copy.
func (d Dist) Clone() Dist {
	var c Dist
	c.Merge(d)
	return c
}

// Quantile returns the value in seconds below or at which the share q (0..1) of the
// observations lies; 0 when there are none. It never exceeds Max.
func (d Dist) Quantile(q float64) float64 {
	if d.hist == nil || d.Count == 0 {
		return 0
	}
	return math.Min(float64(d.hist.ValueAtQuantile(q*100))/1e6, d.Max)
}

// Mean returns Sum ÷ Count in seconds, 0 when empty.
func (d Dist) Mean() float64 {
	if d.Count == 0 {
		return 0
	}
	return d.Sum / float64(d.Count)
}

// Bars returns the histogram's non-empty buckets: upper bound in seconds and count.
func (d Dist) Bars() []Bar {
	if d.hist == nil {
		return nil
	}
	var out []Bar
	for _, b := range d.hist.Distribution() {
		if b.Count > 0 {
			out = append(out, Bar{Upper: float64(b.To) / 1e6, Count: b.Count})
		}
	}
	return out
}

// Bar is one non-empty histogram bucket.
type Bar struct {
	Upper float64 // seconds
	Count int64
}

type distJSON struct {
	Count int64   `json:"count"`
	Sum   float64 `json:"sum"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
	HDR   string  `json:"hdr,omitempty"`
}

func (d Dist) fields() (distJSON, error) {
	j := distJSON{Count: d.Count, Sum: d.Sum, P50: d.Quantile(.5), P95: d.Quantile(.95), P99: d.Quantile(.99), Max: d.Max}
	if d.hist != nil && d.Count > 0 {
		b, err := d.hist.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
		if err != nil {
			return j, fmt.Errorf("encode histogram: %w", err)
		}
		j.HDR = string(b)
	}
	return j, nil
}

func (d *Dist) set(j distJSON) error {
	*d = Dist{Count: j.Count, Sum: j.Sum, Max: j.Max}
	if j.HDR == "" {
		return nil
	}
	h, err := hdrhistogram.Decode([]byte(j.HDR))
	if err != nil {
		return fmt.Errorf("decode hdr: %w", err)
	}
	d.hist = hdrhistogram.New(lowest, highest, digits)
	d.hist.Merge(h)
	return nil
}

// MarshalJSON writes DIST of the file format.
func (d Dist) MarshalJSON() ([]byte, error) {
	j, err := d.fields()
	if err != nil {
		return nil, err
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads DIST of the file format.
func (d *Dist) UnmarshalJSON(b []byte) error {
	var j distJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	return d.set(j)
}

// The embedded Dist would otherwise hide the fields around it, so Stage and PoolWait say
// how they are written.

type stageJSON struct {
	Stage    string `json:"stage"`
	Peer     string `json:"peer,omitempty"`
	Requests int64  `json:"requests"`
	distJSON
}

// MarshalJSON writes the stage's fields and those of its DIST side by side.
func (s Stage) MarshalJSON() ([]byte, error) {
	j, err := s.fields()
	if err != nil {
		return nil, err
	}
	return json.Marshal(stageJSON{s.Stage, s.Peer, s.Requests, j})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Stage) UnmarshalJSON(b []byte) error {
	var j stageJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	s.Stage, s.Peer, s.Requests = j.Stage, j.Peer, j.Requests
	return s.set(j.distJSON)
}

type waitJSON struct {
	Endpoint     string `json:"endpoint"`
	Acquisitions int64  `json:"acquisitions"`
	Waited       int64  `json:"waited"`
	distJSON
}

// MarshalJSON writes the wait's fields and those of its DIST side by side.
func (w PoolWait) MarshalJSON() ([]byte, error) {
	j, err := w.fields()
	if err != nil {
		return nil, err
	}
	return json.Marshal(waitJSON{w.Endpoint, w.Acquisitions, w.Waited, j})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (w *PoolWait) UnmarshalJSON(b []byte) error {
	var j waitJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	w.Endpoint, w.Acquisitions, w.Waited = j.Endpoint, j.Acquisitions, j.Waited
	return w.set(j.distJSON)
}
