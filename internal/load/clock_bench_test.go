package load

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/locust/locusttest"
	"github.com/ragscope/ragscope/internal/recording"
)

// The bench of clocks, pace and streams, about seven minutes:
//
//	go test ./internal/load -run TestClockBench -timeout 15m -clock-bench "$PWD/internal/load/RESULTS.md"
//
// On a machine that others use meanwhile, chrt --rr 1 before it keeps them out of the figures of all tools alike;
// the page says so.
// It puts its sections into the file and leaves the rest. Tools that are not in PATH are left out
// and named: wrk (apt), vegeta and bombardier (go install), Locust (.ci/setup). Python clients are fetched by pip.
var (
	clockBench = flag.String("clock-bench", "", "measure clocks and pace, and put the sections into this file")
	clockParts = flag.String("clock-parts", "stalls,pace,poisson,promised,streams", "which of them")
)

const (
	stallEvery = 5 * time.Second
	stallFirst = 2 * time.Second
	stallFor   = 500 * time.Millisecond
	stalledRun = 20 * time.Second
	stallRate  = 2000
)

// TestBenchServer is no test: it is the other process of TestClockBench. Behind /stalls it answers nothing for
// half a second every five, counted from the first request there; elsewhere at once.
func TestBenchServer(t *testing.T) {
	address := os.Getenv("RAGSCOPE_BENCH_SERVER")
	if address == "" {
		t.Skip("only the bench of clocks needs a server")
	}
	var gate sync.RWMutex
	var mu sync.Mutex
	var first time.Time
	begin := func() {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(first) < stalledRun+5*time.Second {
			return
		}
		first = time.Now()
		for i := range int(stalledRun / stallEvery) {
			time.AfterFunc(stallFirst+time.Duration(i)*stallEvery, func() {
				gate.Lock()
				time.AfterFunc(stallFor, gate.Unlock)
			})
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/stalls", func(w http.ResponseWriter, _ *http.Request) {
		begin()
		gate.RLock()
		defer gate.RUnlock()
		_, _ = io.WriteString(w, "ok")
	})
	streams := &stamps{at: map[string][]int64{}}
	mux.HandleFunc("/stream", streams.stream)
	mux.HandleFunc("/stream/step", streams.stream)
	mux.HandleFunc("/stamps", streams.tell)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	t.Log(http.ListenAndServe(address, mux))
}

// bench is the bench while it runs.
type bench struct {
	*testing.T
	dir, url, loader string
	page             strings.Builder
}

func TestClockBench(t *testing.T) {
	if *clockBench == "" {
		t.Skip("see -clock-bench")
	}
	b := &bench{T: t, dir: t.TempDir()}
	b.url, b.loader = b.serve(), filepath.Join(b.dir, "loader")
	if out, err := exec.Command("go", "build", "-o", b.loader, "../../cmd/loader").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, part := range []struct {
		name string
		run  func()
	}{{"stalls", b.stalls}, {"pace", b.pace}, {"poisson", b.poisson}, {"promised", b.promised}, {"streams", b.streams}} {
		if !slices.Contains(strings.Split(*clockParts, ","), part.name) {
			continue
		}
		b.page.Reset()
		on := machine()
		part.run()
		b.line("\nMade by `go test ./internal/load -run TestClockBench -timeout 15m -clock-bench FILE`, %s, %s.", time.Now().UTC().Format("2006-01-02"), on)
		b.write(part.name)
	}
}

// serve starts a server of its own, by another program if one is given, and returns its address.
func (b *bench) serve(by ...string) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	argv := slices.Concat(by, []string{os.Args[0], "-test.run=^TestBenchServer$", "-test.timeout=0"})
	server := exec.Command(argv[0], argv[1:]...)
	server.Env = append(os.Environ(), "RAGSCOPE_BENCH_SERVER="+address)
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	url = "http://" + address
	for range 100 {
		if r, err := http.Get(url); err == nil {
			_ = r.Body.Close()
			return url
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.Fatal("the server does not answer")
	return ""
}

func (b *bench) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	b.Log(text)
	b.page.WriteString(text + "\n")
}

func machine() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	model := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(text)
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	load, _ := os.ReadFile("/proc/loadavg")
	name := "unknown CPU"
	if model != nil {
		name = string(model[1])
	}
	priority := "ordinary priority"
	if p, _, _ := syscall.Syscall(syscall.SYS_SCHED_GETSCHEDULER, 0, 0, 0); p != 0 {
		priority = "real-time priority for server and tools (chrt --rr 1), since others used the machine"
	}
	return fmt.Sprintf("%s, %d CPUs shared with server and tools, Linux %s, %s, load average before: %s", name, strings.Count(string(text), "processor\t"),
		strings.TrimSpace(string(kernel)), priority, strings.Join(strings.Fields(string(load))[:3], " "))
}

// run runs the loader and returns its recording.
func (b *bench) run(name, scene string, args ...string) *recording.Recording {
	b.Helper()
	file, prefix := filepath.Join(b.dir, name+".yaml"), filepath.Join(b.dir, name)
	if err := os.WriteFile(file, []byte(scene), 0o600); err != nil {
		b.Fatal(err)
	}
	out, err := exec.Command(b.loader, append([]string{"run", "--host", b.url, "--scenario", file, "--headless", "--only-summary", "--exit-code-on-error", "0", "--csv", prefix}, args...)...).CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	rec, err := recording.Read(prefix + "_recording.json")
	if err != nil {
		b.Fatal(err)
	}
	return rec
}

// tool runs another program; "" where it is missing or fails, and says so on the page.
func (b *bench) tool(name string, stdin string, args ...string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		b.line("| %s | not measured: %v | | | |", name, err)
		return ""
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		b.line("| %s | not measured: %v | | | |", name, err)
		b.Log(stderr.String())
		return ""
	}
	return stdout.String()
}

// stalls is the coordinated-omission bench.
func (b *bench) stalls() {
	b.line(`## Coordinated omission

A server that stops answering for 500 ms four times in 20 s, asked 2,000 times a second. Of the 40,000 requests
that should have been sent, 4,000 are due in a stall and wait from 0 to 500 ms, so the true p99 is 450 ms, p95 250 ms,
p90 about 0. The tools ran one after the other, each with its own four stalls.

| tool | requests | p95 ms | p99 ms | p99 off the truth |
|---|---|---|---|---|`)
	row := func(name string, n float64, p95, p99 float64) {
		b.line("| %s | %.0f | %.1f | %.1f | %+.1f %% |", name, n, p95, p99, (p99/450-1)*100)
	}
	rec := b.run("stalls", "name: stalls\nrate: 2000/s\nrun_time: 20s\ntasks: [{request: {path: /stalls}}]\n")
	c := rec.Endpoints[0].Client
	row("**loader, response clock**", float64(c.Requests), c.Response.Quantile(.95)*1e3, c.Response.Quantile(.99)*1e3)
	row("loader, service clock", float64(c.Requests), c.Service.Quantile(.95)*1e3, c.Service.Quantile(.99)*1e3)
	b.settle()
	for _, workers := range []string{"", "50"} {
		args, name := []string{"attack", "-rate", "2000", "-duration", "20s", "-output", filepath.Join(b.dir, "vegeta.bin")}, "vegeta"
		if workers != "" {
			args, name = append(args, "-max-workers", workers), "vegeta -max-workers 50"
		}
		if b.tool("vegeta", "GET "+b.url+"/stalls\n", args...); true {
			var r struct {
				Requests  float64
				Latencies struct {
					P95 float64 `json:"95th"`
					P99 float64 `json:"99th"`
				}
			}
			text := b.tool("vegeta", "", "report", "-type", "json", filepath.Join(b.dir, "vegeta.bin"))
			if json.Unmarshal([]byte(text), &r) == nil {
				row(name, r.Requests, r.Latencies.P95/1e6, r.Latencies.P99/1e6)
			}
		}
		b.settle()
	}
	if text := b.tool("bombardier", "", "-r", "2000", "-c", "50", "-d", "20s", "-l", "-p", "r", "-o", "json", b.url+"/stalls"); text != "" {
		var r struct {
			Result struct {
				OK      float64 `json:"req2xx"`
				Latency struct{ Percentiles map[string]float64 }
			}
		}
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			b.Fatalf("%v in %s", err, text)
		}
		row("bombardier -r 2000 -c 50", r.Result.OK, r.Result.Latency.Percentiles["95"]/1e3, r.Result.Latency.Percentiles["99"]/1e3)
	}
	b.settle()
	if text := b.tool("wrk", "", "-t", "1", "-c", "50", "-d", "20s", "--latency", b.url+"/stalls"); text != "" {
		p99 := regexp.MustCompile(`99%\s+([0-9.]+)(us|ms|s)`).FindStringSubmatch(text)
		n := regexp.MustCompile(`(\d+) requests in`).FindStringSubmatch(text)
		b.line("| wrk -c 50, which has no rate and adds what it thinks was left out | %s | | %s | %+.1f %% |", n[1], p99[1]+" "+p99[2], (number(p99[1])*map[string]float64{"us": 1e-3, "ms": 1, "s": 1e3}[p99[2]]/450-1)*100)
	}
	b.settle()
	b.locustStalls(row)
	b.line("\nk6 and wrk2 are not measured: the one is not to be used here (AGPL), of the other the registries have no package.\n")
}

// settle waits until the server's stalls are over and the next first request begins new ones.
func (b *bench) settle() { time.Sleep(stalledRun/4 + 1500*time.Millisecond) }

func (b *bench) locust() string {
	return filepath.Join(locusttest.Bin(b), "locust")
}

// locustStalls has 50 fast users who each mean to send 40 requests a second.
func (b *bench) locustStalls(row func(string, float64, float64, float64)) {
	file, prefix := filepath.Join(b.dir, "stalls.py"), filepath.Join(b.dir, "locust")
	text := "from locust import FastHttpUser, constant_throughput, task\nclass U(FastHttpUser):\n    wait_time = constant_throughput(40)\n    @task\n    def t(self):\n        self.client.get('/stalls')\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	b.tool(b.locust(), "", "-f", file, "--host", b.url, "-u", "50", "-r", "50", "-t", "20s", "--headless", "--only-summary", "--csv", prefix)
	out, err := os.ReadFile(prefix + "_stats.csv")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Split(strings.TrimSpace(line), ","); f[1] == "Aggregated" {
			row("Locust, 50 FastHttpUsers, constant_throughput(40)", number(f[2]), number(f[16]), number(f[18]))
		}
	}
}

func number(s string) float64 { v, _ := strconv.ParseFloat(s, 64); return v }

// paceWindows is how often each pace is measured: a neighbour on the machine spoils one, not the median.
const paceWindows = 5

// pace measures how late requests are sent.
func (b *bench) pace() {
	b.line("## Pace\n\nHow late requests leave, %d runs of 4 s each, an answer at once: the median of the runs, and the best one. The bounds are 60 µs at p50 and 1 ms at p99.\n\n| rate asked | rate sent | lag p50 µs | best | lag p99 µs | best | response p50 µs | response p99 µs |\n|---|---|---|---|---|---|---|---|", paceWindows)
	for _, arrival := range []string{"constant", "poisson"} {
		for _, rate := range []int{2000, 10000} {
			var sent, p50, p99, r50, r99 []float64
			for range paceWindows {
				rec := b.run("pace", fmt.Sprintf("name: pace\nrate: %d/s\narrival: %s\nrun_time: 4s\ntasks: [{request: {path: /}}]\n", rate, arrival))
				s, c := rec.Scenario, rec.Endpoints[0].Client
				sent, p50, p99 = append(sent, s.RequestsPerSec), append(p50, s.ScheduleLagP50*1e6), append(p99, s.ScheduleLagP99*1e6)
				r50, r99 = append(r50, c.Response.Quantile(.5)*1e6), append(r99, c.Response.Quantile(.99)*1e6)
				b.Log(s.LoaderBound, s.Invalid, s.ScheduleLagP50, s.ScheduleLagP99)
			}
			b.line("| %d/s %s | %.1f | %.0f | %.0f | %.0f | %.0f | %.0f | %.0f |", rate, arrival, median(sent), median(p50), slices.Min(p50), median(p99), slices.Min(p99), median(r50), median(r99))
		}
	}
}

func median(v []float64) float64 { return slices.Sorted(slices.Values(v))[len(v)/2] }

// promised holds what "50 QPS" sends, open, and closed beside Locust.
func (b *bench) promised() {
	rec := b.run("open50", "name: open50\nrate: 50/s\nrun_time: 20s\ntasks: [{request: {path: /}}]\n")
	b.line("## What is promised is sent\n\nOpen, 50 requests/s for 20 s: %d requests, %.3f requests/s by the server's 20 s.\n", rec.Scenario.Requests, float64(rec.Scenario.Requests)/20)
	file, prefix := filepath.Join(b.dir, "closed.py"), filepath.Join(b.dir, "closed-locust")
	text := "from locust import HttpUser, between, task\nclass U(HttpUser):\n    wait_time = between(1, 3)\n    @task\n    def t(self):\n        self.client.get('/')\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		_ = exec.Command(b.locust(), "-f", file, "--host", b.url, "-u", "50", "-r", "50", "-t", "40s", "--headless", "--only-summary", "--csv", prefix).Run()
	}()
	ours := b.run("closed", "name: closed\nusers: 50\nspawn_rate: 50\nrun_time: 40s\nthink_time: 1s..3s\ntasks: [{request: {path: /}}]\n")
	<-done
	out, err := os.ReadFile(prefix + "_stats.csv")
	if err != nil {
		b.line("Closed beside Locust: not measured: %v", err)
		return
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Split(strings.TrimSpace(line), ","); f[1] == "Aggregated" {
			b.line("Closed, 50 users who think 1 to 3 s, 40 s, at the same time: Locust %s requests, the loader %d (%+.1f %%).", f[2], ours.Scenario.Requests, (float64(ours.Scenario.Requests)/number(f[2])-1)*100)
		}
	}
}

// write puts a section into the file, in the place of an older one.
func (b *bench) write(part string) {
	begin, end := "<!-- "+part+" -->\n", "<!-- end of "+part+" -->\n"
	old, err := os.ReadFile(*clockBench)
	if err != nil {
		old = []byte("# What the loader measures about itself\n")
	}
	text := string(old)
	section := begin + b.page.String() + end
	before, rest, found := strings.Cut(text, begin)
	if _, after, ok := strings.Cut(rest, end); found && ok {
		text = before + section + after
	} else {
		text = strings.TrimRight(text, "\n") + "\n\n" + section
	}
	if err := os.WriteFile(*clockBench, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
}
