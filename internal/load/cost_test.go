package load_test

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/locust"
	"github.com/ragscope/ragscope/internal/locust/locusttest"
	"github.com/ragscope/ragscope/internal/scenario"
)

var (
	costOut    = flag.String("cost-out", "", "measure what a request costs the loader and others, and write the table to this file")
	costRounds = flag.Int("cost-rounds", 16, "windows of each tool")
)

const (
	costUsers    = 50
	costWindow   = 400 * time.Millisecond
	costScenario = "think_time: 0s\ntasks: [{name: /health, request: {path: /health}}]\n"
	costLocust   = "from locust import FastHttpUser, task, constant\n\nclass User(FastHttpUser):\n    wait_time = constant(0)\n\n    @task\n    def health(self):\n        self.client.get('/health')\n"
	costNginx    = `daemon off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/errors;
events { worker_connections 1024; }
http {
	access_log off; keepalive_requests 1000000000;
	client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	server {
		listen %[2]s;
		location /status { stub_status; }
		location / { default_type application/json; return 200 '{"status":"healthy","version":"1.0.0"}'; }
	}
}
`
)

// tool is a client that sends GET /health over 50 connections, as fast as it can, until it is ended.
type tool struct {
	name  string
	argv  []string
	warm  time.Duration // until it sends at full speed
	cmd   *exec.Cmd
	rows  []window
	ratio []float64 // to wrk in the same round
}

// window is what one tool cost in one stretch of time.
type window struct{ cpu, rate, cores float64 } // µs a request, requests/s, cores

// TestCost measures the CPU time that a request costs: the client on one core and the server on another, the
// requests counted by the server. Run it as root on a machine with nginx, wrk and the environment of .ci/setup:
//
//	go test ./internal/load -run '^TestCost$' -count=1 -v -cost-out RESULTS.md
func TestCost(t *testing.T) {
	if *costOut == "" {
		t.Skip("a bench: asked for with -cost-out")
	}
	dir := t.TempDir()
	page := costHead()
	for _, server := range []struct {
		name, address string
		argv          []string
	}{
		{"a server that never sleeps (cost_server_test.go)", "127.0.0.1:28088", []string{"env", "COST_SERVER=127.0.0.1:28088", os.Args[0], "-test.run", "^TestCostServer$", "-test.timeout", "0"}},
		{"nginx, one worker", "127.0.0.1:28089", []string{"nginx", "-e", filepath.Join(dir, "errors"), "-c", write(t, dir, "nginx.conf", fmt.Sprintf(costNginx, dir, "127.0.0.1:28089"))}},
	} {
		tools := costTools(t, dir, "http://"+server.address)
		cmd := pinned(1, server.argv...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, server.address)
		compare(t, tools, server.address)
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		costTable(&page, server.name, tools)
	}
	if err := os.WriteFile(*costOut, page.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// compare starts the tools and lets them run in turn: all others are stopped (SIGSTOP), so that windows can be short
// and a change of the machine's mood meets all alike.
func compare(t *testing.T, tools []tool, address string) {
	for i := range tools {
		tl := &tools[i]
		tl.cmd = pinned(0, tl.argv...)
		if err := tl.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = tl.cmd.Process.Kill()
			_ = tl.cmd.Wait()
		}()
		time.Sleep(tl.warm)
		tl.signal(t, unix.SIGSTOP)
	}
	for round := range *costRounds {
		for i := range tools { // each round begins with another one
			tl := &tools[(i+round)%len(tools)]
			tl.signal(t, unix.SIGCONT)
			tl.rows = append(tl.rows, tl.measure(t, address))
			tl.signal(t, unix.SIGSTOP)
		}
		for i := range tools {
			tools[i].ratio = append(tools[i].ratio, tools[i].rows[round].cpu/tools[0].rows[round].cpu)
		}
	}
	for _, tl := range tools {
		t.Logf("%-45s %s µs, %s × wrk", tl.name, spread(tl.column(func(w window) float64 { return w.cpu }), "%.1f"), spread(tl.ratio, "%.2f"))
	}
}

func (tl *tool) signal(t *testing.T, s unix.Signal) {
	if err := tl.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%s: %v", tl.name, err)
	}
}

func (tl *tool) measure(t *testing.T, address string) window {
	time.Sleep(costWindow / 5)
	read := func() (cpu, count float64) {
		n, err := served(address)
		if err != nil {
			t.Fatal(err)
		}
		return ran(tl.cmd.Process.Pid), n
	}
	cpu, count := read()
	begin := time.Now()
	time.Sleep(costWindow)
	cpu2, count2 := read()
	seconds, n := time.Since(begin).Seconds(), count2-count-1 // without our own question
	if n < 20 {
		t.Fatalf("%s: %v requests in %v", tl.name, n, costWindow)
	}
	return window{(cpu2 - cpu) / n * 1e6, n / seconds, (cpu2 - cpu) / seconds}
}

func (tl *tool) column(f func(window) float64) []float64 {
	var v []float64
	for _, w := range tl.rows {
		v = append(v, f(w))
	}
	return v
}

func costTools(t *testing.T, dir, base string) []tool {
	loader := filepath.Join(dir, "loader")
	if out, err := exec.Command("go", "build", "-o", loader, "github.com/ragscope/ragscope/cmd/loader").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	users := strconv.Itoa(costUsers)
	return []tool{
		{name: "wrk", warm: time.Second, argv: []string{"wrk", "-t1", "-c" + users, "-d600s", base + "/health"}},
		{name: "loader run", warm: time.Second, argv: []string{loader, "run", "--headless", "--only-summary", "--scenario", write(t, dir, "health.yaml", costScenario), "--host", base, "-u", users, "-r", "1000"}},
		{name: "the same with net/http (`--http2`'s sender)", warm: time.Second, argv: []string{"env", "COST_CHILD=" + base, os.Args[0], "-test.run", "^TestCostChild$", "-test.timeout", "0"}},
		{name: "Locust FastHttpUser", warm: 4 * time.Second, argv: []string{
			filepath.Join(locusttest.Bin(t), "locust"), "-f", write(t, dir, "locustfile.py", costLocust),
			"--host", base, "-u", users, "-r", "1000", "--headless", "--only-summary",
		}},
	}
}

// TestCostChild is not a test: it sends with net/http until it is ended, for TestCost.
func TestCostChild(t *testing.T) {
	base := os.Getenv("COST_CHILD")
	if base == "" {
		t.Skip("the child of a bench")
	}
	s, err := scenario.Parse("health.yaml", []byte(costScenario), nil, scenario.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Users, s.SpawnRate = costUsers, 1000
	_, err = load.Run(context.Background(), load.Config{
		Scenario: s, Host: base, Sender: load.NewHTTP(base, load.Connections{}), Sinks: []load.Sink{locust.NewStats(s.Tasks, time.Now())},
	})
	t.Fatal("the run ended", err)
}

func write(t *testing.T, dir, name, text string) string {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// pinned is a command on one core, before all others that this machine may run.
func pinned(core int, argv ...string) *exec.Cmd {
	return exec.Command("chrt", append([]string{"--rr", "1", "taskset", "-c", strconv.Itoa(core)}, argv...)...)
}

// waitFor waits until the server answers.
func waitFor(t *testing.T, address string) {
	for range 100 {
		if _, err := served(address); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("nginx does not answer")
}

// served is the number of requests that nginx has answered.
func served(address string) (float64, error) {
	res, err := http.Get("http://" + address + "/status")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(res.Body); err != nil {
		return 0, err
	}
	words := strings.Fields(text.String()) // Active connections: 1 server accepts handled requests 1 1 1 …
	if len(words) < 10 {
		return 0, fmt.Errorf("status %q", text.String())
	}
	return strconv.ParseFloat(words[9], 64)
}

// ran is the CPU time of a process and its children in seconds, by the scheduler's own clock.
func ran(pid int) (sum float64) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, task := range tasks {
		stat, err := os.ReadFile(filepath.Join(task, "schedstat"))
		if err != nil {
			continue // the thread has ended
		}
		ns, _, _ := strings.Cut(string(stat), " ")
		n, _ := strconv.ParseFloat(ns, 64)
		sum += n / 1e9
		children, _ := os.ReadFile(filepath.Join(task, "children"))
		for _, child := range strings.Fields(string(children)) {
			if id, err := strconv.Atoi(child); err == nil {
				sum += ran(id)
			}
		}
	}
	return sum
}

func costHead() (p bytes.Buffer) {
	first := func(argv ...string) string {
		out, _ := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return line
	}
	average, _ := os.ReadFile("/proc/loadavg")
	fmt.Fprintf(&p, `# What a request costs the loader

Made by TestCost (cost_test.go): GET /health over %d keep-alive connections, as fast as the client can, client on one core and
server on the other, both scheduled before other work (SCHED_RR). CPU time is the client's whole process by the scheduler's clock
(statistics, histograms and all), divided by the server's own count of requests. %d rounds, in each %v of every client in turn while the
others are stopped. Medians [quartiles]; the ratio is to wrk in the same round. The machine is shared and virtual: compare
ratios, not microseconds.

%s, commit %s, Linux %s, %d CPUs, load average %s; %s; %s; %s.
`, costUsers, *costRounds, costWindow, time.Now().UTC().Format("2006-01-02 15:04 UTC"), first("git", "rev-parse", "--short", "HEAD"),
		first("uname", "-r"), runtime.NumCPU(), strings.Join(strings.Fields(string(average))[:3], " "), first("nginx", "-v"), first("wrk", "-v"), runtime.Version())
	return p
}

func costTable(p *bytes.Buffer, server string, tools []tool) {
	fmt.Fprintf(p, "\n## Against %s\n\n| client | CPU, µs a request | ratio to wrk | requests/s | client's cores |\n|---|--:|--:|--:|--:|\n", server)
	for _, tl := range tools {
		fmt.Fprintf(p, "| %s | %s | %s | %.0f | %.2f |\n", tl.name, spread(tl.column(func(w window) float64 { return w.cpu }), "%.1f"), spread(tl.ratio, "%.2f"),
			quantile(tl.column(func(w window) float64 { return w.rate }), 0.5), quantile(tl.column(func(w window) float64 { return w.cores }), 0.5))
	}
}

func spread(v []float64, format string) string {
	return fmt.Sprintf(format+" ["+format+" … "+format+"]", quantile(v, 0.5), quantile(v, 0.25), quantile(v, 0.75))
}

func quantile(v []float64, q float64) float64 {
	s := slices.SortedFunc(slices.Values(v), cmp.Compare)
	p := q * float64(len(s)-1)
	i := min(int(p), len(s)-1)
	return s[i] + (p-float64(i))*(s[min(i+1, len(s)-1)]-s[i])
}
