package load

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// controlled runs a scenario until the returned function is called, which gives its result.
func controlled(t *testing.T, cfg Config) (*Control, func() *Result) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	cfg.Control, cfg.StopTimeout = NewControl(), time.Minute
	done := make(chan *Result, 1)
	go func() {
		res, err := Run(ctx, cfg)
		if err != nil {
			t.Error(err)
		}
		done <- res
	}()
	return cfg.Control, func() *Result { stop(); return <-done }
}

// until looks at the run until f is content; the test's own time limit ends it otherwise.
func until(t *testing.T, c *Control, f func(*Result) bool) {
	t.Helper()
	for ok := false; !ok; {
		if !c.Look(func(r *Result) { ok = f(r) }) {
			t.Fatal("the run is over")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestUsersChangeWhileItRuns(t *testing.T) {
	var now atomic.Int64
	srv := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		now.Add(1)
		defer now.Add(-1)
		time.Sleep(time.Millisecond)
	})
	s := parse(t, "users: 2\nspawn_rate: 1000\ntasks: [{request: {path: /}}]\n")
	c, stop := controlled(t, Config{Scenario: s, Host: srv.URL})
	for _, n := range []int64{6, 1, 4, 0, 3} {
		c.Set(float64(n), 500)
		for running := int64(-1); running != n; {
			c.ask(func(r *run, _ *Summary) { running = r.users.Load() })
		}
	}
	res := stop()
	if all := res.All(); all.Requests != srv.requests.Load() || all.Failures != 0 || res.Aborted != 0 || srv.twice.Load() != 0 {
		t.Errorf("loader counts %d (%d failed, %d given up), server %d (%d ids twice)", all.Requests, all.Failures, res.Aborted, srv.requests.Load(), srv.twice.Load())
	}
	if now.Load() != 0 || c.Look(func(*Result) {}) || c.Reset() {
		t.Error("the run went on after its end")
	}
}

func TestRateChangesWhileItRuns(t *testing.T) {
	srv := newServer(t, func(http.ResponseWriter, *http.Request) {})
	s := parse(t, "rate: 0.001/s\ntasks: [{request: {path: /}}]\n")
	c, stop := controlled(t, Config{Scenario: s, Host: srv.URL})
	until(t, c, func(r *Result) bool { return r.All().Requests == 1 })
	c.Set(500, 0)
	until(t, c, func(r *Result) bool { return r.All().Requests > 20 })
	c.Set(0, 0)
	res := stop()
	if all := res.All(); all.Requests != srv.requests.Load() || all.Failures != 0 {
		t.Errorf("loader counts %d (%d failed), server %d", all.Requests, all.Failures, srv.requests.Load())
	}
}

func TestResetForgets(t *testing.T) {
	srv := newServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	s := parse(t, "rate: 200/s\ntasks: [{request: {path: /}}]\n")
	c, stop := controlled(t, Config{Scenario: s, Host: srv.URL})
	until(t, c, func(r *Result) bool { return r.All().Failures > 5 })
	c.Set(0, 0)
	until(t, c, func(r *Result) bool { return r.All().Requests == srv.requests.Load() })
	before := srv.requests.Load()
	if !c.Reset() {
		t.Fatal("not reset")
	}
	c.Set(200, 0)
	until(t, c, func(r *Result) bool { return r.All().Requests > 3 })
	res := stop()
	if all := res.All(); all.Requests != srv.requests.Load()-before || all.Failures != all.Requests || !res.Start.After(res.Start.Add(-res.Since)) {
		t.Errorf("%d requests after the reset, want %d", all.Requests, srv.requests.Load()-before)
	}
}

// With ResetStats what was measured while users started is forgotten, once.
func TestResetAfterSpawning(t *testing.T) {
	srv := newServer(t, func(http.ResponseWriter, *http.Request) {})
	s := parse(t, "users: 3\nspawn_rate: 10\nthink_time: 1ms\ntasks: [{request: {path: /}}]\n")
	c, stop := controlled(t, Config{Scenario: s, Host: srv.URL, ResetStats: true})
	until(t, c, func(r *Result) bool { return r.Since > 0 && r.All().Requests > 0 })
	var since time.Duration
	c.Look(func(r *Result) { since = r.Since })
	res := stop()
	if res.Since != since || since < 200*time.Millisecond || res.All().Requests >= srv.requests.Load() {
		t.Errorf("reset at %v and %v, %d of %d requests", since, res.Since, res.All().Requests, srv.requests.Load())
	}
}
