package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

// PoolState is a pool as it is now. Counters run since the agent attached.
type PoolState struct {
	Service  string
	System   string // redis, qdrant, neo4j, ollama, openai, http
	Address  string // tells pools of one system apart; never becomes a label
	Open     int    // connections
	InUse    int    // of them
	Limit    int    // 0: never reached, so not known
	Pending  int    // contexts that wait
	Timeouts int64  // waits that ended without a connection; -1: not measured
	Creates  int64  // connections made
	Leaked   int    // of the open ones
}

// ProbeState is one hook, and the time spent in it where the kernel counts that.
type ProbeState struct {
	Probe      string
	Attached   bool
	RunSeconds float64
}

// PushState counts the profiles that were sent to Pyroscope since the start.
type PushState struct {
	Sent, Retries uint64
	Queued        int
	Dropped       map[string]uint64 // by reason, one of a closed set
}

// state holds the latest of everything that is handed over whole, and writes it out when
// scraped. What was never set is absent.
type state struct {
	own prometheus.Collector // the losses that this package counts itself

	mu       sync.Mutex
	active   map[string]map[string]int
	pools    []poolState
	memory   map[string]processState
	losses   []recording.Loss
	probes   map[string]ProbeState
	overhead *recording.Overhead
	backends []backendState
	pushes   func() PushState
}

type poolState struct {
	PoolState
	name string
}

type processState struct {
	recording.MemoryTick
	cpuSeconds float64
}

// SetActive says how many requests each endpoint of a service is serving now. Endpoints that
// are left out fall to zero.
func (m *Metrics) SetActive(service string, active map[string]int) {
	m.mu.Lock()
	s := m.service(service)
	sums := make(map[string]int, len(active))
	for name, n := range active {
		e := m.endpoint(s, name)
		sums[e.method+" "+e.route] += n
	}
	m.mu.Unlock()

	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	for name := range m.state.active[s.name] {
		if _, ok := sums[name]; !ok {
			sums[name] = 0
		}
	}
	m.state.active[s.name] = sums
}

// SetPools replaces what is known about all pools.
func (m *Metrics) SetPools(pools []PoolState) {
	m.mu.Lock()
	type key struct{ service, name string }
	sums, order := map[key]*poolState{}, []key{}
	for _, p := range pools {
		p.Service = m.service(p.Service).name
		k := key{p.Service, m.peers.name(request.Peer{System: p.System, Address: p.Address})}
		if s, ok := sums[k]; ok { // addresses beyond the bound share a name
			s.Open, s.InUse, s.Pending, s.Limit = s.Open+p.Open, s.InUse+p.InUse, s.Pending+p.Pending, 0
			s.Timeouts, s.Creates, s.Leaked = s.Timeouts+p.Timeouts, s.Creates+p.Creates, s.Leaked+p.Leaked
			continue
		}
		sums[k] = &poolState{p, k.name}
		order = append(order, k)
	}
	m.mu.Unlock()

	out := make([]poolState, 0, len(order))
	for _, k := range order {
		out = append(out, *sums[k])
	}
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	m.state.pools = out
}

// SetMemory gives the latest reading of a service's processes; cpuSeconds is their CPU time
// since the agent attached, user and system.
func (m *Metrics) SetMemory(service string, t recording.MemoryTick, cpuSeconds float64) {
	m.mu.Lock()
	name := m.service(service).name
	m.mu.Unlock()
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	m.state.memory[name] = processState{t, cpuSeconds}
}

// SetLosses replaces the losses of all other rooms; equal sources and reasons add up.
func (m *Metrics) SetLosses(losses []recording.Loss) {
	type key struct{ source, reason string }
	sums := make(map[key]uint64, len(losses))
	for _, l := range losses {
		sums[key{valid(l.Source), valid(l.Reason)}] += l.Count
	}
	out := make([]recording.Loss, 0, len(sums))
	for k, n := range sums {
		out = append(out, recording.Loss{Source: k.source, Reason: k.reason, Count: n})
	}
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	m.state.losses = out
}

// SetProbes replaces the list of hooks. A probe that is listed twice counts as attached only
// when both are, and its times add up.
func (m *Metrics) SetProbes(probes []ProbeState) {
	out := map[string]ProbeState{}
	for _, p := range probes {
		p.Probe = valid(p.Probe)
		if o, ok := out[p.Probe]; ok {
			p.Attached, p.RunSeconds = p.Attached && o.Attached, p.RunSeconds+o.RunSeconds
		}
		out[p.Probe] = p
	}
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	m.state.probes = out
}

// SetOverhead gives the agent's price, with the precision and the rate of CPU stacks of now. Ratios without a basis
// were not measured and stay absent.
func (m *Metrics) SetOverhead(o recording.Overhead) {
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	o.PrecisionMode = valid(o.PrecisionMode)
	m.state.overhead = &o
}

// SetPushes says where to read what became of profiles, each time the metrics are scraped.
func (m *Metrics) SetPushes(read func() PushState) {
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	m.state.pushes = read
}

// SetBackends replaces what the backends say about themselves.
func (m *Metrics) SetBackends(backends []recording.Backend) {
	m.mu.Lock()
	out := make([]backendState, 0, len(backends))
	seen := map[string]bool{}
	for _, b := range backends {
		name := m.peers.name(request.Peer{System: b.Peer, Address: b.Address})
		if !seen[name] { // addresses beyond the bound share a name; figures of one must do
			out = append(out, backendState{b, name})
			seen[name] = true
		}
	}
	m.mu.Unlock()
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	m.state.backends = out
}

func (s *state) forget(service string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.active, service)
	delete(s.memory, service)
	kept := s.pools[:0]
	for _, p := range s.pools {
		if p.Service != service {
			kept = append(kept, p)
		}
	}
	s.pools = kept
}
