package metrics

import (
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ragscope/ragscope/internal/request"
)

// Metrics holds the agent's metrics. Its methods may be called from several goroutines.
type Metrics struct {
	reg *prometheus.Registry

	requests, stages, loop, gil             *prometheus.HistogramVec
	db, wait, use, create, http, rpc        *prometheus.HistogramVec
	llm, llmFirst, llmChunk, llmTokens      *prometheus.HistogramVec
	llmForward                              *prometheus.HistogramVec
	cpu, allocated, cache, loss, blocked    *prometheus.CounterVec
	unsure                                  *prometheus.CounterVec
	withoutTimes, withoutEnd, tooManyTokens prometheus.Counter

	mu         sync.Mutex // guards all below
	services   map[string]*serviceState
	peers      peerNames
	operations map[string]*closed // by system
	errors     *closed
	models     *closed
	rpcMethods *closed
	functions  *closed // that held up an event loop

	state state
}

// New makes an empty set of metrics with a registry of its own.
func New() *Metrics {
	reg := prometheus.NewRegistry()
	m := &Metrics{
		reg:      reg,
		requests: requestDuration.histogramVec(reg), stages: stageDuration.histogramVec(reg),
		loop: loopLag.histogramVec(reg), gil: gilWait.histogramVec(reg),
		db: dbDuration.histogramVec(reg), wait: poolWait.histogramVec(reg), use: poolUse.histogramVec(reg),
		create: poolCreate.histogramVec(reg), http: httpDuration.histogramVec(reg), rpc: rpcDuration.histogramVec(reg),
		llm: llmDuration.histogramVec(reg), llmFirst: llmFirst.histogramVec(reg),
		llmChunk: llmChunk.histogramVec(reg), llmTokens: llmTokens.histogramVec(reg),
		llmForward: llmForward.histogramVec(reg),
		cpu:        endpointCPU.counterVec(reg), allocated: endpointAllocated.counterVec(reg), cache: endpointCache.counterVec(reg), unsure: poolUnsure.counterVec(reg),
		blocked: loopBlocked.counterVec(reg),

		services:   map[string]*serviceState{},
		peers:      peerNames{names: map[request.Peer]string{}, count: map[string]int{}},
		operations: map[string]*closed{},
		errors:     newClosed(maxErrors, errorLabel),
		models:     newClosed(maxModels, asIs),
		rpcMethods: newClosed(maxOperations, rpcMethodLabel),
		functions:  newClosed(maxFunctions, asIs),
	}
	// Not registered: state hands these out together with the losses of other rooms, which
	// share their name.
	m.loss = prometheus.NewCounterVec(prometheus.CounterOpts{Name: lostEvents.Name, Help: lostEvents.Help}, lostEvents.Labels)
	m.withoutTimes = m.loss.WithLabelValues("metrics", "request_without_times")
	m.withoutEnd = m.loss.WithLabelValues("metrics", "call_without_response")
	m.tooManyTokens = m.loss.WithLabelValues("metrics", "token_arrivals_beyond_limit")
	m.state.own = m.loss
	m.state.active = map[string]map[string]int{}
	m.state.memory = map[string]processState{}
	reg.MustRegister(&m.state)
	return m
}

// Registry returns the registry, for more collectors of the caller's own.
func (m *Metrics) Registry() *prometheus.Registry { return m.reg }

// Handler serves the metrics: OpenMetrics with exemplars, protobuf with native histograms, or
// text, as the scraper asks.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.reg, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4})
}

// PeerName returns the label that stands for a peer: "redis", "redis-2", … It is the pool name
// of the peer's pool and never holds the address.
func (m *Metrics) PeerName(p request.Peer) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.peers.name(p)
}

// AddAllocated counts bytes that requests of an endpoint took from the kernel.
func (m *Metrics) AddAllocated(service, endpoint string, bytes int64) {
	if bytes <= 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.service(service)
	m.allocated.WithLabelValues(s.name, m.endpoint(s, endpoint).route).Add(float64(bytes))
}

// Forget drops the series of a service whose target is gone for good.
func (m *Metrics) Forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.services, name)
	for _, v := range []*prometheus.HistogramVec{m.requests, m.stages, m.loop, m.gil, m.db, m.wait, m.use,
		m.create, m.http, m.rpc, m.llm, m.llmFirst, m.llmChunk, m.llmTokens, m.llmForward} {
		v.DeletePartialMatch(prometheus.Labels{service: name})
	}
	for _, v := range []*prometheus.CounterVec{m.cpu, m.allocated, m.cache, m.blocked, m.unsure} {
		v.DeletePartialMatch(prometheus.Labels{service: name})
	}
	m.state.forget(name)
}
