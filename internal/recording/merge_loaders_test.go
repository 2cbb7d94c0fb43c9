package recording

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// shardOf is what one of three loaders left: every third of the latencies.
func shardOf(index int, latencies []float64) *Recording {
	c := &Client{}
	for i, s := range latencies {
		if i%3 == index {
			c.Requests++
			c.Response.Observe(s)
			c.Service.Observe(s / 2)
		}
	}
	c.Tasks = []Task{{Name: "/chat", Requests: c.Requests, Bytes: 10 * c.Requests, Response: c.Response.Clone(), Service: c.Service.Clone()}}
	r := &Recording{Schema: Schema, Window: Window{Start: time.Unix(1795431890+int64(index), 0), Seconds: 10},
		NotMeasured: []NotMeasured{{"all", "no agent"}}}
	r.Join(Scenario{Name: "peak", Shard: string(rune('1'+index)) + "/3", Users: 9, Requests: c.Requests, RequestsPerSec: float64(c.Requests) / 10}, []Endpoint{{Endpoint: "POST /chat", Client: c}})
	return r
}

// Three loaders merge into exactly what one would have measured.
func TestMergeLoadersIsExact(t *testing.T) {
	var latencies []float64
	whole := Dist{}
	for i := range 10_000 {
		s := float64(1+i*i%999_983) / 1e6
		latencies = append(latencies, s)
		whole.Observe(s)
	}
	parts := []*Recording{shardOf(2, latencies), shardOf(0, latencies), shardOf(1, latencies)}
	m, err := MergeLoaders(parts...)
	if err != nil {
		t.Fatal(err)
	}
	got := m.Endpoints[0].Client
	if got.Requests != 10_000 || !slices.Equal(got.Response.Bars(), whole.Bars()) || got.Response.Max != whole.Max || got.Tasks[0].Bytes != 100_000 {
		t.Errorf("%d requests, max %g of %g, %d bytes", got.Requests, got.Response.Max, whole.Max, got.Tasks[0].Bytes)
	}
	for _, q := range []float64{.5, .99, .9999} {
		if got.Response.Quantile(q) != whole.Quantile(q) {
			t.Errorf("p%g: %g, want %g", q*100, got.Response.Quantile(q), whole.Quantile(q))
		}
	}
	if s := m.Scenario; s.Users != 9 || s.Requests != 10_000 || s.RequestsPerSec != 1000 || m.Window.Seconds != 12 || len(m.NotMeasured) != 1 {
		t.Errorf("%+v, window %+v, not measured %v", s, m.Window, m.NotMeasured)
	}
	if parts[0].Endpoints[0].Client.Requests != 3333 || len(parts[0].NotMeasured) != 1 {
		t.Error("a part was changed")
	}
}

func TestMergeLoadersComplains(t *testing.T) {
	latencies := []float64{1, 2, 3}
	a, b := shardOf(0, latencies), shardOf(1, latencies)
	for want, parts := range map[string][]*Recording{
		"parts 1 and 2 are the same shard 1/3": {a, a},
		"part 2 holds no load":                 {a, {}},
		"no recordings":                        nil,
	} {
		if _, err := MergeLoaders(parts...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	m, err := MergeLoaders(a, b)
	if err != nil || m.NotMeasured[1].Why != "shards are missing: 3/3" {
		t.Errorf("%+v, %v", m.NotMeasured, err)
	}
	// Loaders that are no shards add up.
	a.Scenario.Shard, b.Scenario.Shard = "", ""
	if m, err := MergeLoaders(a, b); err != nil || m.Scenario.Users != 18 {
		t.Errorf("%+v, %v", m.Scenario, err)
	}
}
