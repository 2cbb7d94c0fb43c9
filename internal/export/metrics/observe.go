package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ragscope/ragscope/internal/request"
)

// exemplarEvery spaces the exemplars of one series: nanoseconds of the requests' own clock.
// A graph shows a few per pixel at most, and each costs an allocation.
const exemplarEvery = 100e6

const second = 1e9 // nanoseconds

// serviceState resolves labels of one service once, so that Observe only adds numbers.
type serviceState struct {
	followed  bool // some of its requests are
	name      string
	routes    *closed
	endpoints map[string]*endpointState
	orphans   *endpointState // calls that belong to no request
	loop, gil prometheus.Observer
}

type endpointState struct {
	service       *serviceState
	method, route string
	statuses      []statusHandle
	stages        []stageHandle
	calls         map[callKey]*callHandles
	cpu           prometheus.Counter
	hits, misses  prometheus.Counter
}

type statusHandle struct {
	code     int
	observer prometheus.Observer
	exemplar int64 // when the last one was given
}

type stageHandle struct {
	stage, peer string
	observer    prometheus.Observer
	ns          int64 // of the request being observed
	seen        bool
}

func (m *Metrics) service(name string) *serviceState {
	if s, ok := m.services[name]; ok {
		return s
	}
	label := valid(name)
	if len(m.services) >= maxServices {
		if s, ok := m.services[other]; ok {
			return s
		}
		label = other
	}
	s := &serviceState{
		name: label, routes: newClosed(maxRoutes, templatePath), endpoints: map[string]*endpointState{},
		loop: m.loop.WithLabelValues(label), gil: m.gil.WithLabelValues(label),
	}
	s.orphans = m.newEndpoint(s, "", "")
	m.services[label] = s
	return s
}

func (m *Metrics) endpoint(s *serviceState, name string) *endpointState {
	if e, ok := s.endpoints[name]; ok {
		return e
	}
	verb, path := splitEndpoint(name)
	verb, path = methodLabel(verb), s.routes.label(path)
	// Several raw names may come down to one pair of labels, _other above all; they share
	// the handles.
	key := verb + " " + path
	e, ok := s.endpoints[key]
	if !ok {
		e = m.newEndpoint(s, verb, path)
		s.endpoints[key] = e
	}
	return e
}

func (m *Metrics) newEndpoint(s *serviceState, verb, path string) *endpointState {
	return &endpointState{service: s, method: verb, route: path, calls: map[callKey]*callHandles{}}
}

// Observe counts one finished request of a service together with its calls.
func (m *Metrics) Observe(service string, r *request.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.service(service)
	e := m.endpoint(s, r.Endpoint)
	m.observeTotal(e, r)
	for _, c := range r.Calls {
		m.observeCall(e, c)
	}
	if len(r.Forwards) > 0 {
		forward := m.llmForward.WithLabelValues(s.name, e.route)
		for _, ns := range r.Forwards {
			forward.Observe(float64(ns) / second)
		}
	}
	if s.followed = s.followed || r.Followed; s.followed && !r.Followed {
		return // beside those that are followed through every context, its waits would count as unexplained
	}
	m.observeStages(e, r.Spans)
	if r.CPU > 0 {
		if e.cpu == nil {
			e.cpu = m.cpu.WithLabelValues(s.name, e.route)
		}
		e.cpu.Add(float64(r.CPU) / second)
	}
}

// ObserveCall counts a finished call that belongs to no request. Its http_route is empty.
func (m *Metrics) ObserveCall(service string, c *request.Call) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.observeCall(m.service(service).orphans, c)
}

func (m *Metrics) observeTotal(e *endpointState, r *request.Request) {
	if r.Start == 0 || r.Last < r.Start {
		m.withoutTimes.Inc()
		return
	}
	h := m.status(e, r.Status)
	seconds := float64(r.Total()) / second
	if r.Last-h.exemplar >= exemplarEvery {
		if id := traceID(r.ID); id != "" {
			h.exemplar = r.Last
			h.observer.(prometheus.ExemplarObserver).ObserveWithExemplar(seconds, prometheus.Labels{"trace_id": id})
			return
		}
	}
	h.observer.Observe(seconds)
}

func (m *Metrics) status(e *endpointState, code int) *statusHandle {
	for i := range e.statuses {
		if e.statuses[i].code == code {
			return &e.statuses[i]
		}
	}
	label := statusLabel(code)
	if label == "" {
		code = 0
		for i := range e.statuses {
			if e.statuses[i].code == 0 {
				return &e.statuses[i]
			}
		}
	}
	e.statuses = append(e.statuses, statusHandle{code: code,
		observer: m.requests.WithLabelValues(e.service.name, e.method, e.route, label), exemplar: -exemplarEvery})
	return &e.statuses[len(e.statuses)-1]
}

// observeStages adds up a request's spans by stage and peer, then observes each sum once.
func (m *Metrics) observeStages(e *endpointState, spans []request.Span) {
	for i := range spans {
		sp := &spans[i]
		ns := sp.End - sp.Start
		if ns < 0 {
			continue
		}
		h := m.stage(e, sp.Stage, sp.Peer)
		h.ns += ns
		h.seen = true
		if sp.Stage == request.GILWait {
			e.service.gil.Observe(float64(ns) / second)
		}
	}
	for i := range e.stages {
		if h := &e.stages[i]; h.seen {
			h.observer.Observe(float64(h.ns) / second)
			h.ns, h.seen = 0, false
		}
	}
}

func (m *Metrics) stage(e *endpointState, stage, peer string) *stageHandle {
	peer = systemLabel(peer)
	for i := range e.stages {
		if h := &e.stages[i]; h.stage == stage && h.peer == peer {
			return h
		}
	}
	e.stages = append(e.stages, stageHandle{stage: stage, peer: peer,
		observer: m.stages.WithLabelValues(e.service.name, e.method, e.route, stage, peer)})
	return &e.stages[len(e.stages)-1]
}
