package metrics

import "github.com/ragscope/ragscope/internal/request"

// ObserveLag counts what timers of a service's event loop saw.
func (m *Metrics) ObserveLag(service string, l request.Lag) {
	m.mu.Lock()
	defer m.mu.Unlock()
	loop := m.service(service).loop
	for range l.N {
		loop.Observe(float64(l.Late) / second)
	}
}

// ObserveBlock adds a turn of a service's event loop that took long.
func (m *Metrics) ObserveBlock(service string, b request.Block, function string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.service(service)
	route := ""
	if b.Endpoint != "" {
		route = m.endpoint(s, b.Endpoint).route
	}
	m.blocked.WithLabelValues(s.name, route, m.functions.label(function)).Add(float64(b.End-b.Start) / second)
}
