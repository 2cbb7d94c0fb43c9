package watch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/export/metrics"
	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/target"
	"github.com/ragscope/ragscope/internal/web"
)

// What the target is made of. Pinned: the facts asserted here hold for these.
var requirements = []string{"fastapi==0.165.0", "uvicorn[standard]==0.54.0", "redis==8.1.0", "httpx==0.28.1"}

// calls is what a handler of testdata/app.py asks of Redis.
var calls = map[string]int{"/health": 0, "/items/1": 2, "/hold": 1, "/sleep": 2, "/gather": 3, "/stream": 0, "/thread": 0}

// venv returns the Python of a virtual environment with the target's packages, made where it is
// missing: RAGSCOPE_TEST_VENV, else ragscope/test-venv-watch in the user's cache.
func venv(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("RAGSCOPE_TEST_VENV")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Skipf("SKIPPED: NOT TESTED END TO END: %v", err)
		}
		dir = filepath.Join(cache, "ragscope", "test-venv-watch")
	}
	python, stamp := filepath.Join(dir, "bin", "python"), filepath.Join(dir, "ready")
	want := strings.Join(requirements, "\n")
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want {
		return python
	}
	t.Logf("making %s", dir)
	for _, args := range [][]string{
		{"python3", "-m", "venv", "--clear", dir},
		append([]string{python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"}, requirements...),
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: NOT TESTED END TO END: %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	if err := os.WriteFile(stamp, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
	return python
}

// queueing is the environment in which Python finds a uvloop that queues its writes to the end of the loop's turn.
func queueing(t *testing.T, python string) []string {
	t.Helper()
	dir := filepath.Join(filepath.Dir(filepath.Dir(python)), "uvloop-0.21")
	env := append(os.Environ(), "PYTHONPATH="+dir)
	check := exec.Command(python, "-c", "import uvloop; assert uvloop.__version__ == '0.21.0'")
	if check.Env = env; check.Run() != nil {
		install := exec.Command(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target", dir, "uvloop==0.21.0")
		if out, err := install.CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: QUEUED WRITES ARE NOT TESTED: %v\n%s", err, out)
		}
	}
	return env[len(env)-1:]
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// start runs a program until the test ends.
func start(t *testing.T, dir string, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() && out.Len() > 0 {
			t.Logf("%s said: %s", filepath.Base(name), out.Bytes())
		}
	})
}

func waitUntil(t *testing.T, what string, ready func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ready() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 30 s for %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// startRedis returns the port of a redis-server that knows one key.
func startRedis(t *testing.T) int {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("SKIPPED: NOT TESTED END TO END: redis-server is not installed (apt-get install redis-server)")
	}
	port := freePort(t)
	start(t, t.TempDir(), nil, path, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
	waitUntil(t, "redis-server", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return false
		}
		defer c.Close()
		if _, err := io.WriteString(c, "SET known 1\r\n"); err != nil {
			return false
		}
		answer := make([]byte, 5)
		_, err = io.ReadFull(c, answer)
		return err == nil && string(answer) == "+OK\r\n"
	})
	return port
}

// app is testdata/app.py under a real uvicorn.
type app struct {
	url, truth string
	process    *exec.Cmd // of a hostile one
}

func startApp(t *testing.T, python string, env []string, args ...string) app {
	t.Helper()
	port, redis := freePort(t), startRedis(t)
	a := app{url: fmt.Sprintf("http://127.0.0.1:%d", port), truth: filepath.Join(t.TempDir(), "truth")}
	env = append(env, "TRUTH="+a.truth, fmt.Sprintf("REDIS_PORT=%d", redis), "POOL=2", "PYTHONDONTWRITEBYTECODE=1")
	start(t, "testdata", env, python, append([]string{"-m", "uvicorn", "app:app", "--port", fmt.Sprint(port), "--log-level", "warning"}, args...)...)
	waitUntil(t, "uvicorn", func() bool {
		r, err := http.Get(a.url + "/health")
		if err == nil {
			r.Body.Close()
		}
		return err == nil
	})
	return a
}

// drive sends n requests, eight at a time, and returns the path of each by its id.
func (a app) drive(t *testing.T, name string, n int) map[string]string {
	t.Helper()
	paths := make([]string, 0, len(calls))
	for p := range calls {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	ids, sent := make(chan string), map[string]string{}
	var wait sync.WaitGroup
	for range 8 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for id := range ids {
				if err := ask(client, a.url+sent[id], id); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	for i := range n {
		sent[fmt.Sprintf("%s-%d", name, i)] = paths[i*5%len(paths)] // 5: neighbours differ
	}
	for i := range n {
		ids <- fmt.Sprintf("%s-%d", name, i)
	}
	close(ids)
	wait.Wait()
	return sent
}

func ask(client *http.Client, url, id string) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-Request-Id", id)
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, res.Status)
	}
	return nil
}

// attached is a watcher that runs, with its pages, until the test ends.
type attached struct {
	*Watcher
	pages    string
	requests *bytes.Buffer
}

func attach(t *testing.T, a app, most kernel.Precision) attached {
	t.Helper()
	selector, err := target.ParseSelector(strings.TrimPrefix(a.url, "http://127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	w := attached{requests: &bytes.Buffer{}}
	m := metrics.New()
	begin := time.Now()
	w.Watcher, err = Start(t.Context(), Options{
		Selector: selector, OpenAPI: true, Precision: most, Metrics: m, Requests: w.requests, Log: slog.New(slog.DiscardHandler),
	})
	if errors.Is(err, kernel.ErrNotPermitted) || errors.Is(err, kernel.ErrNotSupported) {
		t.Skipf("SKIPPED: NOT TESTED END TO END: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("attached to %s in %.1f s", w.Target().Runtime, time.Since(begin).Seconds())
	mux := http.NewServeMux()
	mux.Handle("/metrics", m.Handler())
	mux.Handle("/", web.New(w.Watcher))
	server := httptest.NewServer(mux)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the watcher ended with %v", err)
		}
		server.Close()
		w.Close()
	})
	w.pages = server.URL
	return w
}

// post asks the agent's pages and decodes what they answer.
func (w attached) post(t *testing.T, path, body string, into any) {
	t.Helper()
	res, err := http.Post(w.pages+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		t.Fatalf("POST %s: %s", path, res.Status)
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		t.Fatalf("POST %s: %v", path, err)
	}
}

// told is a line of the --requests file.
type told struct {
	ID       string  `json:"id"`
	Endpoint string  `json:"endpoint"`
	Status   int     `json:"status"`
	Seconds  float64 `json:"seconds"`
	Complete bool    `json:"complete"`
	Stages   []struct {
		Seconds float64 `json:"seconds"`
	} `json:"stages"`
	Calls []struct {
		Peer, Operation, Error string
		PoolWait               float64 `json:"pool_wait"`
	} `json:"calls"`
}

func lines[T any](t *testing.T, raw []byte) (out []T) {
	t.Helper()
	for line := range bytes.Lines(raw) {
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		out = append(out, v)
	}
	return out
}

// The agent against a real uvicorn, redis-py and redis-server: all that it says is held against
// what the client sent and what the application logged.
func TestEndToEnd(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: NOT TESTED END TO END: run the tests as root")
	}
	python := venv(t)
	for name, args := range map[string][]string{
		"uvloop": nil, "uvloop that queues its writes": nil, "asyncio and h11": {"--loop", "asyncio", "--http", "h11"},
	} {
		t.Run(name, func(t *testing.T) {
			var env []string
			if strings.Contains(name, "queues") {
				env = queueing(t, python)
			}
			a := startApp(t, python, env, args...)
			a.drive(t, "warm", 14) // fills the pool: making a connection is no wait for one
			w := attach(t, a, kernel.Full)
			var opened struct{ ID string }
			w.post(t, "/api/v1/windows", `{"name": "test"}`, &opened)
			sent := a.drive(t, "r", 280)
			var rec recording.Recording
			w.post(t, "/api/v1/windows/"+opened.ID+"/close", "", &rec)
			if err := w.FlushRequests(); err != nil {
				t.Fatal(err)
			}
			checkLines(t, a, lines[told](t, w.requests.Bytes()), sent)
			checkRecording(t, &rec, sent)
			checkMetrics(t, w, sent)
		})
	}
}

// At the cheaper step calls are still linked, and no wait is claimed.
func TestEndToEndLinked(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: NOT TESTED END TO END: run the tests as root")
	}
	a := startApp(t, venv(t), nil)
	a.drive(t, "warm", 14)
	w := attach(t, a, kernel.Linked)
	sent := a.drive(t, "r", 280)
	time.Sleep(settle)
	if err := w.FlushRequests(); err != nil {
		t.Fatal(err)
	}
	got := lines[told](t, w.requests.Bytes())
	if len(got) != len(sent) {
		t.Errorf("%d requests seen of %d", len(got), len(sent))
	}
	wrong := 0
	for _, r := range got {
		if len(r.Calls) != calls[sent[r.ID]] {
			wrong++
			t.Logf("%s %s has %d calls, want %d", r.ID, sent[r.ID], len(r.Calls), calls[sent[r.ID]])
		}
		for _, k := range r.Calls {
			if k.PoolWait > 0 {
				t.Errorf("%s waited %g s: not measured at this step", r.ID, k.PoolWait)
			}
		}
	}
	if n := w.Recording().NotMeasured; !slices.ContainsFunc(n, func(m recording.NotMeasured) bool { return strings.Contains(m.What, "pool waits") }) {
		t.Errorf("the recording does not say that waits were not measured: %v", n)
	}
	if wrong > len(sent)/100 && !t.Failed() {
		t.Errorf("%d requests of %d have calls of others, or lack some, at the linked step", wrong, len(sent))
	}
}

func endpointOf(path string) string {
	if path == "/items/1" {
		path = "/items/{item}"
	}
	return "GET " + path
}

func checkLines(t *testing.T, a app, got []told, sent map[string]string) {
	t.Helper()
	raw, err := os.ReadFile(a.truth)
	if err != nil {
		t.Fatal(err)
	}
	type logged struct {
		ID    string
		Waits []float64
	}
	truth := map[string]float64{}
	for _, l := range lines[logged](t, raw) {
		for _, s := range l.Waits {
			truth[l.ID] += s
		}
	}
	var off []float64
	left := maps.Clone(sent)
	for _, r := range got {
		path, mine := left[r.ID]
		if !mine {
			t.Errorf("request %q was never sent, or told twice", r.ID)
			continue
		}
		delete(left, r.ID)
		sum, waited := 0.0, 0.0
		for _, s := range r.Stages {
			sum += s.Seconds
		}
		for _, k := range r.Calls {
			waited += k.PoolWait
			if k.Peer != "redis" || k.Error != "" {
				t.Errorf("%s %s: call %+v", r.ID, path, k)
			}
		}
		if r.Endpoint != endpointOf(path) || r.Status != 200 || !r.Complete || len(r.Calls) != calls[path] || math.Abs(sum-r.Seconds) > 1e-6 {
			t.Errorf("%s %s: %+v, want %d calls; stages sum to %g", r.ID, path, r, calls[path], sum)
		}
		off = append(off, math.Abs(waited-truth[r.ID])*1e3)
		if waited > .002 && truth[r.ID] < .0003 {
			t.Errorf("%s %s: a wait of %.2f ms that was none", r.ID, path, waited*1e3)
		}
	}
	if len(left) > 0 {
		t.Errorf("%d requests were not seen", len(left))
	}
	slices.Sort(off)
	if n := len(off); n > 0 {
		t.Logf("error of a request's pool wait: median %.2f ms, p90 %.2f, max %.2f", off[n/2], off[n*9/10], off[n-1])
		if off[n*9/10] > 5 {
			t.Errorf("one in ten pool waits is wrong by more than %.1f ms", off[n*9/10])
		}
	}
}

func checkRecording(t *testing.T, rec *recording.Recording, sent map[string]string) {
	t.Helper()
	want := map[string]int64{}
	for _, path := range sent {
		want[endpointOf(path)]++
	}
	for _, e := range rec.Endpoints {
		sum := 0.0
		for _, s := range e.Stages {
			sum += s.Sum
		}
		if e.Requests != want[e.Endpoint] || e.Status["200"] != e.Requests || math.Abs(sum-e.Latency.Sum) > 1e-6 {
			t.Errorf("window: %s: %d requests, want %d; status %v; stages %g s of %g", e.Endpoint, e.Requests, want[e.Endpoint], e.Status, sum, e.Latency.Sum)
		}
		delete(want, e.Endpoint)
	}
	if len(want) > 0 {
		t.Errorf("window: endpoints missing: %v", want)
	}
	if len(rec.Pools) != 1 || rec.Pools[0].Peer != "redis" || rec.Pools[0].OpenMax != 2 || rec.Pools[0].Limit != 2 || rec.Pools[0].InUseMax != 2 || rec.Pools[0].WaitersMax == 0 {
		t.Errorf("window: pools %+v", rec.Pools)
	}
	for _, l := range rec.Losses {
		if l.Count > 0 {
			t.Errorf("window: lost: %+v", l)
		}
	}
	if len(rec.Bottlenecks) == 0 {
		t.Error("window: no bottleneck, though a pool of two was waited for")
	}
}

func checkMetrics(t *testing.T, w attached, sent map[string]string) {
	t.Helper()
	res, err := http.Get(w.pages + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	n := 0.0
	for line := range strings.Lines(string(text)) {
		var v float64
		if strings.HasPrefix(line, "http_server_request_duration_seconds_count{") {
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' '):], &v); err != nil {
				t.Fatal(err)
			}
			n += v
		}
	}
	if n != float64(len(sent)) {
		t.Errorf("/metrics counts %g requests, %d were sent", n, len(sent))
	}
	for _, name := range []string{"http_server_request_stage_duration_seconds_count", "db_client_connection_wait_time_seconds_count", "db_client_operation_duration_seconds_count"} {
		if !strings.Contains(string(text), name) {
			t.Errorf("/metrics has no %s", name)
		}
	}
}
