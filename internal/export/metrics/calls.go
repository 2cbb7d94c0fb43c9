package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ragscope/ragscope/internal/request"
)

// callKey is what tells two series of an endpoint's calls apart. All its strings are labels
// already, so the number of keys is bounded.
type callKey struct {
	peer                 request.Peer
	operation, errorType string
	llm, model           string
}

// callHandles are the observers of one kind of call; nil where it has none.
type callHandles struct {
	db, http, rpc, llm prometheus.Observer
	wait, use          prometheus.Observer

	// Made with their first observation: most kinds of calls never have one, and an empty
	// histogram costs twenty series.
	create, first, gap, output, input prometheus.Observer
	poolLabels, llmLabels             []string
}

// lazily observes a value, making the observer where it does not exist yet.
func lazily(o *prometheus.Observer, v *prometheus.HistogramVec, value float64, labels []string, more ...string) {
	if *o == nil {
		*o = v.WithLabelValues(append(labels[:len(labels):len(labels)], more...)...)
	}
	(*o).Observe(value)
}

func (m *Metrics) observeCall(e *endpointState, c *request.Call) {
	h := m.call(e, c)
	h.wait.Observe(seconds(c.PoolWait))
	if c.PoolWaitUnsure > 0 {
		m.unsure.WithLabelValues(e.service.name, systemLabel(c.Peer.System), m.peers.name(c.Peer), e.route).Add(seconds(c.PoolWaitUnsure))
	}
	if c.Connect > 0 {
		lazily(&h.create, m.create, seconds(c.Connect), h.poolLabels)
	}
	m.observeLookups(e, c)
	if c.Sent == 0 || c.LastArrived < c.Sent || !c.Finished {
		m.withoutEnd.Inc() // its end was not seen: it has no duration
		return
	}
	if c.LastRead >= c.Sent {
		h.use.Observe(seconds(c.LastRead - c.Sent))
	}
	took := seconds(c.LastArrived - c.Sent)
	for _, o := range [...]prometheus.Observer{h.db, h.http, h.rpc, h.llm} {
		if o != nil {
			o.Observe(took)
		}
	}
	if c.LLM != nil {
		m.observeTokens(h, c)
	}
}

func (m *Metrics) observeTokens(h *callHandles, c *request.Call) {
	l := c.LLM
	if l.Stream && len(l.Tokens) > 0 {
		lazily(&h.first, m.llmFirst, seconds(max(l.Tokens[0]-c.Sent, 0)), h.llmLabels)
		for i := 1; i < len(l.Tokens); i++ {
			lazily(&h.gap, m.llmChunk, seconds(max(l.Tokens[i]-l.Tokens[i-1], 0)), h.llmLabels)
		}
		m.tooManyTokens.Add(float64(max(l.Chunks-len(l.Tokens), 0)))
	}
	if l.OutputTokens > 0 {
		lazily(&h.output, m.llmTokens, float64(l.OutputTokens), h.llmLabels, "output")
	}
	if l.InputTokens > 0 {
		lazily(&h.input, m.llmTokens, float64(l.InputTokens), h.llmLabels, "input")
	}
}

func (m *Metrics) observeLookups(e *endpointState, c *request.Call) {
	if c.Lookups <= 0 {
		return
	}
	if e.hits == nil {
		e.hits = m.cache.WithLabelValues(e.service.name, e.route, "hit")
		e.misses = m.cache.WithLabelValues(e.service.name, e.route, "miss")
	}
	e.hits.Add(float64(max(c.Hits, 0)))
	e.misses.Add(float64(max(c.Lookups-c.Hits, 0)))
}

func (m *Metrics) call(e *endpointState, c *request.Call) *callHandles {
	system := systemLabel(c.Peer.System)
	ops := m.operations[system]
	if ops == nil {
		ops = newClosed(maxOperations, operationLabel)
		m.operations[system] = ops
	}
	k := callKey{peer: c.Peer, operation: ops.label(c.Operation), errorType: m.errors.label(c.Error)}
	if c.LLM != nil {
		k.llm, k.model = llmOperation(c.LLM.Operation), m.models.label(c.LLM.Model)
	}
	h, ok := e.calls[k]
	if !ok {
		h = m.newCall(e, c, k)
		if len(e.calls) < 4096 { // addresses may come and go without end; their labels do not
			e.calls[k] = h
		}
	}
	return h
}

func (m *Metrics) newCall(e *endpointState, c *request.Call, k callKey) *callHandles {
	svc, system, pool := e.service.name, systemLabel(c.Peer.System), m.peers.name(c.Peer)
	h := &callHandles{
		wait:       m.wait.WithLabelValues(svc, system, pool, e.route),
		use:        m.use.WithLabelValues(svc, system, pool, e.route),
		poolLabels: []string{svc, system, pool},
	}
	switch system {
	case "redis", "qdrant", "neo4j":
		h.db = m.db.WithLabelValues(svc, system, k.operation, e.route, k.errorType)
	}
	verb, path, isHTTP := strings.Cut(c.Operation, " ")
	switch {
	case strings.HasPrefix(c.Operation, "/"):
		code := k.errorType
		if code == "" {
			code = "OK" // grpc-status 0: the protocol sends no other word for it
		}
		h.rpc = m.rpc.WithLabelValues(svc, system, m.rpcMethods.label(c.Operation), code, e.route)
	case isHTTP && strings.HasPrefix(path, "/"):
		h.http = m.http.WithLabelValues(svc, system, methodLabel(verb), httpStatus(k.errorType), k.errorType, e.route)
	}
	if c.LLM != nil {
		h.llmLabels = []string{svc, k.llm, k.model, system, e.route}
		h.llm = m.llm.WithLabelValues(append(h.llmLabels[:len(h.llmLabels):len(h.llmLabels)], k.errorType)...)
	}
	return h
}

func seconds(ns int64) float64 { return float64(ns) / second }
