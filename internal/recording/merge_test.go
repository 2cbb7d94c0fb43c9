package recording

import (
	"math"
	"strings"
	"testing"
)

func TestMergeAddsUp(t *testing.T) {
	late := part(30, "peak")
	late.Pools[0].Limit, late.Pools[0].LimitBasis = 4, "in use while others waited"
	late.Endpoints[0].AllocatedBytes = nil
	late.Probes[0] = Probe{Probe: "send", Reason: "not allowed"}
	late.Overhead.PrecisionMode = "lean"
	m, err := Merge(late, part(0, "baseline")) // in any order
	if err != nil {
		t.Fatal(err)
	}
	chat := m.Endpoints[1]
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	near("window", m.Window.Seconds, 40)
	near("requests", float64(chat.Requests), 4)
	near("latency sum", chat.Latency.Sum, .8)
	near("status", float64(chat.Status["200"]), 4)
	near("stages", float64(len(chat.Stages)), 2)
	near("stage sum", chat.Stages[1].Sum, .4)
	near("calls per request", chat.Calls[0].PerRequest, 2)
	near("client", float64(chat.Client.Requests), 4)
	near("client errors", float64(chat.Client.Errors[0].Count), 2)
	near("task", float64(chat.Client.Tasks[0].Response.Count), 4)
	near("pool limit", float64(m.Pools[0].Limit), 4)
	near("pool waited", float64(m.Pools[0].Waits[0].Waited), 2)
	near("pool tick", m.Pools[0].Timeline[1].T, 31)
	near("memory tick", m.Memory.Timeline[1].T, 32)
	near("tick", m.Timeline[1].T, 33)
	near("backend value", m.Backends[0].Values["keys"], 30)
	near("backend rate", m.Backends[0].Rates["hits"], (1*30+31*10)/40.)
	near("losses", float64(m.Losses[0].Count), 6)
	near("scenario requests", float64(m.Scenario.Requests), 40)
	near("scenario rate", m.Scenario.RequestsPerSec, 2)
	if chat.AllocatedBytes != nil {
		t.Error("allocations that one part did not measure must be unknown")
	}
	if m.Probes[0].Attached || m.Probes[0].Reason != "not allowed" {
		t.Errorf("probe %+v: attached in one part only is not attached", m.Probes[0])
	}
	if m.Memory.GrowthBytesPerSecond != nil || len(m.NotMeasured) != 1 {
		t.Errorf("growth across a gap must be named as not measured, have %+v", m.NotMeasured)
	}
	if m.Scenario.Name != "baseline, peak" || m.Overhead.PrecisionMode != "core, then lean" {
		t.Errorf("names: %q, %q", m.Scenario.Name, m.Overhead.PrecisionMode)
	}
}

func TestMergeRefuses(t *testing.T) {
	if _, err := Merge(); err == nil {
		t.Error("no recordings: want an error")
	}
	if _, err := Merge(part(0, "a"), part(5, "b")); err == nil || !strings.Contains(err.Error(), "count twice") {
		t.Errorf("overlapping windows: %v", err)
	}
}

func TestMergeOfOneChangesNothing(t *testing.T) {
	p := part(0, "a")
	m, err := Merge(p)
	if err != nil {
		t.Fatal(err)
	}
	if m.Memory.GrowthBytesPerSecond == nil || *m.Endpoints[1].AllocatedBytes != 100 || len(m.NotMeasured) != 0 {
		t.Errorf("lost facts: %+v", m)
	}
	if m.Endpoints[1].Status["200"]++; p.Endpoints[0].Status["200"] != 2 {
		t.Error("the part was changed")
	}
}

func TestJoinClients(t *testing.T) {
	whole := part(0, "")
	whole.Scenario = nil
	for i := range whole.Endpoints {
		whole.Endpoints[i].Client = nil
	}
	late := part(30, "peak")
	late.Endpoints = append(late.Endpoints, Endpoint{Endpoint: "GET /gone", Client: &Client{Requests: 9}})
	JoinClients(whole, part(0, "baseline"), late)
	if n := whole.Endpoints[2].Client.Requests; n != 4 || whole.Endpoints[2].Requests != 2 {
		t.Errorf("client requests %d, want 4; the agent's must stay", n)
	}
	if e := whole.Endpoints[0]; e.Endpoint != "GET /gone" || e.Requests != 0 || e.Client.Requests != 9 {
		t.Errorf("an endpoint that only the loader knows: %+v", e)
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Seconds(0), "0 s"}, {Seconds(.00082), "820 µs"}, {Seconds(.0412), "41.2 ms"}, {Seconds(1.236), "1.24 s"}, {Seconds(.9999), "1.00 s"},
		{Seconds(99.97), "100 s"}, {Seconds(3700), "61 min 40 s"}, {Seconds(-.002), "-2.00 ms"},
		{Bytes(0), "0 B"}, {Bytes(1.8e9), "1.80 GB"}, {Bytes(999.6), "1.00 kB"},
		{Share(.624), "62 %"}, {Share(.0034), "0.34 %"}, {Share(.00001), "< 0.01 %"}, {Share(0), "0 %"},
		{Number(12840), "12,840"}, {Number(-1234567), "-1,234,567"}, {Number(7), "7"}, {Rate(48.52), "48.5 /s"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
