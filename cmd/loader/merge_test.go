package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
)

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startPrometheus scrapes the addresses each second and returns its own.
func startPrometheus(t *testing.T, targets ...string) string {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%v: .ci/setup installs it", err)
		}
		t.Skip("SKIPPED: NOT SCRAPED BY A REAL PROMETHEUS: it is not installed (apt-get install prometheus)")
	}
	dir, address := t.TempDir(), freeAddress(t)
	list, err := json.Marshal(targets)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs: [{job_name: loader, static_configs: [{targets: %s}]}]\n", list)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address, "--enable-feature=native-histograms", "--log.level=error")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 200 {
		// It tells its scraper of the targets five seconds after its start.
		if r, err := http.Get("http://" + address + "/api/v1/query?query=count(up)"); err == nil {
			text, _ := io.ReadAll(r.Body)
			_ = r.Body.Close()
			if strings.Contains(string(text), fmt.Sprintf(`,"%d"]`, len(targets))) {
				return address
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("Prometheus did not get ready")
	return ""
}

// ask asks Prometheus for one number.
func ask(t *testing.T, address, expr string) float64 {
	t.Helper()
	r, err := http.Get("http://" + address + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
		Error string
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil || len(answer.Data.Result) != 1 {
		t.Fatalf("%s: %+v, %v", expr, answer, err)
	}
	v, err := strconv.ParseFloat(answer.Data.Result[0].Value[1].(string), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Two loaders share a run. The server, loader merge and a real Prometheus count the same, and the
// two of them agree about the percentiles.
func TestTwoLoadersOfOneRun(t *testing.T) {
	var requests atomic.Int64
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		time.Sleep(time.Duration(requests.Add(1)%40) * time.Millisecond)
	}))
	defer api.Close()
	addresses := []string{freeAddress(t), freeAddress(t)}
	prometheus := startPrometheus(t, addresses...)
	dir := t.TempDir()
	scene := filepath.Join(dir, "s.yaml")
	if err := os.WriteFile(scene, []byte("name: shared\nrate: 200/s\nrun_time: 2s\ntasks: [{request: {path: /a}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	for i, address := range addresses {
		both.Go(func() {
			part := fmt.Sprintf("%d/2", i+1)
			if code := loader("run", "--host", api.URL, "--scenario", scene, "--headless", "--only-summary", "--shard", part, "--metrics-listen", address, "--csv", filepath.Join(dir, fmt.Sprint("part", i))); code != 0 {
				t.Errorf("shard %s ended with %d", part, code)
			}
		})
	}
	both.Wait()
	prefix := filepath.Join(dir, "new", "all")
	if code := loader("merge", filepath.Join(dir, "part0_recording.json"), filepath.Join(dir, "part1_recording.json"), "--out", prefix+".json", "--csv", prefix); code != 0 {
		t.Fatalf("merge ended with %d", code)
	}
	whole, err := recording.Read(prefix + ".json")
	if err != nil {
		t.Fatal(err)
	}
	c, n := whole.Endpoints[0].Client, requests.Load()
	if c.Requests != n || whole.Scenario.Requests != n || n < 395 || n > 400 || len(whole.NotMeasured) != 1 {
		t.Errorf("merged %d, server %d, want 400; %v", c.Requests, n, whole.NotMeasured)
	}
	if got := column(t, prefix+"_stats.csv", "/a", "Request Count"); got != fmt.Sprint(n) {
		t.Errorf("the merged CSV counts %s of %d", got, n)
	}
	// Series of loaders that have ended are stale: their last values lie a moment back.
	time.Sleep(100 * time.Millisecond) // the steps below end at a multiple of 50 ms, and must hold the last scrape
	const series = `ragscope_load_request_duration_seconds{clock="response",endpoint="GET /a"}`
	if got := ask(t, prometheus, "sum(max_over_time(histogram_count("+series+")[1m:50ms]))"); got != float64(n) {
		t.Errorf("Prometheus counts %g of %d", got, n)
	}
	for _, q := range []float64{.5, .9, .95} {
		got, want := ask(t, prometheus, fmt.Sprintf("last_over_time((histogram_quantile(%g, sum(%s)) and on() (count(%s) == 2))[1m:50ms])", q, series, series)), c.Response.Quantile(q)
		if t.Logf("p%g: Prometheus %.4f s, merged %.4f s", q*100, got, want); math.Abs(got/want-1) > .1 {
			t.Errorf("p%g: Prometheus says %.4f s, the merged recording %.4f s", q*100, got, want)
		}
	}
	if code := loader("merge", filepath.Join(dir, "part0_recording.json"), filepath.Join(dir, "part0_recording.json")); code != 2 {
		t.Errorf("the same part twice ended with %d", code)
	}
}
