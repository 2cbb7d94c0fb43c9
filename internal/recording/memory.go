package recording

// Memory is the target's memory over time.
type Memory struct {
	Timeline  []MemoryTick    `json:"timeline"`            // all processes added up
	Processes []MemoryProcess `json:"processes,omitempty"` // each for itself
	MemoryGrowth
	Composition *MemoryParts  `json:"composition,omitempty"` // of all processes at the last look; nil: not measured
	Limits      []MemoryLimit `json:"limits,omitempty"`
	Hotspots    []Hotspot     `json:"hotspots"`              // where private memory was touched for the first time
	Containers  []Container   `json:"containers,omitempty"`  // of Python, that hold more than they did; the largest growth first
	Allocations *Allocations  `json:"allocations,omitempty"` // nil: not asked for
}

// Allocations are what allocators were asked for while their calls were watched: bytes as asked, whether freed since
// or not. Nothing is scaled up: they are those of WatchedSeconds. Bytes by endpoint are summed up, hot spots are drawn by chance.
type Allocations struct {
	Seconds        float64              `json:"seconds"`         // from the first call watched to the last
	WatchedSeconds float64              `json:"watched_seconds"` // of them, those in which calls were watched
	Calls          uint64               `json:"calls"`
	Bytes          uint64               `json:"bytes"`
	TargetRatio    float64              `json:"target_ratio"`       // what it cost, as a share of the target's own CPU time
	PredictedRatio float64              `json:"predicted_ratio"`    // what watching all the time would have cost, as a first trial said
	CallPrice      float64              `json:"seconds_per_call"`   // of the target's CPU
	Windows        []AllocationWindow   `json:"windows"`            // that make up watched_seconds, by process, in order
	Endpoints      []EndpointAllocation `json:"endpoints"`          // the most first
	Hotspots       []Hotspot            `json:"hotspots"`           // the most first
	NotSeen        []string             `json:"not_seen,omitempty"` // calls that could not be watched
}

// AllocationWindow is a stretch in which the calls of one process were watched, in seconds on CLOCK_MONOTONIC. It ends when the
// process has had a fixed time of its own, what its traps took not counted.
type AllocationWindow struct {
	PID     int     `json:"pid"`
	Begin   float64 `json:"begin"`
	Seconds float64 `json:"seconds"`
	Own     float64 `json:"own_seconds"` // of them, without what the traps took
}

// EndpointAllocation is what code of one endpoint asked for. How sure it is depends on its requests that were watched: the
// intervals are those of 95 %, and there are none where these were fewer than four.
type EndpointAllocation struct {
	Endpoint   string    `json:"endpoint"`
	Bytes      int64     `json:"bytes"`                       // in the windows
	Requests   float64   `json:"requests,omitempty"`          // of it that lay in windows as a whole; where fewer than four did, parts of requests added up
	PerRequest *Estimate `json:"bytes_per_request,omitempty"` // Bytes that requests asked for, by request
	Share      *Estimate `json:"share,omitempty"`             // of what all requests answered in the recording asked for, if they asked for as much each
}

// MemoryTick is one reading.
type MemoryTick struct {
	T       float64 `json:"t"`              // seconds since the window's start
	RSS     uint64  `json:"rss"`            // resident: in RAM
	VMS     uint64  `json:"vms"`            // mapped, in RAM or not
	Heap    uint64  `json:"heap"`           // anonymous memory in RAM: [heap] (brk), what malloc and the interpreter map, thread stacks
	Swap    uint64  `json:"swap,omitempty"` // swapped out
	PSS     uint64  `json:"pss,omitempty"`  // resident, pages that several processes share divided among them; 0: not read at this time
	Threads int     `json:"threads"`
	FDs     int     `json:"fds,omitempty"`    // open file descriptors; 0: not readable
	Active  int64   `json:"active,omitempty"` // the most requests under way at a time since the reading before; of several processes, their sum
}

// MemoryProcess is one process of the target.
type MemoryProcess struct {
	PID      int          `json:"pid"`
	Name     string       `json:"name"`            // as the kernel calls it
	From     float64      `json:"from"`            // first seen, in seconds since the window's start
	To       float64      `json:"to"`              // last seen
	Ended    bool         `json:"ended,omitempty"` // after To
	Timeline []MemoryTick `json:"timeline"`        // at most 720 readings, further apart the longer it lived
	MemoryGrowth
	Composition *MemoryParts `json:"composition,omitempty"` // at the last look; nil: not measured
}

// MemoryGrowth is how fast resident and swapped memory grow, and what follows from it.
type MemoryGrowth struct {
	GrowthBytesPerSecond *Estimate `json:"growth_bytes_per_second,omitempty"`        // nil: too few readings
	GrowthPerThousand    *Estimate `json:"growth_bytes_per_1000_requests,omitempty"` // nil: too few readings, or no requests
	Verdict              string    `json:"verdict"`                                  // stable, growing, leak suspected, too short to say
	Reason               string    `json:"reason,omitempty"`                         // of the verdict, in words
	Trend                *Trend    `json:"trend,omitempty"`                          // the line that growth is the slope of
}

// Trend is a line through resident and swapped memory, from the end of the warm-up on.
type Trend struct {
	From      float64 `json:"from"` // seconds since the window's start
	To        float64 `json:"to"`
	BytesFrom float64 `json:"bytes_from"` // on the line
	BytesTo   float64 `json:"bytes_to"`
	WarmUp    string  `json:"warm_up,omitempty"`         // what was left out before From, and why
	Crowded   float64 `json:"crowded_seconds,omitempty"` // left out in between, as more requests were under way than before; what is left is put together, to end at To
}

// MemoryParts is what resident memory consists of: File, Anonymous and Shared add up to RSS, and
// so do Parts.
type MemoryParts struct {
	T         float64      `json:"t"` // seconds since the window's start
	RSS       uint64       `json:"rss"`
	PSS       uint64       `json:"pss"`
	File      uint64       `json:"file"`      // unchanged pages of files: programs, libraries, mapped data
	Anonymous uint64       `json:"anonymous"` // of no file, or changed private copies of a file's
	Shared    uint64       `json:"shared"`    // shared memory: tmpfs, memfd, System V
	Swap      uint64       `json:"swap"`      // beside RSS
	Parts     []MemoryPart `json:"parts"`     // the largest first
}

// MemoryPart is a kind of mapping.
type MemoryPart struct {
	Kind     string `json:"kind"`
	Bytes    uint64 `json:"bytes"` // resident
	Mappings int    `json:"mappings"`
	Basis    string `json:"basis"` // how it was told from others
}

// MemoryLimit is a bound that memory should stay below.
type MemoryLimit struct {
	What  string  `json:"what"`  // "asked for", "cgroup"
	Basis string  `json:"basis"` // "--memory-limit", the file of the cgroup
	Bytes uint64  `json:"bytes"`
	Peak  uint64  `json:"peak"`  // the largest reading held against it
	Of    string  `json:"of"`    // what that is a reading of: "RSS of all processes"
	Share float64 `json:"share"` // Peak ÷ Bytes
}

// Hotspot is a stack that took memory.
type Hotspot struct {
	Function string   `json:"function,omitempty"` // of the stack, the one to look at: "search (api/routes.py)"
	Stack    []string `json:"stack"`              // the innermost last
	Bytes    int64    `json:"bytes"`
	Endpoint string   `json:"endpoint"`
	Samples  int64    `json:"samples,omitempty"`
}

// Container is a list, dictionary, set or deque of a Python process that holds more than it did.
type Container struct {
	PID    int      `json:"pid"`
	Type   string   `json:"type"`
	Name   string   `json:"name"`            // what refers to it: the variable of a module, "app.cache", or the attribute of an instance, "Store.cache"; "": none is known
	Before int64    `json:"before"`          // entries at the first count, 0 where it held fewer than 100
	After  int64    `json:"after"`           // at the last
	Users  []string `json:"users,omitempty"` // functions and methods there whose code names it
}
