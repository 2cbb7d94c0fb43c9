package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// descriptors of the families that state writes out itself.
var descs = func() map[string]*prometheus.Desc {
	out := map[string]*prometheus.Desc{}
	for _, f := range []Family{activeRequests, poolCount, poolMax, poolPending, poolTimeouts, poolCreates, poolLeaked,
		processRSS, processVMS, processThreads, processCPU, lostEvents, probeAttached, probeRun,
		overheadRatio, overheadPerReq, stackRate, precisionMode, agentCPU, agentRSS, backendUp, pushSent, pushDropped, pushRetries, pushQueued} {
		out[f.Name] = f.desc()
	}
	for _, f := range backendFigures {
		out[f.name] = f.family().desc()
	}
	return out
}()

// Describe implements prometheus.Collector.
func (s *state) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range descs {
		ch <- d
	}
}

// emitter writes constant metrics of the catalogue.
type emitter chan<- prometheus.Metric

func (e emitter) put(f Family, value float64, labels ...string) {
	kind := prometheus.GaugeValue
	if f.Kind == Counter {
		kind = prometheus.CounterValue
	}
	e <- prometheus.MustNewConstMetric(descs[f.Name], kind, value, labels...)
}

// Collect implements prometheus.Collector.
func (s *state) Collect(ch chan<- prometheus.Metric) {
	s.own.Collect(ch)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := emitter(ch)
	for service, endpoints := range s.active {
		for name, n := range endpoints {
			verb, path := splitEndpoint(name)
			e.put(activeRequests, float64(n), service, verb, path)
		}
	}
	s.collectPools(e)
	for service, p := range s.memory {
		e.put(processRSS, float64(p.RSS), service)
		e.put(processVMS, float64(p.VMS), service)
		e.put(processThreads, float64(p.Threads), service)
		e.put(processCPU, p.cpuSeconds, service)
	}
	s.collectSelf(e)
	s.collectPushes(e)
	for _, b := range s.backends {
		b.collect(e)
	}
}

func (s *state) collectPools(e emitter) {
	for _, p := range s.pools {
		e.put(poolCount, float64(p.InUse), p.Service, p.name, "used")
		e.put(poolCount, float64(max(p.Open-p.InUse, 0)), p.Service, p.name, "idle")
		if p.Limit > 0 {
			e.put(poolMax, float64(p.Limit), p.Service, p.name)
		}
		e.put(poolPending, float64(p.Pending), p.Service, p.name)
		if p.Timeouts >= 0 {
			e.put(poolTimeouts, float64(p.Timeouts), p.Service, p.name)
		}
		e.put(poolCreates, float64(p.Creates), p.Service, p.name)
		e.put(poolLeaked, float64(p.Leaked), p.Service, p.name)
	}
}

func (s *state) collectPushes(e emitter) {
	if s.pushes == nil {
		return
	}
	p := s.pushes()
	e.put(pushSent, float64(p.Sent))
	e.put(pushRetries, float64(p.Retries))
	e.put(pushQueued, float64(p.Queued))
	for reason, n := range p.Dropped {
		e.put(pushDropped, float64(n), reason)
	}
}

func (s *state) collectSelf(e emitter) {
	for _, l := range s.losses {
		if l.Source != "metrics" { // that source is this package's own
			e.put(lostEvents, float64(l.Count), l.Source, l.Reason)
		}
	}
	for _, p := range s.probes {
		attached := 0.0
		if p.Attached {
			attached = 1
		}
		e.put(probeAttached, attached, p.Probe)
		if p.RunSeconds > 0 {
			e.put(probeRun, p.RunSeconds, p.Probe)
		}
	}
	o := s.overhead
	if o == nil {
		return
	}
	if o.Basis != "" {
		e.put(overheadRatio, o.TargetRatio)
		e.put(overheadPerReq, o.SecondsPerRequest)
	}
	if o.PrecisionMode != "" {
		e.put(precisionMode, 1, o.PrecisionMode)
	}
	if len(o.StackRates) > 0 {
		e.put(stackRate, float64(o.StackRates[0].Hz))
	}
	e.put(agentCPU, o.AgentCPURatio)
	e.put(agentRSS, float64(o.AgentRSSBytes))
}
