package metrics

import (
	"math"
	"sort"

	"github.com/prometheus/client_golang/prometheus"
)

// Kind is a metric's type.
type Kind string

// The kinds in use.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Family is one metric that this package can export.
type Family struct {
	Name    string
	Help    string
	Kind    Kind
	Labels  []string
	buckets []float64
}

// Bucket bounds. The latency and gen_ai bounds are those that the OpenTelemetry semantic
// conventions advise (http-metrics, gen-ai-metrics); databases and pools answer faster than
// that, stages are shorter still.
var (
	latencyBuckets = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	dbBuckets      = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	stageBuckets   = geometric(10e-6, 2.5, 16) // 10 µs … 9.3 s
	llmBuckets     = []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	firstBuckets   = []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	chunkBuckets   = []float64{.001, .0025, .005, .01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5}
	tokenBuckets   = []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576}
)

// geometric returns n bounds from first, each factor times the last, rounded to three
// significant digits so that the le labels stay readable.
func geometric(first, factor float64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		v := first * math.Pow(factor, float64(i))
		unit := math.Pow(10, 2-math.Floor(math.Log10(v)))
		out[i] = math.Round(v*unit) / unit
	}
	return out
}

const (
	service   = "service"
	method    = "http_request_method"
	route     = "http_route"
	status    = "http_response_status_code"
	dbSystem  = "db_system_name"
	poolName  = "db_client_connection_pool_name"
	errorType = "error_type"
	server    = "server_address"
	peer      = "peer"
	function  = "code_function_name"
)

var genAI = []string{service, "gen_ai_operation_name", "gen_ai_request_model", server, route}

// Requests.
var (
	requestDuration = histogram("http_server_request_duration_seconds",
		"Time of inbound requests, from their arrival in the kernel to the last response byte.",
		latencyBuckets, service, method, route, status)
	stageDuration = histogram("http_server_request_stage_duration_seconds",
		"Time of a request in one stage, for requests in which it occurred. The sums over all stages add up to the requests' time.",
		stageBuckets, service, method, route, "stage", peer)
	activeRequests = gauge("http_server_active_requests",
		"Inbound requests that are being served now.", service, method, route)
	endpointCPU = counter("ragscope_endpoint_cpu_seconds_total",
		"CPU time of the requests' execution contexts.", service, route)
	endpointAllocated = counter("ragscope_endpoint_allocated_bytes_total",
		"Private memory that the endpoint's requests touched for the first time. What the allocator had already is not in it.", service, route)
	endpointCache = counter("ragscope_endpoint_cache_requests_total",
		"Cache look-ups in Redis by their replies.", service, route, "result")
	loopLag = histogram("ragscope_eventloop_lag_seconds",
		"How late a timer of the target's event loop was that is due every 10 ms.", stageBuckets, service)
	loopBlocked = counter("ragscope_eventloop_blocked_seconds_total",
		"Seconds that turns of the event loop of more than 50 ms took, by the endpoint that ran for most of it and the function that most stacks name.",
		service, route, function)
	gilWait = histogram("ragscope_gil_wait_seconds",
		"Single waits of a request's thread for the GIL.", stageBuckets, service)
)

// Calls and pools.
var (
	dbDuration = histogram("db_client_operation_duration_seconds",
		"Time of database operations, from the last sent byte to the last byte that arrived.",
		dbBuckets, service, dbSystem, "db_operation_name", route, errorType)
	poolWait = histogram("db_client_connection_wait_time_seconds",
		"How long calls waited for a connection of the pool; calls that did not wait count as zero.",
		dbBuckets, service, dbSystem, poolName, route)
	poolUnsure = counter("ragscope_pool_wait_unsure_seconds_total",
		"Seconds of the waits for a connection that may have been spent on something else, as a lock or semaphore on the way.", service, dbSystem, poolName, route)
	poolUse = histogram("db_client_connection_use_time_seconds",
		"How long calls had a connection in use, from the send to the last byte read. A lower bound where code keeps a connection between calls.",
		dbBuckets, service, dbSystem, poolName, route)
	poolCreate = histogram("db_client_connection_create_time_seconds",
		"Time to make a new connection: DNS, TCP, TLS.", dbBuckets, service, dbSystem, poolName)
	poolCount = gauge("db_client_connection_count",
		"Connections of the pool by state, idle or used.", service, poolName, "db_client_connection_state")
	poolMax = gauge("db_client_connection_max",
		"Limit of the pool as seen in practice; absent until it was reached.", service, poolName)
	poolPending = gauge("db_client_connection_pending_requests",
		"Execution contexts that wait for a connection now.", service, poolName)
	poolTimeouts = counter("db_client_connection_timeouts_total",
		"Waits for a connection that likely ended without one: they leave nothing on the wire, so they are told by the way the request goes on.", service, poolName)
	poolCreates = counter("ragscope_pool_connections_created_total",
		"Connections that the pool made.", service, poolName)
	poolLeaked = gauge("ragscope_pool_connections_leaked",
		"Open connections that requests took and likely never gave back.", service, poolName)
	httpDuration = histogram("http_client_request_duration_seconds",
		"Time of outgoing HTTP calls, from the last sent byte to the last byte that arrived. The server's address is the name of its system.",
		latencyBuckets, service, server, method, status, errorType, route)
	rpcDuration = histogram("rpc_client_call_duration_seconds",
		"Time of outgoing gRPC calls, from the last sent byte to the last byte that arrived. The server's address is the name of its system.",
		dbBuckets, service, server, "rpc_method", "rpc_response_status_code", route)
)

// Language models.
var (
	llmDuration = histogram("gen_ai_client_operation_duration_seconds",
		"Time of calls to a language model.", llmBuckets, append(genAI, errorType)...)
	llmFirst = histogram("gen_ai_client_operation_time_to_first_chunk_seconds",
		"Time from the last sent byte to the arrival of the first chunk with tokens, streamed calls only.", firstBuckets, genAI...)
	llmChunk = histogram("gen_ai_client_operation_time_per_output_chunk_seconds",
		"Gaps between the arrivals of chunks with tokens.", chunkBuckets, genAI...)
	llmForward = histogram("ragscope_llm_forward_delay_seconds",
		"How long tokens were on their way through the target: from their arrival to the next bytes sent to the client.",
		stageBuckets, service, route)
	llmTokens = histogram("gen_ai_client_token_usage",
		"Tokens per call as the protocol counts them, or chunks that carried tokens where it does not.",
		tokenBuckets, append(genAI, "gen_ai_token_type")...)
)

// The target's processes and the agent itself.
var (
	processRSS     = gauge("process_memory_usage_bytes", "Resident memory of the target's processes; pages that they share count once for each.", service)
	processVMS     = gauge("process_memory_virtual_bytes", "Virtual memory of the target's processes.", service)
	processThreads = gauge("process_thread_count", "Threads of the target's processes.", service)
	processCPU     = counter("process_cpu_time_seconds_total", "CPU time of the target's processes, user and system.", service)

	lostEvents     = counter("ragscope_lost_events_total", "Events that happened and were not seen or not understood.", "source", "reason")
	probeAttached  = gauge("ragscope_probe_attached", "1 while the probe is attached, else 0.", "probe")
	probeRun       = counter("ragscope_probe_run_seconds_total", "Time spent inside the probe's program.", "probe")
	overheadRatio  = gauge("ragscope_target_overhead_ratio", "CPU that the agent adds to the target, as a share of the target's own: the average since it is watched.")
	overheadPerReq = gauge("ragscope_target_overhead_seconds_per_request", "CPU that the agent adds to the target for each request: the average since it is watched.")
	stackRate      = gauge("ragscope_stack_sampling_hertz", "CPU stacks sampled a second and CPU: lowered where they cost more than their part of the overhead budget.")
	precisionMode  = gauge("ragscope_precision_mode", "1 for the precision mode in use.", "mode")
	agentCPU       = gauge("ragscope_agent_cpu_ratio", "CPU of the agent itself, in cores.")
	agentRSS       = gauge("ragscope_agent_memory_bytes", "Resident memory of the agent itself.")
	pushSent       = counter("ragscope_pyroscope_profiles_sent_total", "Profiles (one endpoint, one kind, one interval) that Pyroscope accepted.")
	pushDropped    = counter("ragscope_pyroscope_profiles_dropped_total", "Profiles that Pyroscope never got, by reason.", "reason")
	pushRetries    = counter("ragscope_pyroscope_retries_total", "Attempts to send profiles that failed and were repeated.")
	pushQueued     = gauge("ragscope_pyroscope_profiles_queued", "Profiles that wait to be sent.")
	backendUp      = gauge("ragscope_backend_up", "1 when the backend answered the last poll, else 0.", peer)
)

var catalogue []Family

func add(f Family) Family {
	catalogue = append(catalogue, f)
	return f
}

func histogram(name, help string, buckets []float64, labels ...string) Family {
	return add(Family{Name: name, Help: help, Kind: Histogram, Labels: append([]string(nil), labels...), buckets: buckets})
}

func gauge(name, help string, labels ...string) Family {
	return add(Family{Name: name, Help: help, Kind: Gauge, Labels: labels})
}

func counter(name, help string, labels ...string) Family {
	return add(Family{Name: name, Help: help, Kind: Counter, Labels: labels})
}

// Families lists every metric that Metrics can export, by name.
func Families() []Family {
	out := append([]Family(nil), catalogue...)
	for _, f := range backendFigures {
		out = append(out, f.family())
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func (f Family) desc() *prometheus.Desc {
	return prometheus.NewDesc(f.Name, f.Help, f.Labels, nil)
}

// histogramVec registers f as a dual histogram: native buckets of at most 10 % relative width
// for servers that take them, classic ones for the others.
func (f Family) histogramVec(reg prometheus.Registerer) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: f.Name, Help: f.Help, Buckets: f.buckets,
		NativeHistogramBucketFactor:    1.1,
		NativeHistogramMaxBucketNumber: 160, // OpenTelemetry's own bound; resolution is halved beyond it
		NativeHistogramZeroThreshold:   1e-6,
	}, f.Labels)
	reg.MustRegister(v)
	return v
}

func (f Family) counterVec(reg prometheus.Registerer) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: f.Name, Help: f.Help}, f.Labels)
	reg.MustRegister(v)
	return v
}
