package recording

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
)

func TestDistAgreesWithHdrHistogram(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var d Dist
	h := hdrhistogram.New(lowest, highest, digits)
	for range 20_000 {
		seconds := math.Exp(rng.NormFloat64()*2 - 5)
		d.Observe(seconds)
		if err := h.RecordValue(max(1, int64(math.Round(seconds*1e6)))); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []float64{0, .01, .5, .9, .95, .99, .999} {
		want := float64(h.ValueAtQuantile(q*100)) / 1e6
		if got := d.Quantile(q); got != want {
			t.Errorf("quantile %g: %g, HdrHistogram says %g", q, got, want)
		}
	}
	if got := d.Quantile(1); got != d.Max {
		t.Errorf("quantile 1 is %g, max %g", got, d.Max)
	}
}

func TestDistSurvivesItsFile(t *testing.T) {
	var d Dist
	for _, s := range []float64{0, 0.000001, 0.0042, 0.0042, 1.5, 7200} {
		d.Observe(s)
	}
	b, err := json.Marshal(Stage{Stage: "on_cpu", Requests: 6, Dist: d})
	if err != nil {
		t.Fatal(err)
	}
	var back Stage
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if back.Count != d.Count || back.Sum != d.Sum || back.Max != d.Max || back.Requests != 6 {
		t.Errorf("came back as %+v", back)
	}
	for _, q := range []float64{.5, .95, 1} {
		if back.Quantile(q) != d.Quantile(q) {
			t.Errorf("quantile %g: %g before, %g after", q, d.Quantile(q), back.Quantile(q))
		}
	}
}

func TestDistMergeIsObservingBoth(t *testing.T) {
	var a, b, both Dist
	for i := range 1000 {
		s := float64(i*i) / 1e5
		both.Observe(s)
		if i%3 == 0 {
			a.Observe(s)
		} else {
			b.Observe(s)
		}
	}
	c := a.Clone()
	c.Merge(b)
	if c.Count != both.Count || c.Quantile(.95) != both.Quantile(.95) || c.Max != both.Max {
		t.Errorf("merged %+v, observed %+v", c, both)
	}
	if a.Count == c.Count {
		t.Error("the clone shares its count")
	}
}
