package load

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/scenario"
)

func parse(t *testing.T, text string) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Parse("test.yaml", []byte(text), nil, scenario.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// server counts what it gets, so that loader and server can be compared.
type server struct {
	*httptest.Server
	requests atomic.Int64
	ids      sync.Map
	twice    atomic.Int64
}

func newServer(t *testing.T, handle http.HandlerFunc) *server {
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		if _, known := s.ids.LoadOrStore(r.Header.Get("x-request-id"), true); known {
			s.twice.Add(1)
		}
		handle(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

type counter struct {
	samples int
	ticks   []Progress
	sorted  bool
}

func (c *counter) Add(samples []Sample) {
	c.samples += len(samples)
	for i := range samples {
		c.sorted = c.sorted && (i == 0 || samples[i].End >= samples[i-1].End)
	}
}

func (c *counter) Tick(p Progress) { c.ticks = append(c.ticks, p) }

func TestClosedModel(t *testing.T) {
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/limited" {
			w.WriteHeader(429)
		}
	})
	s := parse(t, "users: 4\nspawn_rate: 1000\nrun_time: 400ms\nthink_time: 1ms..3ms\ntasks:\n- {weight: 3, request: {path: /a}}\n- {weight: 0.5, request: {path: /limited}}\n")
	sink := &counter{sorted: true}
	res, err := Run(context.Background(), Config{Scenario: s, Host: srv.URL, Sinks: []Sink{sink}, StopTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	all := res.All()
	if all.Requests == 0 || all.Requests != srv.requests.Load() || int64(sink.samples) != all.Requests || srv.twice.Load() != 0 {
		t.Errorf("loader counts %d, sinks %d, server %d (%d ids twice)", all.Requests, sink.samples, srv.requests.Load(), srv.twice.Load())
	}
	limited := res.Tasks[1]
	if all.Failures != 0 || all.Limited != limited.Requests || limited.Requests == 0 {
		t.Errorf("failures %d, limited %d of %d", all.Failures, all.Limited, limited.Requests)
	}
	if last := sink.ticks[len(sink.ticks)-1]; !last.Last || last.Users != 0 || !last.Stopping || !sink.sorted {
		t.Errorf("last tick %+v, sorted %v", last, sink.sorted)
	}
	if all.Response.Count != all.Requests || all.Response.Sum < all.Service.Sum {
		t.Errorf("response %v s over %d, service %v s", all.Response.Sum, all.Response.Count, all.Service.Sum)
	}
}

// A server that stalls must show on the response clock: every request that was due during the
// stall waited for its end. (Coordinated omission: a closed loop would see one slow request.)
func TestOpenModelSeesAStall(t *testing.T) {
	const stall = 400 * time.Millisecond
	var once sync.Once
	var gate sync.RWMutex
	srv := newServer(t, func(http.ResponseWriter, *http.Request) {
		once.Do(func() {
			gate.Lock()
			time.AfterFunc(stall, gate.Unlock)
		})
		gate.RLock()
		defer gate.RUnlock()
	})
	s := parse(t, "rate: 200/s\nrun_time: 600ms\ntasks: [{request: {path: /}}]\n")
	res, err := Run(context.Background(), Config{Scenario: s, Host: srv.URL, StopTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	all := res.All()
	if want := int64(120); all.Requests+res.Missed != want {
		t.Errorf("%d requests + %d missed + %d aborted, want %d", all.Requests, res.Missed, res.Aborted, want)
	}
	// Two thirds of the requests were due in the stall, so their median waited about a third of it.
	if p50 := all.Response.Quantile(.5); p50 < 0.05 {
		t.Errorf("median response %.3f s: the stall is hidden", p50)
	}
}

func TestTooManyInFlightIsInvalid(t *testing.T) {
	srv := newServer(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := parse(t, "rate: 100/s\nmax_in_flight: 3\nrun_time: 300ms\ntasks: [{request: {path: /}}]\n")
	res, err := Run(context.Background(), Config{Scenario: s, Host: srv.URL, StopTimeout: 0})
	if err != nil {
		t.Fatal(err)
	}
	if res.Missed+res.Aborted != 30 || res.Aborted > 3 || len(res.Invalid) == 0 {
		t.Errorf("missed %d, aborted %d, invalid %q", res.Missed, res.Aborted, res.Invalid)
	}
}

func TestInterruptWaitsForWhatIsUnderWay(t *testing.T) {
	ctx, interrupt := context.WithCancel(context.Background())
	srv := newServer(t, func(http.ResponseWriter, *http.Request) {
		interrupt()
		time.Sleep(50 * time.Millisecond)
	})
	s := parse(t, "users: 1\ntasks: [{request: {path: /}}]\n")
	res, err := Run(ctx, Config{Scenario: s, Host: srv.URL, StopTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if all := res.All(); all.Requests != 1 || all.Failures != 0 || res.Aborted != 0 {
		t.Errorf("requests %d, failures %d, aborted %d", all.Requests, all.Failures, res.Aborted)
	}
}

func TestAbortGivesUpAtOnce(t *testing.T) {
	ctx, abort := context.WithCancel(context.Background())
	srv := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		abort()
		<-r.Context().Done()
	})
	s := parse(t, "users: 1\ntasks: [{request: {path: /}}]\n")
	res, err := Run(ctx, Config{Scenario: s, Host: srv.URL, StopTimeout: time.Hour, Abort: ctx})
	if err != nil {
		t.Fatal(err)
	}
	if all := res.All(); all.Requests != 0 || res.Aborted != 1 {
		t.Errorf("requests %d, aborted %d", all.Requests, res.Aborted)
	}
}

func TestDeadHostIsRecorded(t *testing.T) {
	s := parse(t, "rate: 50/s\nrun_time: 100ms\ntasks: [{request: {path: /}}]\nthresholds: ['error_rate < 1%', 'p95 < 9s', 'first_token p95 < 9s', 'rps > 1']\n")
	res, err := Run(context.Background(), Config{Scenario: s, Host: "http://" + deadAddress(t), StopTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	all := res.All()
	n := all.Requests
	if n == 0 || n+res.Missed != 5 || all.Failures != n || all.Errors[Failure{Kind: Refused, Text: "connection refused"}] != n {
		t.Errorf("result %+v", all)
	}
	want := []bool{false, true, false, true}
	for i, v := range res.Check() {
		if v.Kept != want[i] {
			t.Errorf("%s: %s, kept %v", v.Threshold.Text, v.Measured, v.Kept)
		}
	}
	rec := res.Recording("no agent")
	if len(rec.Endpoints) != 1 || rec.Endpoints[0].Endpoint != "GET /" || rec.Endpoints[0].Client.Failures != n || rec.Scenario.Requests != n || rec.NotMeasured[0].Why != "no agent" {
		t.Errorf("recording %+v", rec)
	}
}

func TestBaseURL(t *testing.T) {
	for host, ok := range map[string]bool{"http://a:1": true, "https://a/b/": true, "": false, "localhost:8000": false, "ftp://a": false, "http://": false} {
		if got, err := BaseURL(host); (err == nil) != ok {
			t.Errorf("%q: %q, %v", host, got, err)
		}
	}
}

func TestAgentWindow(t *testing.T) {
	var opened string
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		opened += r.Method + " " + r.URL.Path + ";"
		if r.URL.Path == "/api/v1/windows" {
			fmt.Fprint(w, `{"id":"w1"}`)
			return
		}
		fmt.Fprint(w, `{"schema":"ragscope.recording/1","endpoints":[{"endpoint":"GET /items/{id}","requests":5}]}`)
	}))
	defer agent.Close()
	a := Agent{agent.URL + "/"}
	id, err := a.Open(context.Background(), "baseline")
	if err != nil || id != "w1" {
		t.Fatal(id, err)
	}
	rec, err := a.Close(context.Background(), id)
	if err != nil || rec.Endpoints[0].Requests != 5 || opened != "POST /api/v1/windows;POST /api/v1/windows/w1/close;" {
		t.Errorf("%+v, %v, %s", rec, err, opened)
	}
	if _, err := (Agent{"http://" + deadAddress(t)}).Open(context.Background(), "x"); err == nil {
		t.Error("an agent that is not there opened a window")
	}
}

func TestCPUTicks(t *testing.T) {
	busy, total := cpuTicks("cpu  100 5 20 800 50 3 2 20 7 0")
	if busy != 150 || total != 1000 {
		t.Errorf("busy %d of %d, want 150 of 1000", busy, total)
	}
	if _, total := cpuTicks("cpu x"); total != 0 {
		t.Error("nonsense was understood")
	}
}
