package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
)

// The summary never shows a zero for what was not measured.
func TestSummaryOfThePrice(t *testing.T) {
	for name, c := range map[string]struct {
		overhead recording.Overhead
		want     string
	}{
		"measured": {
			recording.Overhead{PrecisionMode: "linked", TargetRatio: .0125, SecondsPerRequest: 42e-6, AgentCPURatio: .03, AgentRSSBytes: 90 << 20, Basis: "run time of the BPF programs"},
			"precision linked; cost to the target on average 1.25 % of its CPU, 42.0 µs a request; agent 3.0 % of a core, 90 MB",
		},
		"no price of traps": {
			recording.Overhead{PrecisionMode: "full", AgentCPURatio: .03, AgentRSSBytes: 90 << 20, Basis: "not measured: BPF statistics are off"},
			"precision full; cost to the target not measured: BPF statistics are off; agent 3.0 % of a core, 90 MB",
		},
		"too short": {
			recording.Overhead{PrecisionMode: "full"},
			"precision full; cost to the target not measured: it was watched for less than a second; agent's own cost neither",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			summary(&out, &recording.Recording{Overhead: c.overhead})
			if !strings.Contains(out.String(), "\n"+c.want+"\n") {
				t.Errorf("summary:%s\nwant %s", out.String(), c.want)
			}
		})
	}
}

// Endpoints with their largest stages, pools with their waits, and every loss.
func TestSummary(t *testing.T) {
	dist := func(seconds float64) recording.Dist {
		var d recording.Dist
		d.Observe(seconds)
		return d
	}
	rec := &recording.Recording{
		Target: recording.Target{Service: "shop", Address: "127.0.0.1:8000", Runtime: "CPython 3.12"},
		Endpoints: []recording.Endpoint{{
			Endpoint: "GET /items/{id}", Requests: 1, Latency: dist(.2), CPUSeconds: .05,
			Stages: []recording.Stage{
				{Stage: "on_cpu", Dist: dist(.05)}, {Stage: "pool_wait", Peer: "redis", Dist: dist(.13)},
				{Stage: "unexplained", Dist: dist(.02)}, {Stage: "send", Dist: dist(.0001)},
			},
		}},
		Pools: []recording.Pool{
			{Peer: "redis", Address: "r:6379", Limit: 10, OpenMax: 10, InUseMax: 10, Waits: []recording.PoolWait{{Acquisitions: 7, Waited: 3, Dist: dist(.13)}}},
			{Peer: "http", Address: "h:80"},
		},
		Memory:      recording.Memory{MemoryGrowth: recording.MemoryGrowth{Verdict: "stable", Reason: "in 3:00 min it did not grow"}},
		Losses:      []recording.Loss{{Source: "ring", Reason: "full", Count: 3}, {Source: "heart", Reason: "late"}},
		Bottlenecks: []recording.Bottleneck{{Priority: "P0", Where: "redis", Recommendation: "more connections"}},
	}
	var out bytes.Buffer
	summary(&out, rec)
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"shop 127.0.0.1:8000 CPython 3.12",
		"GET /items/{id} 1 200.", "10.0 % pool_wait redis 65 % on_cpu 25 % unexplained 10 %",
		"redis r:6379", "10 10 10 7 3 130.", "not reached",
		"lost: ring: full: 3", "memory: stable: in 3:00 min it did not grow", "P0 redis: more connections",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	for _, never := range []string{"nothing was lost", "late", "send"} {
		if strings.Contains(text, never) {
			t.Errorf("%q in\n%s", never, out.String())
		}
	}
}
