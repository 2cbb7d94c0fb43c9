package recording

import (
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Range and precision of every histogram: 1 µs to 1 h at 3 significant digits.
const (
	lowest  = 1
	highest = 3_600_000_000
	digits  = 3
)

// Dist is a distribution of durations: DIST of the file format. Count, Sum and Max are exact
// in seconds; the percentiles have HdrHistogram's precision of 3 digits.
//
// It keeps only the buckets in use, ascending: an HdrHistogram of this range takes 190 kB, a run
// has hundreds of distributions, and each has a few hundred different values.
// The zero value is an empty distribution, ready to use. Not safe for concurrent use.
type Dist struct {
	Count   int64
	Sum     float64
	Max     float64
	buckets []bin
}

// bin is a bucket in use.
type bin struct {
	low uint32 // its lowest microsecond
	n   int64  // observations
}

// subBuckets is the number of values that a histogram of 3 digits tells apart in each power
// of two.
const subBuckets = 2048

// bucket returns the bounds in microseconds of the HdrHistogram bucket that v lies in.
func bucket(v int64) (low, high int64) {
	shift := max(0, bits.Len64(uint64(v))-bits.Len64(subBuckets-1))
	low = v >> shift << shift
	return low, low + 1<<shift - 1
}

// Observe adds one duration in seconds. Negative and NaN values are a caller's defect and are
// recorded as zero.
func (d *Dist) Observe(seconds float64) {
	if !(seconds > 0) {
		seconds = 0
	}
	d.Count++
	d.Sum += seconds
	d.Max = math.Max(d.Max, seconds)
	us := int64(math.Round(seconds * 1e6))
	d.put(min(max(us, lowest), highest), 1)
}

// ObserveN adds n times the same duration in seconds.
func (d *Dist) ObserveN(seconds float64, n int64) {
	if n <= 0 {
		return
	}
	d.Observe(seconds)
	if n > 1 {
		seconds = math.Max(0, seconds)
		d.Count += n - 1
		d.Sum += seconds * float64(n-1)
		d.put(min(max(int64(math.Round(seconds*1e6)), lowest), highest), n-1)
	}
}

func (d *Dist) put(us, n int64) {
	low, _ := bucket(us)
	i, end := 0, len(d.buckets) // the first bucket that is not below; spelled out, for it is searched for ten times a request
	for i < end {
		if m := int(uint(i+end) >> 1); d.buckets[m].low < uint32(low) {
			i = m + 1
		} else {
			end = m
		}
	}
	if i < len(d.buckets) && d.buckets[i].low == uint32(low) {
		d.buckets[i].n += n
		return
	}
	d.buckets = slices.Insert(d.buckets, i, bin{uint32(low), n})
}

// Merge adds other's observations to d.
func (d *Dist) Merge(other Dist) {
	d.Count += other.Count
	d.Sum += other.Sum
	d.Max = math.Max(d.Max, other.Max)
	if len(d.buckets) == 0 {
		d.buckets = slices.Clone(other.buckets)
		return
	}
	for _, s := range other.buckets {
		d.put(int64(s.low), s.n)
	}
}

// Clone returns an independent copy.
func (d Dist) Clone() Dist {
	d.buckets = slices.Clone(d.buckets)
	return d
}

// Quantile returns the value in seconds below or at which the share q (0..1) of the
// observations lies, as HdrHistogram's ValueAtQuantile; 0 when there are none. It never
// exceeds Max.
func (d Dist) Quantile(q float64) float64 { return d.quantiles(q)[0] }

func (d Dist) quantiles(qs ...float64) []float64 {
	out := make([]float64, len(qs))
	if d.Count == 0 {
		return out
	}
	bars := d.Bars()
	for i, q := range qs {
		rank := max(1, int64(q*float64(d.Count)+0.5))
		var seen int64
		for _, b := range bars {
			if seen += b.Count; seen >= rank {
				out[i] = math.Min(b.Upper, d.Max)
				break
			}
		}
	}
	return out
}

// Mean returns Sum ÷ Count in seconds, 0 when empty.
func (d Dist) Mean() float64 {
	if d.Count == 0 {
		return 0
	}
	return d.Sum / float64(d.Count)
}

// Bars returns the non-empty buckets, ascending.
func (d Dist) Bars() []Bar {
	out := make([]Bar, 0, len(d.buckets))
	for _, s := range d.buckets {
		_, high := bucket(int64(s.low))
		out = append(out, Bar{Upper: float64(high) / 1e6, Count: s.n})
	}
	return out
}

// Bar is one non-empty bucket.
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
	P999  float64 `json:"p99_9,omitempty"`  // tells something from 1,000 observations on
	P9999 float64 `json:"p99_99,omitempty"` // from 10,000 on
	Max   float64 `json:"max"`
	HDR   string  `json:"hdr,omitempty"`
}

func (d Dist) fields() (distJSON, error) {
	q := d.quantiles(.5, .95, .99, .999, .9999)
	j := distJSON{Count: d.Count, Sum: d.Sum, P50: q[0], P95: q[1], P99: q[2], P999: q[3], P9999: q[4], Max: d.Max}
	if len(d.buckets) == 0 {
		return j, nil
	}
	var err error
	j.HDR, err = d.encode(hdrhistogram.New(lowest, highest, digits), 1)
	return j, err
}

// encode fills the empty histogram h, in units of which a microsecond has perMicro, and returns
// it as HdrHistogram V2 compressed, in base64.
func (d Dist) encode(h *hdrhistogram.Histogram, perMicro int64) (string, error) {
	for _, s := range d.buckets {
		if err := h.RecordValues(int64(s.low)*perMicro, s.n); err != nil {
			return "", fmt.Errorf("histogram: %w", err)
		}
	}
	b, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return "", fmt.Errorf("encode histogram: %w", err)
	}
	return string(b), nil
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
	for _, b := range h.Distribution() {
		if b.Count > 0 {
			d.put(min(max(b.From, lowest), highest), b.Count)
		}
	}
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
	Endpoint     string  `json:"endpoint"`
	Acquisitions int64   `json:"acquisitions"`
	Waited       int64   `json:"waited"`
	TimedOut     int64   `json:"timed_out,omitempty"`
	Unsure       float64 `json:"unsure,omitempty"`
	distJSON
}

// MarshalJSON writes the wait's fields and those of its DIST side by side.
func (w PoolWait) MarshalJSON() ([]byte, error) {
	j, err := w.fields()
	if err != nil {
		return nil, err
	}
	return json.Marshal(waitJSON{w.Endpoint, w.Acquisitions, w.Waited, w.TimedOut, w.Unsure, j})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (w *PoolWait) UnmarshalJSON(b []byte) error {
	var j waitJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	w.Endpoint, w.Acquisitions, w.Waited, w.TimedOut, w.Unsure = j.Endpoint, j.Acquisitions, j.Waited, j.TimedOut, j.Unsure
	return w.set(j.distJSON)
}
