package request

// Stage names, in the order in which they claim an instant (the first that holds has it).
const (
	AcceptQueue  = "accept_queue"  // the connection waits for accept
	ReceiveQueue = "receive_queue" // request bytes wait in the socket, not read
	OnCPU        = "on_cpu"        // the request's context is current on a thread and the thread runs
	RunQueue     = "run_queue"     // … and the thread is runnable but not running
	GILWait      = "gil_wait"      // … and the thread sleeps waiting for the GIL
	Blocked      = "blocked"       // … and the thread sleeps in anything else
	PoolWait     = "pool_wait"     // the context waits for a connection of a peer's pool
	Connect      = "connect"       // a new connection is being made for it
	Upstream     = "upstream"      // a call is outstanding
	LoopWait     = "loop_wait"     // what it awaits is there, but the event loop runs something else
	Send         = "send"          // response bytes wait for a slow client
	Unexplained  = "unexplained"   // none of the above
)

// Stages lists all stage names in their order.
var Stages = []string{AcceptQueue, ReceiveQueue, OnCPU, RunQueue, GILWait, Blocked, PoolWait, Connect, Upstream, LoopWait, Send, Unexplained}

// Request is one inbound request, finished. Times are nanoseconds on CLOCK_MONOTONIC,
// 0 where the instant was not seen.
type Request struct {
	ID       string // x-request-id or traceparent, else ""
	PID      uint32
	Method   string
	Path     string // without the query
	Endpoint string // "POST /api/v1/chat"
	Status   int    // 0: no status line seen
	SSE      bool   // the response is an event stream
	Upgrade  bool   // a WebSocket or other upgrade: counted, not followed

	Syn, Accept             int64 // of the connection, for its first request only
	Arrive, Read            int64
	First, FirstToken, Last int64
	Start                   int64 // where Total begins, see Total

	Spans    []Span // disjoint, ascending, from Start to Last without a gap
	Calls    []*Call
	Reasons  []Reason // of unexplained time, where something is known
	TimedOut []string // peers for whose connection it likely waited in vain, once for each time
	CPU      int64    // nanoseconds of its contexts on a CPU
	OffCPU   int64    // nanoseconds of its contexts in run_queue, gil_wait and blocked
	Forwards []int64  // nanoseconds from the arrival of tokens to the next bytes sent to the client; bounded by MaxTokens
	Overlap  int64    // nanoseconds of calls hidden behind a parallel call
	BytesIn  int64    // request bytes read
	BytesOut int64    // response bytes written
	Followed bool     // its contexts were from begin to end, so each stage is told; else on_cpu, pool_wait and loop_wait count as unexplained
	Missing  []string // why it is incomplete, empty when whole
}

// Total is the request's time in nanoseconds: Last − Start, where Start is Syn when the first
// request of a connection was already waiting at accept, else Arrive (or Read, where the
// kernel does not tell the arrival).
func (r *Request) Total() int64 { return r.Last - r.Start }

// Span is an interval of a request that belongs to one stage.
type Span struct {
	Stage      string
	Peer       string // for pool_wait, connect and upstream
	Start, End int64
}

// Peer is who a call goes to.
type Peer struct {
	System  string // redis, qdrant, neo4j, ollama, openai, http
	Address string // ip:port
}

// Call is one outgoing operation of a request. Times as in Request.
type Call struct {
	Peer       Peer
	Operation  string // "GET", "pipeline", "/qdrant.Points/Query", "POST /api/chat", "RUN"
	Connection uint64 // stable id of the connection (or stream's connection) within a run
	Stream     uint32 // its stream on an HTTP/2 connection, else 0
	LocalPort  uint16 // of the connection, by which its peer knows it
	PID        uint32
	Endpoint   string // of its request, "" for an orphan
	Basis      string // how it was linked to its request: context, work (of an executor), fingerprint, thread; "" where it was not

	Intent                    int64 // when the context asked (stopped running with the wish to send)
	Sent                      int64 // last byte handed to the kernel
	FirstArrived, LastArrived int64 // response bytes in our socket
	FirstRead, LastRead       int64 // response bytes read by the target
	PoolWait                  int64 // nanoseconds waited for a connection; 0: did not wait
	PoolWaitStart             int64 // where that wait begins
	PoolWaitUnsure            int64 // nanoseconds at its begin that may have been a wait for something else, as a lock
	Connect                   int64 // nanoseconds spent making the connection for this call

	Error    string // as the protocol says, else ""
	Lookups  int    // cache look-ups (GET, MGET keys, HGET, EXISTS …)
	Hits     int    // of them, answered with a value
	LLM      *LLM
	Finished bool // the response was seen to its end
}

// LLM is what a call to a language model said and how its tokens arrived.
type LLM struct {
	Operation    string // chat, text_completion, embeddings
	Model        string
	Stream       bool
	Tokens       []int64 // arrival of each chunk that carried tokens, bounded by MaxTokens
	Chunks       int     // chunks that carried tokens, also those beyond MaxTokens
	OutputTokens int
	InputTokens  int
	FromProtocol bool // the counts are the protocol's own fields
}

// MaxTokens bounds the arrivals kept for one stream.
const MaxTokens = 4096
