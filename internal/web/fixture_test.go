package web

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

// fixture is a RAG API whose Redis pool is too small: made up, the same each time.
func fixture() *recording.Recording {
	r := rand.New(rand.NewPCG(1, 1))
	dist := func(n int, median float64) (d recording.Dist) {
		for range n {
			d.Observe(median * math.Exp(r.NormFloat64()*.5))
		}
		return d
	}
	endpoint := func(name string, n int, status map[string]int64, parts ...any) recording.Endpoint {
		e := recording.Endpoint{Endpoint: name, Requests: int64(n), Status: status}
		sums := make([]float64, n)
		for i := 0; i < len(parts); i += 3 {
			st := recording.Stage{Stage: parts[i].(string), Peer: parts[i+1].(string), Requests: int64(n)}
			for j := range sums {
				v := parts[i+2].(float64) * math.Exp(r.NormFloat64()*.5)
				sums[j] += v
				st.Observe(v)
			}
			e.Stages = append(e.Stages, st)
		}
		for _, s := range sums {
			e.Latency.Observe(s)
		}
		return e
	}
	search := endpoint("POST /api/v1/retrieval/search", 1312, map[string]int64{"200": 1300, "429": 10, "503": 2},
		request.ReceiveQueue, "", .0008, request.OnCPU, "", .006, request.RunQueue, "", .0006, request.PoolWait, "redis", .034,
		request.Upstream, "redis", .002, request.Upstream, "qdrant", .012, request.Upstream, "neo4j", .009, request.Upstream, "ollama", .013,
		request.LoopWait, "", .0031, request.Unexplained, "", .0004)
	search.Incomplete = 3
	search.Calls = []recording.Call{
		{Peer: "redis", Operation: "GET", Count: 2624, PerRequest: 2, Latency: dist(2624, .0009), PoolWait: dist(2000, .017)},
		{Peer: "qdrant", Operation: "/qdrant.Points/Query", Count: 1312, PerRequest: 1, Latency: dist(1312, .012), Errors: 2},
		{Peer: "neo4j", Operation: "RUN", Count: 1312, PerRequest: 1, Latency: dist(1312, .009)},
		{Peer: "ollama", Operation: "POST /api/embed", Count: 1312, PerRequest: 1, Latency: dist(1312, .013)},
	}
	stream := endpoint("POST /api/v1/chat/stream", 214, map[string]int64{"200": 214},
		request.OnCPU, "", .009, request.PoolWait, "redis", .031, request.PoolWait, "ollama", .02, request.Connect, "ollama", .001, request.Upstream, "redis", .002,
		request.Upstream, "qdrant", .013, request.Upstream, "ollama", .42, request.LoopWait, "", .004, request.Send, "", .001, request.Unexplained, "", .003)
	stream.LLM = &recording.LLM{Streams: 214, Models: []string{"smollm2"}, TimeToFirstToken: dist(214, .14), TimePerToken: dist(3000, .011), OutputTokens: 5120, TokensFrom: "protocol"}
	stream.LLM.ForwardDelay = dist(3000, .0004)
	health := endpoint("GET /health", 60, map[string]int64{"200": 60}, request.OnCPU, "", .0003, request.ReceiveQueue, "", .0001, request.Unexplained, "", .00001)

	rec := &recording.Recording{
		Schema: recording.Schema, Target: recording.Target{Service: "rag-api", PIDs: []int{4711, 4712}, Runtime: "CPython 3.11.7, uvloop", Address: "127.0.0.1:8000"},
		Window:    recording.Window{Start: time.Unix(1.75e9, 0).UTC(), Seconds: 60},
		Endpoints: []recording.Endpoint{health, stream, search},
		EventLoop: &recording.EventLoop{Lag: dist(6000, .0007), Blocks: []recording.LoopBlock{
			{Endpoint: "POST /api/v1/retrieval/search", Function: "rank (api/search.py)", Count: 12, Seconds: 1.1, Longest: .18},
			{Function: "reload (api/cache.py)", Count: 1, Seconds: .06, Longest: .06, Asleep: .055},
		}},
		Pools: []recording.Pool{
			{Peer: "qdrant", Address: "127.0.0.1:6334", Unit: "streams", OpenMax: 1, InUseMax: 1, WaitersMax: 0, Creates: 1},
			{Peer: "redis", Address: "127.0.0.1:6379", Unit: "connections", OpenMax: 10, InUseMax: 10, Limit: 10, LimitBasis: "10 in use while others waited", WaitersMax: 17, Timeouts: 1, Creates: 10,
				Waits: []recording.PoolWait{{Endpoint: "POST /api/v1/retrieval/search", Acquisitions: 2624, Waited: 2000, Dist: dist(2000, .017)}, {Endpoint: "POST /api/v1/chat/stream", Acquisitions: 428, Waited: 300, Dist: dist(300, .016)}}},
		},
		Backends: []recording.Backend{
			{Peer: "neo4j", Address: "127.0.0.1:7687", Version: "5.26.12", Values: map[string]float64{"node_count": 3147, "relationship_count": 14551}},
			{Peer: "ollama", Address: "127.0.0.1:11434", Error: "connect: connection refused"},
			{Peer: "qdrant", Address: "127.0.0.1:6334", Version: "1.20.0", Values: map[string]float64{"collections_total": 1, "collections_vector_total": 3000}},
			{Peer: "redis", Address: "127.0.0.1:6379", Version: "7.0.15", Values: map[string]float64{"keyspace_hits": 812, "keyspace_misses": 500, "used_memory": 1.3e7, "maxmemory": 2.68e8, "connected_clients": 11, "evicted_keys": 0, "instantaneous_ops_per_sec": 93}},
		},
		Losses: []recording.Loss{{Source: "ring buffer", Reason: "full", Count: 0}, {Source: "http2", Reason: "clipped write", Count: 12}},
		Probes: []recording.Probe{{Probe: "sock_recv_length", Attached: true}, {Probe: "sock_send_length", Attached: true}, {Probe: "sched_switch", Attached: true},
			{Probe: "sk_data_ready", Reason: "needs Linux 6.3 or later; receive_queue is taken from tcp_rcv_space_adjust instead"}},
		Overhead:    recording.Overhead{TargetRatio: .0123, SecondsPerRequest: 4.1e-6, Basis: "calibrated cost × runs of each probe", PrecisionMode: "full", AgentCPURatio: .021, AgentRSSBytes: 61 << 20},
		NotMeasured: []recording.NotMeasured{{What: "allocations by endpoint", Why: "asked for with agent memory only"}},
	}
	rec.Memory = recording.Memory{MemoryGrowth: recording.MemoryGrowth{Verdict: "stable", Reason: "in 2:30 min it grew by no more than 810 kB (95 % confidence)", GrowthBytesPerSecond: &recording.Estimate{Estimate: 1200, Low: -3000, High: 5400}},
		Limits:      []recording.MemoryLimit{{What: "asked for", Basis: "--memory-limit", Bytes: 2e9, Peak: 438e6, Of: "RSS of all processes", Share: .219}},
		Composition: &recording.MemoryParts{RSS: 412 << 20, PSS: 380 << 20, Parts: []recording.MemoryPart{{Kind: "Python: object arenas (pymalloc)", Bytes: 210 << 20}, {Kind: "malloc: main heap (brk)", Bytes: 120 << 20}, {Kind: "programs and libraries", Bytes: 60 << 20}}},
	}
	for i := range 60 {
		t, wave := float64(i), math.Sin(float64(i)/7)
		rec.Timeline = append(rec.Timeline, recording.Tick{T: t, Requests: int64(26 + 6*wave + 3*r.Float64()), P95: .12 + .03*wave + .02*r.Float64()})
		rec.Pools[1].Timeline = append(rec.Pools[1].Timeline, recording.PoolTick{T: t, Open: 10, InUse: min(10, int(8+3*wave+2*r.Float64())), Waiting: 3})
		rec.Memory.Timeline = append(rec.Memory.Timeline, recording.MemoryTick{T: t, RSS: uint64(412<<20 + r.IntN(6<<20)), VMS: 2 << 30, Heap: 300 << 20, Threads: 14, FDs: 52})
	}
	return rec
}

// source is a Source that a test fills.
type source struct {
	ready      error
	rec        *recording.Recording
	openError  error
	closeError error
	discarded  *int
	pushes     *Pushes
}

func (s source) Ready() error                    { return s.ready }
func (s source) Recording() *recording.Recording { return s.rec }
func (s source) Live() *recording.Recording      { return s.rec }

func (s source) Pushes() *Pushes { return s.pushes }

func (s source) Profiles() []ProfileState {
	return []ProfileState{
		{Kind: "cpu"}, {Kind: "off_cpu", Why: "switched off"},
		{Kind: "memory", Note: "what the kernel handed out; not what the allocator reused"},
	}
}

func (s source) OpenWindow(name string) (Window, error) {
	return window{s, name}, s.openError
}

func (s source) Profile(_ context.Context, p Profile) ([]byte, error) {
	switch {
	case p.Kind != "cpu":
		return nil, fmt.Errorf("%s samples: %w: start the agent with --profile %s", p.Kind, ErrNotMeasured, p.Kind)
	case p.Endpoint == "broken":
		return nil, errors.New("disk full")
	}
	return []byte("<svg>" + string(p.Format) + p.Endpoint + "</svg>"), nil
}

type window struct {
	src  source
	name string
}

func (w window) Close() (*recording.Recording, error) {
	return &recording.Recording{Schema: recording.Schema, Target: recording.Target{Service: w.name}}, w.src.closeError
}

func (w window) Discard() { *w.src.discarded++ }
