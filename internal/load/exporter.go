package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ragscope/ragscope/internal/scenario"
)

// Exporter lets Prometheus scrape a run while it goes on. Its histograms are native ones, which
// add up over any number of loaders: histogram_quantile(0.99, sum(rate(ragscope_load_request_duration_seconds[1m]))).
// It is a Sink.
type Exporter struct {
	duration *prometheus.HistogramVec
	requests *prometheus.CounterVec
	lag      prometheus.Histogram
	users    prometheus.Gauge
	inFlight prometheus.Gauge
	missed   prometheus.Counter
	told     int64 // missed so far
	tasks    []exported
	server   *http.Server
	done     chan struct{}
	scrapes  atomic.Int64
	address  net.Addr
}

// exported are the series of one task.
type exported struct {
	response, service, firstToken prometheus.Observer
	ok, failed, limited           prometheus.Counter
}

var _ Sink = (*Exporter)(nil)

// histogram is a native histogram: buckets grow by less than 5 %, so a quantile is off by 2.5 % at
// most; 160 of them reach over three decades, beyond which the resolution is halved.
func histogram(name, help string) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, NativeHistogramBucketFactor: 1.05, NativeHistogramMaxBucketNumber: 160, NativeHistogramZeroThreshold: 1e-6,
	}
}

// NewExporter listens on the address, as in ":9471", and serves /metrics. shard is told by a label, for
// loaders behind one address.
func NewExporter(listen string, s *scenario.Scenario, shard Shard) (*Exporter, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("--metrics-listen: %w; is another loader there? choose another port", err)
	}
	e := &Exporter{
		duration: prometheus.NewHistogramVec(histogram("ragscope_load_request_duration_seconds", "Time of a request to its end; clock response counts from the intended send, service from the actual one, first_token from the intended send to a stream's first token."), []string{"endpoint", "clock"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ragscope_load_requests_total", Help: "Finished requests; result is ok, failed or limited (429)."}, []string{"endpoint", "result"}),
		lag:      prometheus.NewHistogram(histogram("ragscope_load_send_lag_seconds", "How late requests were sent.")),
		users:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "ragscope_load_users", Help: "Running users; in the open model, requests under way."}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ragscope_load_active_requests", Help: "Requests under way."}),
		missed:   prometheus.NewCounter(prometheus.CounterOpts{Name: "ragscope_load_missed_total", Help: "Requests of the open model that were due and not sent."}),
		done:     make(chan struct{}), address: l.Addr(),
	}
	labels := prometheus.Labels{"scenario": s.Name}
	if shard.Of > 0 {
		labels["shard"] = shard.String()
	}
	registry := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{e.duration, e.requests, e.lag, e.users, e.inFlight, e.missed} {
		prometheus.WrapRegistererWith(labels, registry).MustRegister(c)
	}
	for i := range s.Tasks {
		name := s.Tasks[i].Method + " " + s.Tasks[i].Name
		x := exported{
			response: e.duration.WithLabelValues(name, "response"), service: e.duration.WithLabelValues(name, "service"),
			ok: e.requests.WithLabelValues(name, "ok"), failed: e.requests.WithLabelValues(name, "failed"), limited: e.requests.WithLabelValues(name, "limited"),
		}
		if s.Tasks[i].Stream != scenario.NoStream {
			x.firstToken = e.duration.WithLabelValues(name, "first_token")
		}
		e.tasks = append(e.tasks, x)
	}
	e.serve(l, registry)
	return e, nil
}

func (e *Exporter) serve(l net.Listener, registry *prometheus.Registry) {
	mux := http.NewServeMux()
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, r *http.Request) {
		e.scrapes.Add(1)
		handler.ServeHTTP(w, r)
	})
	e.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(e.done)
		_ = e.server.Serve(l) // ends with Close
	}()
}

// Address is where it listens.
func (e *Exporter) Address() string { return e.address.String() }

// Add implements Sink.
func (e *Exporter) Add(samples []Sample) {
	for i := range samples {
		s := &samples[i]
		x := &e.tasks[s.Task]
		x.response.Observe(s.Response().Seconds())
		x.service.Observe(s.Service().Seconds())
		e.lag.Observe(s.Lag().Seconds())
		if s.FirstToken > 0 && x.firstToken != nil {
			x.firstToken.Observe((s.FirstToken - s.Intended).Seconds())
		}
		switch {
		case s.Failure.Limited():
			x.limited.Inc()
		case s.Failure.Failed():
			x.failed.Inc()
		default:
			x.ok.Inc()
		}
	}
}

// Tick implements Sink.
func (e *Exporter) Tick(p Progress) {
	e.users.Set(float64(p.Users))
	e.inFlight.Set(float64(p.InFlight))
	if n := p.Missed - e.told; n > 0 {
		e.missed.Add(float64(n))
		e.told = p.Missed
	}
}

// answerWithin is how long the last answer may take.
const answerWithin = 2 * time.Second

// Close ends the serving. Where Prometheus has been there during the run, it first waits until it has
// asked for the last figures, at most for the given time or until ctx ends; an answer under way is sent whole.
func (e *Exporter) Close(ctx context.Context, patience time.Duration) error {
	if before := e.scrapes.Load(); before > 0 {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		for e.scrapes.Load() == before && ctx.Err() == nil {
			time.Sleep(20 * time.Millisecond)
		}
	}
	leave, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	err := e.server.Shutdown(leave)
	if err != nil {
		err = e.server.Close()
	}
	<-e.done
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("--metrics-listen: %w", err)
	}
	return nil
}
