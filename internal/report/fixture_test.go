package report

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
)

// The fixture is invented, for the tests of this package only: four load levels of a RAG API
// whose Redis pool and LLM server fill up as the load grows. It is drawn from a fixed seed.

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// level is a scenario of the fixture.
type level struct {
	name    string
	start   float64 // seconds after noon
	seconds int
	rate    float64 // requests per second
	pool    float64 // mean wait for a Redis connection, seconds
	first   float64 // mean time to the first token, seconds
	errors  float64
}

var levels = []level{
	{"baseline", 0, 30, 8, .002, .12, 0},
	{"ramp", 34, 24, 14, .03, .2, 0},
	{"peak", 62, 20, 20, .12, .55, .004},
	{"breaking", 86, 30, 26, .42, 1.4, .06},
}

// draws makes the durations of one scenario.
type draws struct {
	*rand.Rand
	level
}

func (d *draws) about(mean float64) float64 { return mean * math.Exp(.45*d.NormFloat64()-.1) }

type part struct {
	stage, peer string
	seconds     float64
}

func fixture() Input {
	var in Input
	for i, l := range levels {
		in.Scenarios = append(in.Scenarios, (&draws{rand.New(rand.NewPCG(7, uint64(i))), l}).recording())
	}
	return in
}

func (d *draws) recording() *recording.Recording {
	r := &recording.Recording{
		Target:   recording.Target{Service: "rag-api", PIDs: []int{4711, 4712}, Runtime: "CPython 3.11.7, uvloop", Address: "127.0.0.1:8000"},
		Window:   recording.Window{Start: noon.Add(time.Duration(d.start * 1e9)), Seconds: float64(d.seconds)},
		Host:     recording.Host{Kernel: "6.18.5", OS: "Debian GNU/Linux 12", Arch: "amd64", CPUs: 2, CPUModel: "Fixture CPU", MemoryBytes: 8_326_000_000},
		Scenario: &recording.Scenario{Name: d.name, Rate: d.rate, RunTime: float64(d.seconds), Host: "http://127.0.0.1:8000", ScheduleLagP99: .0004, CPUBusyRatio: math.Min(.97, d.rate/28), LoaderCPURatio: .05},
		EventLoop: &recording.EventLoop{Blocks: []recording.LoopBlock{
			{Endpoint: "POST /api/v1/chat", Function: "build_prompt (api/prompt.py)", Count: 7, Seconds: .49, Longest: .081},
			{Endpoint: "POST /api/v1/retrieval/search", Function: "read_stopwords (api/text.py)", Count: 2, Seconds: .24, Longest: .13, Asleep: .22, Queued: .01},
		}},
		Losses:   []recording.Loss{{Source: "ring buffer", Reason: "full", Count: 0}, {Source: "http2", Reason: "joined mid-connection", Count: 3}},
		Probes:   []recording.Probe{{Probe: "sock_send_length", Attached: true}, {Probe: "sock_recv_length", Attached: true}, {Probe: "PyContext_Enter", Reason: "its entry cannot be emulated on this build"}},
		Overhead: recording.Overhead{TargetRatio: .011, SecondsPerRequest: 6.2e-6, Basis: "probe costs calibrated at start × hits", PrecisionMode: "core", StackRates: []recording.StackRate{{Hz: 97, Seconds: 45}, {Hz: 47, Seconds: 15}}, AgentCPURatio: .021, AgentRSSBytes: 61_000_000},
		NotMeasured: []recording.NotMeasured{
			{What: "memory hot spots", Why: "the malloc probe costs too much to be on by default"},
			{What: "gil_wait", Why: "only one thread of the target runs Python"}},
		Backends: []recording.Backend{{Peer: "redis", Address: "127.0.0.1:6379", Version: "7.0.15",
			Values: map[string]float64{"redis_memory_used_bytes": 41_200_000}, Rates: map[string]float64{"redis_evicted_keys_total": 0, "redis_keyspace_hits_total": 3 * d.rate, "redis_keyspace_misses_total": d.rate}},
			{Peer: "ollama", Address: "127.0.0.1:11434", Version: "0.6.5"}},
	}
	r.EventLoop.Lag.ObserveN(0, int64(d.seconds)*90)
	r.EventLoop.Lag.ObserveN(.004, int64(d.seconds)*9)
	r.EventLoop.Lag.ObserveN(.06, int64(d.seconds))
	ticks := make([]recording.Dist, d.seconds)
	failed := make([]int64, d.seconds)
	for _, e := range []struct {
		name  string
		share float64
	}{{"POST /api/v1/retrieval/search", .6}, {"POST /api/v1/chat", .2}, {"POST /api/v1/chat/stream", .12}, {"GET /health", .08}} {
		r.Endpoints = append(r.Endpoints, d.endpoint(e.name, int(e.share*d.rate*float64(d.seconds)), ticks, failed))
	}
	for i := range r.Endpoints {
		r.Scenario.Requests += r.Endpoints[i].Client.Requests
		r.Scenario.Failures += r.Endpoints[i].Client.Failures
	}
	r.Scenario.RequestsPerSec = float64(r.Scenario.Requests) / float64(d.seconds)
	for t, k := range ticks {
		r.Timeline = append(r.Timeline, recording.Tick{T: float64(t) + .5, Requests: k.Count, Errors: failed[t], P50: k.Quantile(.5), P95: k.Quantile(.95), Max: k.Max, CPU: .3 + d.rate/40})
		at := d.start + float64(t)
		r.Memory.Timeline = append(r.Memory.Timeline, recording.MemoryTick{T: float64(t), RSS: uint64(412e6 + 9e6*math.Log1p(at) + 2e6*d.Float64()), Heap: uint64(270e6 + 8e6*math.Log1p(at)), VMS: uint64(1.9e9 + 1e5*at), Threads: 21 + t%3})
	}
	r.Memory.Composition = &recording.MemoryParts{RSS: 420e6, PSS: 300e6, Anonymous: 280e6, File: 140e6, Parts: []recording.MemoryPart{
		{Kind: "Python: object arenas (pymalloc)", Bytes: 280e6, Mappings: 12, Basis: "anonymous mappings of a multiple of 1024 KiB"}, {Kind: "programs and libraries", Bytes: 140e6, Mappings: 300, Basis: "files that are also mapped as code"},
	}}
	r.Memory.MemoryGrowth = recording.MemoryGrowth{
		Verdict: "stable", Reason: "in 4:40 min and 7,000 requests it grew by no more than 12.9 MB (95 % confidence)",
		GrowthBytesPerSecond: &recording.Estimate{Estimate: 21_000, Low: -4_000, High: 46_000}, GrowthPerThousand: &recording.Estimate{Estimate: 840_000, Low: -160_000, High: 1_840_000},
	}
	r.Pools = d.pools(r)
	r.Normalise()
	return r
}

// endpoint draws the requests of one endpoint; their stages add up to their latency.
func (d *draws) endpoint(name string, n int, ticks []recording.Dist, failed []int64) recording.Endpoint {
	e := recording.Endpoint{Endpoint: name, Status: map[string]int64{}, Client: &recording.Client{}}
	chat := name != "GET /health" && name != "POST /api/v1/retrieval/search"
	if chat {
		e.LLM = &recording.LLM{Models: []string{"smollm2"}, Operation: "chat", TokensFrom: "protocol"}
	}
	for i := range n {
		total := 0.0
		for _, p := range d.parts(name) {
			total += p.seconds
			addStage(&e, p)
			d.addCall(&e, p)
		}
		d.observe(&e, total)
		second := min(len(ticks)-1, i*len(ticks)/max(1, n))
		ticks[second].Observe(total)
		if d.Float64() < d.errors && name != "GET /health" {
			failed[second]++
			e.Client.Failures++
			e.Status["503"]++
		} else {
			e.Status["200"]++
		}
	}
	if e.Client.Failures > 0 {
		e.Client.Errors = []recording.Failure{{Error: "503 Service Unavailable", Count: e.Client.Failures}}
	}
	e.CPUSeconds, e.OffCPUSeconds = stageSum(&e, "on_cpu"), stageSum(&e, "run_queue")
	e.Sleeps = []recording.SleepPlace{
		{Function: "embed (api/embed.py)", What: recording.WaitsForGIL, Samples: int64(n / 4), Seconds: e.CPUSeconds / 8},
		{Function: "handler (api/main.py)", What: "[sleeps for a time]", Main: true, Samples: int64(n / 20), Seconds: e.CPUSeconds / 20},
	}
	for i := range e.Calls {
		e.Calls[i].PerRequest = float64(e.Calls[i].Count) / float64(max(1, e.Requests))
	}
	return e
}

// parts draws the stages of one request; a third of the chats is answered from the cache.
func (d *draws) parts(name string) []part {
	busy := d.rate / 26
	own := []part{{"receive_queue", "", d.about(.0004 + .02*busy*busy)}, {"on_cpu", "", d.about(.0018)}, {"run_queue", "", d.about(.0002 + .003*busy)},
		{"loop_wait", "", d.about(.0003 + .012*busy*busy)}, {"unexplained", "", d.about(.00006)}}
	if name == "GET /health" {
		return own[:2]
	}
	own = append(own, part{"upstream", "redis", d.about(.0011)}, part{"pool_wait", "redis", d.about(d.pool)})
	if d.Float64() < .33 {
		return own
	}
	own = append(own, part{"upstream", "qdrant", d.about(.0062)}, part{"upstream", "ollama /embed", d.about(.014 + .03*busy)})
	if d.Float64() < .6 {
		own = append(own, part{"upstream", "neo4j", d.about(.0081)})
	}
	if name != "POST /api/v1/retrieval/search" {
		own = append(own, part{"upstream", "ollama first", d.about(d.first)}, part{"upstream", "ollama tokens", d.about(24 * .0094)})
	}
	return own
}

// addStage books a part; the ollama parts are one stage.
func addStage(e *recording.Endpoint, p part) {
	peer, _, _ := strings.Cut(p.peer, " ")
	i := slices.IndexFunc(e.Stages, func(s recording.Stage) bool { return s.Stage == p.stage && s.Peer == peer })
	if i < 0 {
		e.Stages = append(e.Stages, recording.Stage{Stage: p.stage, Peer: peer})
		i = len(e.Stages) - 1
	}
	e.Stages[i].Requests++
	e.Stages[i].Observe(p.seconds)
}

func (d *draws) addCall(e *recording.Endpoint, p part) {
	if p.stage != "upstream" {
		return
	}
	operation := map[string]string{"redis": "GET", "qdrant": "/qdrant.Points/Query", "neo4j": "RUN", "ollama /embed": "POST /api/embed", "ollama tokens": "POST /api/chat"}[p.peer]
	if p.peer == "ollama first" {
		e.LLM.Streams++
		e.LLM.TimeToFirstToken.Observe(p.seconds)
		return
	}
	if p.peer == "ollama tokens" {
		for range 24 {
			e.LLM.TimePerToken.Observe(p.seconds / 24)
			e.LLM.ForwardDelay.Observe(.0004)
		}
		e.LLM.OutputTokens += 24
		e.LLM.InputTokens += 180
	}
	peer, _, _ := strings.Cut(p.peer, " ")
	i := slices.IndexFunc(e.Calls, func(c recording.Call) bool { return c.Operation == operation })
	if i < 0 {
		e.Calls = append(e.Calls, recording.Call{Peer: peer, Operation: operation})
		i = len(e.Calls) - 1
	}
	e.Calls[i].Count++
	e.Calls[i].Latency.Observe(p.seconds)
	e.Calls[i].FirstByte.Observe(p.seconds * .7)
	if peer == "redis" {
		if d.Float64() < .33 {
			e.Cache.Hits++
		} else {
			e.Cache.Misses++
		}
	}
}

// observe books a request in both clocks, and searches by their task.
func (d *draws) observe(e *recording.Endpoint, total float64) {
	e.Requests++
	e.Latency.Observe(total)
	e.FirstByte.Observe(total * .9)
	c := e.Client
	c.Requests++
	service := total + .0004
	response := service + .0002
	c.Service.Observe(service)
	c.Response.Observe(response)
	if e.Endpoint != "POST /api/v1/retrieval/search" {
		return
	}
	if c.Tasks == nil {
		c.Tasks = []recording.Task{{Name: "/api/v1/retrieval/search [hybrid]"}, {Name: "/api/v1/retrieval/search [vector]"}}
	}
	k := &c.Tasks[0]
	if d.Float64() < .15 {
		k = &c.Tasks[1]
	}
	k.Requests++
	k.Response.Observe(response)
	k.Service.Observe(service)
}

func (d *draws) pools(r *recording.Recording) []recording.Pool {
	redis := recording.Pool{Peer: "redis", Address: "127.0.0.1:6379", Unit: "connections", OpenMax: 10, InUseMax: min(10, int(d.rate/2)), Creates: 10}
	streams := recording.Pool{Peer: "qdrant", Address: "127.0.0.1:6334", Unit: "streams", OpenMax: 1, InUseMax: 7, Creates: 1}
	if d.pool > .01 {
		redis.InUseMax, redis.Limit, redis.LimitBasis = 10, 10, "in use while others waited"
		redis.WaitersMax = int(d.rate * d.pool * 4)
	}
	for i := range r.Endpoints {
		e := &r.Endpoints[i]
		for _, s := range e.Stages {
			if s.Stage == "pool_wait" {
				redis.Waits = append(redis.Waits, recording.PoolWait{Endpoint: e.Endpoint, Acquisitions: 2 * e.Requests, Waited: s.Requests, Dist: s.Clone()})
				redis.Holders = append(redis.Holders, recording.Holder{Endpoint: e.Endpoint, Seconds: .02 * float64(e.Requests)})
			}
		}
	}
	for t := range d.seconds {
		swing := .7 + .3*math.Sin(float64(t)/3) + .2*d.Float64()
		redis.Timeline = append(redis.Timeline, recording.PoolTick{T: float64(t), Open: 10, InUse: min(10, int(float64(redis.InUseMax)*swing+.5)), Waiting: int(float64(redis.WaitersMax) * swing * .8)})
		streams.Timeline = append(streams.Timeline, recording.PoolTick{T: float64(t), Open: 1, InUse: int(7 * swing * d.rate / 26)})
	}
	return []recording.Pool{redis, streams}
}
