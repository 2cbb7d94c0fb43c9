package backend

import (
	"context"
	"sort"
	"sync"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

const (
	// MinInterval is the shortest time between two polls of one backend.
	MinInterval = 5 * time.Second

	timeout  = time.Second // of one poll of one backend
	maxPeers = 64          // backends that are polled; more peers than that are no backends
)

// Credentials are needed only where a backend asks for them.
type Credentials struct {
	RedisUsername, RedisPassword string
	QdrantAPIKey                 string
	Neo4jUsername, Neo4jPassword string
}

// figures is what one backend said.
type figures struct {
	version string
	values  map[string]float64
}

// asker asks one backend at ip:port.
type asker func(ctx context.Context, address string) (figures, error)

// Poller polls backends and remembers their last answers. Safe for concurrent use.
type Poller struct {
	askers map[string]asker // by system
	now    func() time.Time

	mu   sync.Mutex
	last map[request.Peer]answer
}

type answer struct {
	at      time.Time
	backend recording.Backend
}

// NewPoller makes a poller of all known systems.
func NewPoller(c Credentials) *Poller {
	return &Poller{
		askers: map[string]asker{
			"redis":  redis{c.RedisUsername, c.RedisPassword}.ask,
			"qdrant": qdrant{c.QdrantAPIKey}.ask,
			"neo4j":  neo4j{c.Neo4jUsername, c.Neo4jPassword}.ask,
			"ollama": askOllama,
		},
		now:  time.Now,
		last: map[request.Peer]answer{},
	}
}

// Poll asks all peers that say something about themselves, at once, and returns their answers
// by system and address. A peer that was asked less than MinInterval ago is not asked again:
// its last answer stands. Peers of other systems are left out.
func (p *Poller) Poll(ctx context.Context, peers []request.Peer) []recording.Backend {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := map[request.Peer]bool{}
	var wg sync.WaitGroup
	var answers sync.Map
	for _, peer := range peers {
		ask := p.askers[peer.System]
		if ask == nil || asked[peer] || len(asked) >= maxPeers {
			continue
		}
		asked[peer] = true
		if p.now().Sub(p.last[peer].at) < MinInterval {
			continue
		}
		wg.Go(func() { answers.Store(peer, answerOf(ctx, peer, ask)) })
	}
	wg.Wait()
	answers.Range(func(k, v any) bool {
		p.last[k.(request.Peer)] = answer{p.now(), v.(recording.Backend)}
		return true
	})

	out := make([]recording.Backend, 0, len(asked))
	for peer := range p.last {
		if !asked[peer] {
			delete(p.last, peer)
		}
	}
	for peer := range asked {
		out = append(out, clone(p.last[peer].backend))
	}
	sortBackends(out)
	return out
}

func answerOf(ctx context.Context, peer request.Peer, ask asker) recording.Backend {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	b := recording.Backend{Peer: peer.System, Address: peer.Address}
	f, err := ask(ctx, peer.Address)
	if err != nil {
		b.Error = err.Error()
		return b
	}
	b.Version, b.Values = f.version, f.values
	return b
}

// counters are the figures that only grow: their differences over a window are rates.
var counters = map[string][]string{
	"redis": {"keyspace_hits", "keyspace_misses", "evicted_keys", "expired_keys", "rejected_connections",
		"total_commands_processed", "total_connections_received", "used_cpu_user", "used_cpu_sys"},
	"qdrant": {"rest_responses_total", "grpc_responses_total"},
}

// Rates returns the backends as they are at the end of a window, with the differences of their
// counters since its start per second. A counter that fell (the backend was restarted), or that
// the start does not have, gets no rate.
func Rates(start, end []recording.Backend, seconds float64) []recording.Backend {
	before := map[request.Peer]recording.Backend{}
	for _, b := range start {
		before[request.Peer{System: b.Peer, Address: b.Address}] = b
	}
	out := make([]recording.Backend, 0, len(end))
	for _, b := range end {
		b = clone(b)
		old := before[request.Peer{System: b.Peer, Address: b.Address}]
		for _, key := range counters[b.Peer] {
			was, ok1 := old.Values[key]
			is, ok2 := b.Values[key]
			if !ok1 || !ok2 || is < was || seconds <= 0 {
				continue
			}
			if b.Rates == nil {
				b.Rates = map[string]float64{}
			}
			b.Rates[key] = (is - was) / seconds
		}
		out = append(out, b)
	}
	sortBackends(out)
	return out
}

func clone(b recording.Backend) recording.Backend {
	b.Values, b.Rates = cloneMap(b.Values), cloneMap(b.Rates)
	return b
}

func cloneMap(m map[string]float64) map[string]float64 {
	if m == nil {
		return nil
	}
	out := make(map[string]float64, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

func sortBackends(b []recording.Backend) {
	sort.Slice(b, func(i, j int) bool {
		if b[i].Peer != b[j].Peer {
			return b[i].Peer < b[j].Peer
		}
		return b[i].Address < b[j].Address
	})
}
