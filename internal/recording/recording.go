// Package recording is the run's facts as one versioned file.
//
// In: the finished requests of room request, the pools of room pool, and the figures of
// memory, backend and kernel. Out: one JSON object, recording.json, that everything after
// measuring reads (diagnose, report, export). It never measures, and it never fills a gap:
// what was not measured stands in NotMeasured with the reason.
//
// Units: seconds and bytes as plain numbers. Arrays are sorted by name. The schema's fields
// are only ever added to; see recording.schema.json.
package recording

import "time"

// Schema identifies the file format.
const Schema = "ragscope.recording/1"

// Recording is one run's facts.
type Recording struct {
	Schema      string        `json:"schema"`
	Target      Target        `json:"target"`
	Window      Window        `json:"window"`
	Host        Host          `json:"host"`
	Scenario    *Scenario     `json:"scenario,omitempty"` // only when a loader took part
	Endpoints   []Endpoint    `json:"endpoints"`
	Pools       []Pool        `json:"pools"`
	EventLoop   *EventLoop    `json:"event_loop,omitempty"` // nil: none was seen
	Sleeps      *Sleeps       `json:"sleeps,omitempty"`     // nil: not measured
	Memory      Memory        `json:"memory"`
	Backends    []Backend     `json:"backends"`
	Bottlenecks []Bottleneck  `json:"bottlenecks"`
	Losses      []Loss        `json:"losses"`
	Probes      []Probe       `json:"probes"`
	Overhead    Overhead      `json:"overhead"`
	NotMeasured []NotMeasured `json:"not_measured"`
	Timeline    []Tick        `json:"timeline,omitempty"`
}

// Sleeps are those of the target's threads that ended, of all together, in requests or not. Sleeping lasts until the thread
// runs again.
type Sleeps struct {
	Kinds         []Sleep `json:"kinds"`          // by what the threads slept in, in the words of the off-CPU profile; all of them, sampled or not
	Idle          []Sleep `json:"idle"`           // of them, as far as they were sampled, those of threads without anything to do: they are not in the profile
	PeriodSeconds float64 `json:"period_seconds"` // of sleep, one sample of which was taken, at the end
}

// Sleep is one kind of sleep, or one reason.
type Sleep struct {
	What    string  `json:"what"`
	Sleeps  int64   `json:"sleeps"` // or samples of them
	Seconds float64 `json:"seconds"`
}

// SleepPlace is a function in which threads slept for an endpoint, until they ran again.
type SleepPlace struct {
	Function string  `json:"function"` // of the application, the innermost one, "search (api/routes.py)"; "": none was on the stack; "_other": all the others
	What     string  `json:"what"`     // in what, in the words of the off-CPU profile
	Main     bool    `json:"main"`     // on the process's first thread, which runs the event loop as a rule
	Samples  int64   `json:"samples"`
	Seconds  float64 `json:"seconds"`
}

// Target says who was watched.
type Target struct {
	Service string `json:"service"`
	PIDs    []int  `json:"pids"`
	Runtime string `json:"runtime"` // "CPython 3.11.7, uvloop"
	Address string `json:"address"` // host:port that serves requests
}

// Window is the time that the facts cover.
type Window struct {
	Start   time.Time `json:"start"`
	Seconds float64   `json:"seconds"`
}

// Host is the machine that the target ran on.
type Host struct {
	Kernel      string `json:"kernel"`
	OS          string `json:"os,omitempty"`
	Arch        string `json:"arch,omitempty"`
	CPUs        int    `json:"cpus"`
	CPUModel    string `json:"cpu_model,omitempty"`
	MemoryBytes uint64 `json:"memory_bytes"`
}

// Scenario is what the loader sent during the window.
type Scenario struct {
	Name            string  `json:"name"`
	Users           int     `json:"users,omitempty"`
	SpawnRate       float64 `json:"spawn_rate,omitempty"`
	Rate            float64 `json:"rate,omitempty"`       // requests per second, open model; 0 in the closed one
	RunTime         float64 `json:"run_time"`             // seconds asked for
	ThinkTime       string  `json:"think_time,omitempty"` // as in the scenario file
	Requests        int64   `json:"requests"`
	Failures        int64   `json:"failures"`
	RequestsPerSec  float64 `json:"requests_per_second"`
	Invalid         string  `json:"invalid,omitempty"` // why the generator could not keep its schedule
	Host            string  `json:"host"`              // base URL
	ScheduleLagP99  float64 `json:"schedule_lag_p99"`  // seconds between intended and actual send
	CPUBusyRatio    float64 `json:"cpu_busy_ratio"`    // host CPU during the window, 0..1
	LoaderCPURatio  float64 `json:"loader_cpu_ratio"`  // the loader's own CPU in cores
	ThrottledByHost bool    `json:"throttled_by_host,omitempty"`

	Shard          string   `json:"shard,omitempty"` // "2/3": the loader's part; users and rate are the whole's
	ScheduleLagP50 float64  `json:"schedule_lag_p50,omitempty"`
	LoaderRunQueue float64  `json:"loader_run_queue,omitempty"` // seconds that the loader's threads waited for a CPU, by request
	LoaderBound    []string `json:"loader_bound,omitempty"`     // where the loader itself was the bottleneck, in sentences
}

// Endpoint is what happened on one method + route template.
type Endpoint struct {
	Endpoint       string           `json:"endpoint"` // "POST /api/v1/chat"
	Requests       int64            `json:"requests"`
	Incomplete     int64            `json:"incomplete"` // of them, seen only in part (joined midway, lost events)
	Status         map[string]int64 `json:"status"`
	Latency        Dist             `json:"latency"`
	FirstByte      Dist             `json:"first_byte"` // arrival of the request to the first response byte
	Stages         []Stage          `json:"stages"`
	Followed       *Followed        `json:"followed,omitempty"` // nil: all requests
	Calls          []Call           `json:"calls"`
	LLM            *LLM             `json:"llm,omitempty"`
	CPUSeconds     float64          `json:"cpu_seconds"`
	OffCPUSeconds  float64          `json:"off_cpu_seconds"`           // in run_queue, gil_wait and blocked: of its Basis, as CPUSeconds
	Sleeps         []SleepPlace     `json:"sleeps,omitempty"`          // by the off-CPU profile, of all its requests, the longest first; nil: none was sampled, or see not_measured
	AllocatedBytes *int64           `json:"allocated_bytes,omitempty"` // private memory that was touched for the first time; nil: not measured
	Cache          Cache            `json:"cache"`
	Overlapped     float64          `json:"overlapped_seconds"` // time of calls hidden behind a longer parallel call
	Client         *Client          `json:"client,omitempty"`
}

// Followed is what stages are made of where only a part of the requests was followed through every execution
// context: to do so all the time would have cost more than the overhead budget.
type Followed struct {
	Requests int64   `json:"requests"`
	Seconds  float64 `json:"seconds"` // their latencies' sum
}

// WhyNot is why something was not measured, "" where the recording does not say so.
func (r *Recording) WhyNot(what string) string {
	for _, n := range r.NotMeasured {
		if n.What == what {
			return n.Why
		}
	}
	return ""
}

// Basis is of how many requests Stages, CPUSeconds, OffCPUSeconds and Overlapped are made, and these requests'
// seconds.
func (e *Endpoint) Basis() (requests int64, seconds float64) {
	if e.Followed != nil {
		return e.Followed.Requests, e.Followed.Seconds
	}
	return e.Requests, e.Latency.Sum
}

// Stage is a disjoint part of the endpoint's wall time. The sums over all stages of an
// endpoint add up to the seconds of its Basis.
type Stage struct {
	Stage    string   `json:"stage"` // a name of DESIGN §3, see package request
	Peer     string   `json:"peer,omitempty"`
	Requests int64    `json:"requests"` // requests in which it occurred
	Dist              // per request in which it occurred
	Reasons  []Reason `json:"reasons,omitempty"` // parts of unexplained time of which something is known
}

// Add adds the same stage of other requests.
func (s *Stage) Add(o *Stage) {
	s.Requests += o.Requests
	s.Merge(o.Dist)
	for _, why := range o.Reasons {
		s.Because(why)
	}
}

// Because adds time of which something is known.
func (s *Stage) Because(why Reason) {
	for i := range s.Reasons {
		if r := &s.Reasons[i]; r.Reason == why.Reason {
			r.Requests += why.Requests
			r.Seconds += why.Seconds
			return
		}
	}
	s.Reasons = append(s.Reasons, why)
}

// Reason is why a part of the unexplained time of an endpoint passed.
type Reason struct {
	Reason   string  `json:"reason"`   // "lock or semaphore", "timer"
	Requests int64   `json:"requests"` // in which it occurred
	Seconds  float64 `json:"seconds"`
}

// Call is one kind of outgoing operation of an endpoint.
type Call struct {
	Peer       string  `json:"peer"`
	Operation  string  `json:"operation"`
	Count      int64   `json:"count"`
	Errors     int64   `json:"errors"`
	Latency    Dist    `json:"latency"`     // last sent byte to last arrived byte
	FirstByte  Dist    `json:"first_byte"`  // last sent byte to first arrived byte
	PoolWait   Dist    `json:"pool_wait"`   // per call that waited
	PerRequest float64 `json:"per_request"` // calls per request of the endpoint
}

// Add adds more calls of the kind. PerRequest is left to who knows the requests.
func (c *Call) Add(o *Call) {
	c.Count += o.Count
	c.Errors += o.Errors
	c.Latency.Merge(o.Latency)
	c.FirstByte.Merge(o.FirstByte)
	c.PoolWait.Merge(o.PoolWait)
}

// LLM is the endpoint's use of a language model.
type LLM struct {
	Streams          int64    `json:"streams"`
	Models           []string `json:"models,omitempty"`
	Operation        string   `json:"operation,omitempty"`
	TimeToFirstToken Dist     `json:"time_to_first_token"`
	TimePerToken     Dist     `json:"time_per_token"` // gaps between token arrivals
	OutputTokens     int64    `json:"output_tokens"`
	InputTokens      int64    `json:"input_tokens"`
	TokensFrom       string   `json:"tokens_from"`        // "protocol" or "chunks"
	Generating       float64  `json:"generating_seconds"` // from the first token of each stream to its last
	ForwardDelay     Dist     `json:"forward_delay"`      // from the arrival of tokens to the next bytes sent to the client
}

// Add adds the figures of more streams. Models, Operation and TokensFrom are left to the caller.
func (l *LLM) Add(o *LLM) {
	l.Streams += o.Streams
	l.TimeToFirstToken.Merge(o.TimeToFirstToken)
	l.TimePerToken.Merge(o.TimePerToken)
	l.OutputTokens += o.OutputTokens
	l.InputTokens += o.InputTokens
	l.Generating += o.Generating
	l.ForwardDelay.Merge(o.ForwardDelay)
}

// Cache counts look-ups in Redis by their replies.
type Cache struct {
	Hits   int64 `json:"hits"`
	Misses int64 `json:"misses"`
}

// Client is the loader's view of the endpoint.
type Client struct {
	Requests   int64     `json:"requests"`
	Failures   int64     `json:"failures"`
	Limited    int64     `json:"limited"`  // answered 429
	Response   Dist      `json:"response"` // from the intended send time
	Service    Dist      `json:"service"`  // from the actual send
	FirstToken Dist      `json:"first_token"`
	TokenGap   Dist      `json:"token_gap"`
	Errors     []Failure `json:"errors,omitempty"`
	Tasks      []Task    `json:"tasks,omitempty"`   // by task, where the scenario names more than the endpoint
	Slowest    []Slow    `json:"slowest,omitempty"` // by response time, the slowest first; of a run that keeps ids
}

// Task is the loader's view of one task of the scenario, such as the hybrid searches among
// all searches. The endpoint's client figures are the sum over its tasks.
type Task struct {
	Name     string `json:"name"` // as in the scenario file, "/api/v1/retrieval/search [hybrid]"
	Requests int64  `json:"requests"`
	Failures int64  `json:"failures"`
	Limited  int64  `json:"limited,omitempty"` // answered 429
	Bytes    int64  `json:"bytes,omitempty"`   // of the answers' bodies
	Response Dist   `json:"response"`          // from the intended send time
	Service  Dist   `json:"service"`           // from the actual send
}

// Failure is one kind of failed request.
type Failure struct {
	Error string `json:"error"`
	Count int64  `json:"count"`
}

// Pool is the connections of the target to one peer, as used in practice.
type Pool struct {
	Peer        string         `json:"peer"`
	Address     string         `json:"address"`
	Unit        string         `json:"unit"` // "connections" or "streams"
	OpenMax     int            `json:"open_max"`
	InUseMax    int            `json:"in_use_max"`
	Limit       int            `json:"limit"`       // as seen in practice: in use while others waited; 0: never reached
	LimitBasis  string         `json:"limit_basis"` // how Limit is known
	Creates     int64          `json:"creates"`
	Timeouts    int64          `json:"timeouts"` // waits that likely ended without a connection, see request
	WaitersMax  int            `json:"waiters_max"`
	Waits       []PoolWait     `json:"waits"`
	Holders     []Holder       `json:"holders"`
	Timeline    []PoolTick     `json:"timeline"`
	Create      Dist           `json:"create"` // time to make a connection, until the first bytes of the protocol that it is for
	CreateParts CreateParts    `json:"create_parts"`
	Leaks       []Leak         `json:"leaks,omitempty"` // connections that requests took and likely never gave back
	Extra       map[string]any `json:"extra,omitempty"`
}

// PoolWait is how long the requests of one endpoint waited for a connection.
type PoolWait struct {
	Endpoint     string `json:"endpoint"`
	Acquisitions int64  `json:"acquisitions"`
	Waited       int64  `json:"waited"`
	TimedOut     int64  `json:"timed_out,omitempty"` // waits that likely ended without a connection; they are in no other figure here
	// Unsure are the seconds of the sum that may have been spent on something else, as a lock or semaphore
	// that was passed on the way.
	Unsure float64 `json:"unsure,omitempty"`
	Dist           // per acquisition that waited
}

// Add adds more acquisitions.
func (w *PoolWait) Add(o *PoolWait) {
	w.Acquisitions += o.Acquisitions
	w.Waited += o.Waited
	w.TimedOut += o.TimedOut
	w.Unsure += o.Unsure
	w.Merge(o.Dist)
}

// UnsureWords says which part of the time waited is unsure and why, "" where it is less than 1 %.
func (w *PoolWait) UnsureWords() string {
	if w.Sum <= 0 || w.Unsure < 0.01*w.Sum {
		return ""
	}
	return Share(w.Unsure/w.Sum) + " of the time waited is unsure: it may have been spent on a lock or semaphore on the way, or the client woke all who waited for each connection and left others idle."
}

// CreateParts are the parts of making a connection, each where it was seen.
type CreateParts struct {
	Lookup Dist `json:"lookup"` // of the name, where it was not blocking
	TCP    Dist `json:"tcp"`
	TLS    Dist `json:"tls"`
}

// Clone copies p.
func (p *CreateParts) Clone() CreateParts {
	return CreateParts{p.Lookup.Clone(), p.TCP.Clone(), p.TLS.Clone()}
}

// Merge adds o to p.
func (p *CreateParts) Merge(o CreateParts) {
	p.Lookup.Merge(o.Lookup)
	p.TCP.Merge(o.TCP)
	p.TLS.Merge(o.TLS)
}

// Leak is a connection that a request took and likely never gave back.
type Leak struct {
	Endpoint  string  `json:"endpoint"`
	Operation string  `json:"operation"` // the last call on it
	Unread    bool    `json:"unread"`    // its answer was never read to the end; else it lies idle while others wait
	Since     float64 `json:"since"`     // seconds since the window's start, when it was told
}

// Holder is who had the pool's connections in use.
type Holder struct {
	Endpoint       string  `json:"endpoint"`
	Seconds        float64 `json:"seconds"`
	DelayedSeconds float64 `json:"delayed_seconds"` // its share of the waits of others; the sum over all holders is that of the waits
	Operations     []Held  `json:"operations,omitempty"`
}

// Held is one kind of call among those of a holder.
type Held struct {
	Operation      string  `json:"operation"`
	Seconds        float64 `json:"seconds"`
	DelayedSeconds float64 `json:"delayed_seconds"`
}

// PoolTick is one second of a pool: the largest figures seen in it.
type PoolTick struct {
	T       float64 `json:"t"` // seconds since the window's start
	Open    int     `json:"open"`
	InUse   int     `json:"in_use"`
	Waiting int     `json:"waiting"`
}

// Tick is one second of the target's traffic.
type Tick struct {
	T        float64            `json:"t"`
	Requests int64              `json:"requests"`
	Errors   int64              `json:"errors"`
	Active   int64              `json:"active"`
	P50      float64            `json:"p50"`
	P95      float64            `json:"p95"`
	Max      float64            `json:"max"`
	CPU      float64            `json:"cpu"`              // cores used by the target
	Stages   map[string]float64 `json:"stages,omitempty"` // "pool_wait redis" → seconds
}

// EventLoop is how well the target's event loops kept up, all of them together.
type EventLoop struct {
	Lag    Dist        `json:"lag"`    // how late a timer of the loop was that is due every 10 ms
	Blocks []LoopBlock `json:"blocks"` // turns of more than 50 ms
}

// LoopBlock sums up turns of an event loop of more than 50 ms: meanwhile it did nothing else.
type LoopBlock struct {
	Endpoint string  `json:"endpoint"` // whose code ran for most of it; "": nobody's, or not known
	Function string  `json:"function"` // that held it up, "search (api/routes.py)"; "": no stack was sampled, see Culprit
	Count    int64   `json:"count"`
	Seconds  float64 `json:"seconds"`
	Longest  float64 `json:"longest"` // seconds
	Asleep   float64 `json:"asleep"`  // seconds in calls that sleep: a blocking client, time.sleep, a file
	Queued   float64 `json:"queued"`  // seconds in which it could run and had no CPU
}

// Culprit says in words what held the loop up.
func (b *LoopBlock) Culprit() string {
	switch {
	case b.Function != "":
		return b.Function
	case b.Queued > b.Seconds/2:
		return "nothing of its own: it waited for a CPU"
	}
	return "no stack was sampled"
}

// Estimate is a figure with its 95 % confidence interval.
type Estimate struct {
	Estimate float64 `json:"estimate"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
}

// Backend is what a peer says about itself. Values are the peer's own figures at the end of
// the window; Rates are differences over the window per second.
type Backend struct {
	Peer    string             `json:"peer"`
	Address string             `json:"address"`
	Version string             `json:"version,omitempty"`
	Values  map[string]float64 `json:"values,omitempty"`
	Rates   map[string]float64 `json:"rates,omitempty"`
	Error   string             `json:"error,omitempty"`
}

// Bottleneck is one ranked finding of package diagnose.
type Bottleneck struct {
	Rank           int         `json:"rank"`
	Priority       string      `json:"priority"` // P0, P1, P2
	Kind           string      `json:"kind"`     // pool, dependency, llm, cpu, eventloop, queue, unexplained
	Where          string      `json:"where"`    // "redis 127.0.0.1:6379"
	Endpoints      []string    `json:"endpoints"`
	WaitedSeconds  float64     `json:"waited_seconds"`
	Share          float64     `json:"share"` // of all seconds that users waited
	Evidence       []string    `json:"evidence"`
	Recommendation string      `json:"recommendation"`
	Prediction     *Prediction `json:"prediction,omitempty"`
}

// Prediction is a what-if computed from the recorded trace.
type Prediction struct {
	Change    string  `json:"change"`
	Endpoint  string  `json:"endpoint"`
	P95Before float64 `json:"p95_before"`
	P95After  float64 `json:"p95_after"`
	Low       float64 `json:"low"`
	High      float64 `json:"high"`
}

// Loss counts events that happened and were not seen or not understood.
type Loss struct {
	Source string `json:"source"`
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// Probe is one hook and whether it is attached.
type Probe struct {
	Probe    string `json:"probe"`
	Attached bool   `json:"attached"`
	Reason   string `json:"reason,omitempty"` // why not
}

// Overhead is the agent's price.
type Overhead struct {
	TargetRatio       float64 `json:"target_ratio"`        // CPU added to the target ÷ the target's own CPU
	SecondsPerRequest float64 `json:"seconds_per_request"` // CPU added to the target per request
	Basis             string  `json:"basis"`               // how the two were computed
	PrecisionMode     string  `json:"precision_mode"`      // the dearest step that held: full, linked or sockets
	PrecisionShare    float64 `json:"precision_share"`     // of the time; the rest of it a cheaper one held
	// StackRates are how often CPU stacks were sampled, the highest rate first: it is lowered where they cost more than
	// their part of the overhead budget. Each sample counts for the time that it stood for. Absent: none were sampled.
	StackRates    []StackRate `json:"stack_rates,omitempty"`
	AgentCPURatio float64     `json:"agent_cpu_ratio"` // cores
	AgentRSSBytes uint64      `json:"agent_rss_bytes"`
}

// StackRate is how long CPU stacks were sampled at a rate.
type StackRate struct {
	Hz      int     `json:"hz"` // samples a second and CPU
	Seconds float64 `json:"seconds"`
}

// NotMeasured says what has no figure here, and why.
type NotMeasured struct {
	What string `json:"what"`
	Why  string `json:"why"`
}
