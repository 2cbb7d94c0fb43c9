package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// behindUI runs a loader with its web UI until the test ends and returns the address.
func behindUI(t *testing.T, args ...string) string {
	t.Helper()
	address := freeAddress(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan int, 1)
	go func() {
		over <- run(ctx, context.Background(), append([]string{"loader", "run", "--web-host", host, "--web-port", port, "--exit-code-on-error", "0"}, args...))
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-over; code != 0 {
			t.Errorf("the loader ended with %d", code)
		}
	})
	return "http://" + address
}

// page asks for a page until it is there.
func page(t *testing.T, address string) string {
	t.Helper()
	var err error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var r *http.Response
		if r, err = http.Get(address); err == nil {
			text, _ := io.ReadAll(r.Body)
			_ = r.Body.Close()
			return string(text)
		}
	}
	t.Fatal(err)
	return ""
}

// swarm orders a run, or another load, by the REST interface.
func swarm(t *testing.T, base string, form url.Values) {
	t.Helper()
	r, err := http.PostForm(base+"/swarm", form)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var answer struct {
		Success bool
		Message string
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil || !answer.Success {
		t.Fatalf("%v: %v %+v", form, err, answer)
	}
}

// metric is the sum of the series of /metrics whose line matches.
func metric(t *testing.T, address, series string) (sum float64) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^`+series+` (\S+)$`).FindAllStringSubmatch(page(t, "http://"+address+"/metrics"), -1) {
		var v float64
		if _, err := fmt.Sscan(m[1], &v); err != nil {
			t.Fatal(err)
		}
		sum += v
	}
	return sum
}

// Two loaders that share a run are each driven by their web UI with the numbers of the whole: each has its part of the
// users, then of the rate, and serves the metrics of the run that goes on, each run anew.
func TestShardsBehindTheWebUI(t *testing.T) {
	var requests atomic.Int64
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	defer api.Close()
	scene := filepath.Join(t.TempDir(), "s.yaml")
	if err := os.WriteFile(scene, []byte("name: shared\nthink_time: 50ms\ntasks: [{request: {path: /a}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var bases, metrics []string
	for i := range 2 {
		address := freeAddress(t)
		bases = append(bases, behindUI(t, "--host", api.URL, "--scenario", scene, "--shard", fmt.Sprintf("%d/2", i+1), "--metrics-listen", address))
		metrics = append(metrics, address)
	}
	all := func(order func(base string)) {
		var wait sync.WaitGroup
		for _, b := range bases {
			wait.Go(func() { order(b) })
		}
		wait.Wait()
	}
	state := func(base string) (s struct {
		State     string
		UserCount int `json:"user_count"`
	},
	) {
		if err := json.Unmarshal([]byte(page(t, base+"/stats/requests")), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	all(func(b string) { page(t, b+"/") })
	all(func(b string) { swarm(t, b, url.Values{"user_count": {"7"}, "spawn_rate": {"100"}}) })
	for i, want := range []int{4, 3} { // of seven
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			s, users := state(bases[i]), metric(t, metrics[i], fmt.Sprintf(`ragscope_load_users{scenario="shared",shard="%d/2"}`, i+1))
			if s.State == "running" && s.UserCount == want && users == float64(want) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("shard %d of 7 users: the page says %+v, the metrics %g, want %d", i+1, s, users, want)
			}
		}
	}
	all(func(b string) { page(t, b+"/stop") })
	for _, b := range bases {
		if s := state(b); s.State != "stopped" {
			t.Errorf("after the stop it is %+v", s)
		}
	}

	before := requests.Load()
	all(func(b string) { swarm(t, b, url.Values{"rate": {"100"}, "run_time": {"2s"}}) })
	const count = `ragscope_load_requests_total{endpoint="GET /a",result="ok",scenario="shared",shard="./2"}`
	for _, address := range metrics { // of this run, not of both
		for end := time.Now().Add(10 * time.Second); metric(t, address, count) < 50; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the metrics do not follow the second run: ", metric(t, address, count))
			}
		}
	}
	for _, b := range bases {
		for end := time.Now().Add(20 * time.Second); state(b).State != "stopped"; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the second run does not end: ", state(b))
			}
		}
	}
	sent := requests.Load() - before
	var told float64
	for _, address := range metrics {
		n := metric(t, address, count)
		if told += n; n < 99 || n > 100 {
			t.Errorf("a shard of 2 s at 100/s sent %g, want 100", n)
		}
	}
	if sent != int64(told) || sent < 198 || sent > 200 {
		t.Errorf("the server got %d, the metrics say %g; want 200", sent, told)
	}
	for i, b := range bases {
		if text := page(t, b+"/"); strings.Count(text, fmt.Sprintf("part %d/2 of", i+1)) != 3 { // the run, and both forms
			t.Errorf("the page of shard %d does not say that it is a part", i+1)
		}
	}
}
