package metrics

import (
	"flag"
	"fmt"
	"math"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

var update = flag.Bool("update", false, "write the golden files anew")

const ms = int64(1e6)

var (
	redis  = request.Peer{System: "redis", Address: "10.0.0.7:6379"}
	qdrant = request.Peer{System: "qdrant", Address: "10.0.0.8:6334"}
	ollama = request.Peer{System: "ollama", Address: "10.0.0.9:11434"}
)

// chat is a request of 200 ms that begins at t: Redis with a pool wait, Qdrant over gRPC, and
// three tokens from the language model.
func chat(t int64) *request.Request {
	at := func(n int64) int64 { return t + n*ms }
	return &request.Request{
		ID: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Method: "POST",
		Endpoint: "POST /api/v1/chat", Status: 200, Start: at(0), Arrive: at(0), First: at(100), Last: at(200),
		Spans: []request.Span{
			{Stage: request.ReceiveQueue, Start: at(0), End: at(2)},
			{Stage: request.OnCPU, Start: at(2), End: at(10)},
			{Stage: request.PoolWait, Peer: "redis", Start: at(10), End: at(40)},
			{Stage: request.Upstream, Peer: "redis", Start: at(40), End: at(42)},
			{Stage: request.LoopWait, Start: at(42), End: at(45)},
			{Stage: request.OnCPU, Start: at(45), End: at(50)},
			{Stage: request.Upstream, Peer: "qdrant", Start: at(50), End: at(60)},
			{Stage: request.GILWait, Start: at(60), End: at(61)},
			{Stage: request.Upstream, Peer: "ollama", Start: at(61), End: at(190)},
			{Stage: request.Unexplained, Start: at(190), End: at(200)},
		},
		CPU: 13 * ms,
		Calls: []*request.Call{
			{Peer: redis, Operation: "get", Sent: at(40), FirstArrived: at(42), LastArrived: at(42), LastRead: at(45),
				PoolWait: 30 * ms, PoolWaitUnsure: 10 * ms, Lookups: 1, Finished: true},
			{Peer: qdrant, Operation: "/qdrant.Points/Query", Sent: at(50), LastArrived: at(60), LastRead: at(60), Connect: 2 * ms, Finished: true},
			{Peer: ollama, Operation: "POST /api/chat", Sent: at(61), FirstArrived: at(100), LastArrived: at(190), LastRead: at(190), Finished: true,
				LLM: &request.LLM{Operation: "chat", Model: "smollm2", Stream: true, Tokens: []int64{at(100), at(140), at(180)},
					Chunks: 3, OutputTokens: 3, InputTokens: 20, FromProtocol: true}},
		},
	}
}

// filled is a fixed input that reaches every family.
func filled() *Metrics {
	m := New()
	first := chat(1e9)
	first.Forwards = []int64{ms / 5, ms / 4}
	m.Observe("rag", first)
	m.ObserveLag("rag", request.Lag{Time: 1e9, N: 90})
	m.ObserveLag("rag", request.Lag{Time: 2e9, N: 1, Late: 70 * ms})
	m.ObserveBlock("rag", request.Block{End: 80 * ms, Endpoint: "POST /api/v1/chat"}, "rank (api/search.py)")
	m.ObserveBlock("rag", request.Block{End: 60 * ms}, "")
	cached := chat(2e9)
	cached.Calls = []*request.Call{{Peer: redis, Operation: "GET", Sent: 1, LastArrived: 1 + ms, LastRead: 1 + 2*ms, Lookups: 1, Hits: 1, Finished: true},
		{Peer: redis, Operation: "BLPOP", Sent: 1, Error: "UNBLOCKED client unblocked"}}
	m.Observe("rag", cached)
	m.ObserveCall("rag", &request.Call{Peer: redis, Operation: "PING", Sent: 5, LastArrived: 5 + ms, LastRead: 5 + ms, Finished: true})
	m.AddAllocated("rag", "POST /api/v1/chat", 4096)
	m.SetActive("rag", map[string]int{"POST /api/v1/chat": 3})
	m.SetPools([]PoolState{{Service: "rag", System: "redis", Address: redis.Address, Open: 10, InUse: 7, Limit: 10, Pending: 4, Timeouts: 1, Creates: 12},
		{Service: "rag", System: "qdrant", Address: qdrant.Address, Open: 1, InUse: 1}})
	m.SetMemory("rag", recording.MemoryTick{RSS: 100 << 20, VMS: 900 << 20, Threads: 9}, 12.5)
	m.SetLosses([]recording.Loss{{Source: "ring", Reason: "full", Count: 2}, {Source: "ring", Reason: "full", Count: 1}})
	m.SetProbes([]ProbeState{{Probe: "sock_recv_length", Attached: true, RunSeconds: .25}, {Probe: "sk_data_ready"}})
	m.SetOverhead(recording.Overhead{TargetRatio: .012, SecondsPerRequest: 3e-6, Basis: "calibrated", PrecisionMode: "full", StackRates: []recording.StackRate{{Hz: 47}}, AgentCPURatio: .02, AgentRSSBytes: 50 << 20})
	m.SetPushes(func() PushState {
		return PushState{Sent: 40, Retries: 2, Queued: 3, Dropped: map[string]uint64{"queue_full": 1, "rejected": 0}}
	})
	m.SetBackends([]recording.Backend{
		{Peer: "redis", Address: redis.Address, Values: map[string]float64{"keyspace_hits": 80, "keyspace_misses": 20, "used_memory": 1 << 20,
			"evicted_keys": 0, "expired_keys": 3, "rejected_connections": 0, "total_commands_processed": 120, "used_memory_rss": 2 << 20, "maxmemory": 0,
			"mem_fragmentation_ratio": 2, "connected_clients": 11, "blocked_clients": 1, "instantaneous_ops_per_sec": 40}},
		{Peer: "qdrant", Address: qdrant.Address, Values: map[string]float64{"collections_total": 1, "collections_vector_total": 3000}},
		{Peer: "neo4j", Address: "10.0.0.5:7687", Values: map[string]float64{"node_count": 5, "relationship_count": 7}},
		{Peer: "ollama", Address: ollama.Address, Values: map[string]float64{"loaded_models": 1, "model_bytes": 1e8}},
		{Peer: "redis", Address: "10.0.0.99:6379", Error: "connection refused"},
	})
	return m
}

func TestPageIsGolden(t *testing.T) {
	w := httptest.NewRecorder()
	filled().Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	const file = "testdata/metrics.txt"
	if *update {
		if err := os.WriteFile(file, w.Body.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.Body.String(); got != string(want) {
		t.Errorf("/metrics differs from %s (run with -update and look at the difference):\n%s", file, got)
	}
}

// Names that others chose and that the linter does not like.
var foreign = map[string]string{
	"db_client_connection_count":      "OpenTelemetry's name",
	"process_thread_count":            "OpenTelemetry's name",
	"collections_total":               "Qdrant's own name",
	"collections_vector_total":        "Qdrant's own name",
	"neo4j_node_count":                "the name on existing dashboards",
	"neo4j_relationship_count":        "the name on existing dashboards",
	"redis_instantaneous_ops_per_sec": "redis_exporter's name",
}

func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(filled().Registry())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if _, ok := foreign[p.Metric]; !ok {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestFamiliesAreWhatIsExported(t *testing.T) {
	got, err := filled().Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	exported := map[string]bool{}
	for _, f := range got {
		exported[f.GetName()] = true
	}
	for _, f := range Families() {
		if !exported[f.Name] {
			t.Errorf("%s is in the catalogue, but a full set of facts does not make it", f.Name)
		}
		delete(exported, f.Name)
	}
	for name := range exported {
		t.Errorf("%s is exported, but not in the catalogue", name)
	}
}

func TestHistogramsAreDual(t *testing.T) {
	got, err := filled().Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range got {
		for _, m := range f.GetMetric() {
			if h := m.GetHistogram(); h != nil && (len(h.GetBucket()) == 0 || h.Schema == nil) {
				t.Errorf("%s: classic buckets %d, native %v", f.GetName(), len(h.GetBucket()), h.Schema != nil)
			}
		}
	}
}

func TestStagesAddUpToTheRequest(t *testing.T) {
	got, err := filled().Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := map[string]float64{}
	for _, f := range got {
		for _, m := range f.GetMetric() {
			sum[f.GetName()] += m.GetHistogram().GetSampleSum()
		}
	}
	total, stages := sum["http_server_request_duration_seconds"], sum["http_server_request_stage_duration_seconds"]
	if math.Abs(total-.4) > 1e-9 || math.Abs(total-stages) > 1e-9 {
		t.Errorf("requests took %v s, their stages %v s, want .4 for both", total, stages)
	}
}

func TestExemplarHoldsTheTraceID(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	filled().Handler().ServeHTTP(w, r)
	if want := `# {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.2`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("no exemplar %s", want)
	}
}

func TestLabelsAreBounded(t *testing.T) {
	m := New()
	for i := range 3000 {
		r := chat(int64(i) * 1e9)
		r.Endpoint = fmt.Sprintf("GET /page-%dx", i)
		r.Status = i
		for _, c := range r.Calls {
			c.Peer.Address = fmt.Sprintf("10.1.%d.%d:6379", i/256, i%256)
			c.Operation = fmt.Sprintf("OP%dX", i)
			c.Error = fmt.Sprintf("E%dX happened", i)
			if c.LLM != nil {
				c.LLM.Model = fmt.Sprintf("model %dx", i)
			}
		}
		m.Observe("rag", r)
	}
	labels := map[string]map[string]bool{}
	got, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range got {
		for _, x := range f.GetMetric() {
			for _, l := range x.GetLabel() {
				if labels[l.GetName()] == nil {
					labels[l.GetName()] = map[string]bool{}
				}
				labels[l.GetName()][l.GetValue()] = true
				if strings.Contains(l.GetValue(), "10.1.") {
					t.Fatalf("%s carries an address: %s", f.GetName(), l)
				}
			}
		}
	}
	for name, limit := range map[string]int{route: maxRoutes, "db_operation_name": 2 * maxOperations, errorType: maxErrors,
		"gen_ai_request_model": maxModels, poolName: 3 * (maxPeers + 1)} {
		if n := len(labels[name]); n > limit+2 || n < 3 {
			t.Errorf("%s has %d values, limit %d", name, n, limit)
		}
		if name != poolName && !labels[name][other] {
			t.Errorf("%s does not use %s", name, other)
		}
	}
}

func TestWhatHasNoDurationIsCountedAsLost(t *testing.T) {
	m := New()
	m.Observe("rag", &request.Request{Endpoint: "GET /", Last: 5})
	m.ObserveCall("rag", &request.Call{Peer: redis, Operation: "GET", Sent: 5})
	want := `
# HELP ragscope_lost_events_total Events that happened and were not seen or not understood.
# TYPE ragscope_lost_events_total counter
ragscope_lost_events_total{reason="call_without_response",source="metrics"} 1
ragscope_lost_events_total{reason="request_without_times",source="metrics"} 1
ragscope_lost_events_total{reason="token_arrivals_beyond_limit",source="metrics"} 0
`
	if err := testutil.GatherAndCompare(m.Registry(), strings.NewReader(want), lostEvents.Name); err != nil {
		t.Error(err)
	}
}

func TestActiveRequestsFallToZero(t *testing.T) {
	m := New()
	m.SetActive("rag", map[string]int{"GET /a": 2, "GET /b": 1})
	m.SetActive("rag", map[string]int{"GET /b": 4})
	want := `
# HELP http_server_active_requests Inbound requests that are being served now.
# TYPE http_server_active_requests gauge
http_server_active_requests{http_request_method="GET",http_route="/a",service="rag"} 0
http_server_active_requests{http_request_method="GET",http_route="/b",service="rag"} 4
`
	if err := testutil.GatherAndCompare(m.Registry(), strings.NewReader(want), activeRequests.Name); err != nil {
		t.Error(err)
	}
}

func TestForget(t *testing.T) {
	m := filled()
	m.Forget("rag")
	got, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range got {
		for _, x := range f.GetMetric() {
			for _, l := range x.GetLabel() {
				if l.GetName() == service {
					t.Errorf("%s still has %s", f.GetName(), l)
				}
			}
		}
	}
}

func TestHostileStringsDoNotPanic(t *testing.T) {
	bad := "\xff\xfe \x00"
	m := New()
	m.Observe(bad, &request.Request{Endpoint: bad, Start: 1, Last: 2, Spans: []request.Span{{Stage: request.Send, Peer: bad, End: 1}},
		Calls: []*request.Call{{Peer: request.Peer{System: bad, Address: bad}, Operation: "/" + bad, Error: bad, LLM: &request.LLM{Model: bad}}}})
	m.SetLosses([]recording.Loss{{Source: bad, Reason: bad}})
	m.SetProbes([]ProbeState{{Probe: bad}})
	m.SetOverhead(recording.Overhead{PrecisionMode: bad})
	m.SetPools([]PoolState{{Service: bad, System: bad}})
	m.SetActive(bad, map[string]int{bad: 1})
	m.SetBackends([]recording.Backend{{Peer: bad}})
	if _, err := m.Registry().Gather(); err != nil {
		t.Error(err)
	}
}

func BenchmarkObserve(b *testing.B) {
	m := New()
	r := chat(1e9)
	b.ReportAllocs()
	for b.Loop() {
		m.Observe("rag", r)
	}
}

func BenchmarkObserveWithExemplar(b *testing.B) {
	m := New()
	r := chat(1e9)
	b.ReportAllocs()
	for b.Loop() {
		r.Last += exemplarEvery
		m.Observe("rag", r)
	}
}
