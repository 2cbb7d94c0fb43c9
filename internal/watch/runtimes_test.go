package watch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/stack"
	"github.com/ragscope/ragscope/internal/target"
)

// guest is a service of testdata/runtimes. It ends with its standard input.
type guest struct {
	name string // the first part of its paths
	kind string // of its frames
	// The functions that burn CPU, by path, and the endpoint of their samples; "": it cannot be known.
	functions, endpoints map[string]string
	start                func(t *testing.T) []string // its command line, to which its address is added
	url                  string
}

// guests are the services, of those that can be built here.
func guests(t *testing.T) []*guest {
	t.Helper()
	sources, err := filepath.Abs("testdata/runtimes")
	if err != nil {
		t.Fatal(err)
	}
	classes, server := t.TempDir(), filepath.Join(t.TempDir(), "server")
	return []*guest{
		{
			name: "jvm", kind: "jvm",
			functions: map[string]string{"/jvm/large": "Server.burnLarge", "/jvm/small": "Server.burnSmall"},
			endpoints: map[string]string{"/jvm/large": "GET /jvm/large", "/jvm/small": "GET /jvm/small"},
			start: func(t *testing.T) []string {
				build(t, installed(t, "javac", "openjdk-17-jdk-headless"), "-d", classes, filepath.Join(sources, "Server.java"))
				return []string{installed(t, "java", "openjdk-17-jre-headless"), "-cp", classes, "Server"}
			},
		},
		{
			name: "node", kind: "v8js",
			functions: map[string]string{"/node/large": "burnLarge", "/node/small": "burnSmall", "/node/later": "burnLater"},
			endpoints: map[string]string{"/node/large": "GET /node/large", "/node/small": "GET /node/small"},
			start: func(t *testing.T) []string {
				return []string{installed(t, "node", "nodejs"), filepath.Join(sources, "server.js")}
			},
		},
		{
			name: "go", kind: "go",
			functions: map[string]string{"/go/large": "main.burnLarge", "/go/small": "main.burnSmall"},
			start: func(t *testing.T) []string {
				build(t, installed(t, "go", "golang"), "build", "-ldflags=-s -w", "-o", server, filepath.Join(sources, "goserver", "main.go"))
				return []string{server}
			},
		},
	}
}

// installed is the path of a program; without it the test is skipped.
func installed(t *testing.T, name, pack string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED: RUNTIMES ARE NOT TESTED: %s is not installed (apt-get install %s)", name, pack)
	}
	return path
}

func build(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}

// serve starts the service at an address of its own.
func (g *guest) serve(t *testing.T, host string, port int) {
	t.Helper()
	argv := append(g.start(t), host, fmt.Sprint(port))
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s ended with %v", argv[0], err)
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%s does not start: %v, %q", argv[0], err, line)
	}
	g.url = fmt.Sprintf("http://%s:%d", host, port)
}

// truth is how many nanoseconds of CPU each function has taken.
func (g *guest) truth(t *testing.T) map[string]float64 {
	t.Helper()
	res, err := http.Get(g.url + "/truth")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var spent map[string]float64
	if err := json.NewDecoder(res.Body).Decode(&spent); err != nil {
		t.Fatal(err)
	}
	return spent
}

// drive asks for all paths of all services on three connections each, and returns how often.
func drive(t *testing.T, all []*guest, d time.Duration) map[string]int64 {
	t.Helper()
	var mu sync.Mutex
	var wait sync.WaitGroup
	sent := map[string]int64{}
	end := time.Now().Add(d)
	for _, g := range all {
		for path := range g.functions {
			wait.Go(func() {
				client := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}
				defer client.CloseIdleConnections()
				for time.Now().Before(end) {
					if err := ask(client, g.url+path, ""); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					sent["GET "+path]++
					mu.Unlock()
				}
			})
		}
	}
	wait.Wait()
	return sent
}

// sampled is a watcher that samples stacks.
func sampled(t *testing.T, port int) *Watcher {
	t.Helper()
	selector, err := target.ParseSelector(fmt.Sprintf(":%d", port))
	if err != nil {
		t.Fatal(err)
	}
	w, err := Start(t.Context(), Options{Selector: selector, Precision: kernel.Full, CPUHz: 797, Log: slog.New(slog.DiscardHandler)})
	if errors.Is(err, kernel.ErrNotPermitted) || errors.Is(err, kernel.ErrNotSupported) {
		t.Skipf("SKIPPED: RUNTIMES ARE NOT TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the watcher ended with %v", err)
		}
		w.Close()
	})
	for why := "still loading"; why != ""; time.Sleep(20 * time.Millisecond) {
		if !strings.Contains(why, "still loading") {
			t.Skipf("SKIPPED: RUNTIMES ARE NOT TESTED: %s", why)
		}
		w.mu.Lock()
		why = w.stackWhy
		w.mu.Unlock()
	}
	return w
}

// The same graphs of a JVM, of Node.js and of Go, all watched at once: each function has its share of the
// samples under its name, stacks reach the thread's start, and a sample has an endpoint where it can be
// known, else none.
func TestRuntimes(t *testing.T) {
	if testing.Short() || os.Geteuid() != 0 {
		t.Skip("SKIPPED: RUNTIMES ARE NOT TESTED: run the tests as root and without -short")
	}
	all, port := guests(t), freePort(t)
	for i, g := range all {
		g.serve(t, fmt.Sprintf("127.0.0.%d", i+1), port) // one port: one target
	}
	w := sampled(t, port)
	sent := drive(t, all, time.Second) // compilers warm up, and the unwinder learns what is mapped
	time.Sleep(stack.DefaultHold)
	lost := w.sampler.Load().Lost()[stack.LostTruncated]
	w.tallies[stack.CPU].Take(time.Now())
	before, after := map[string]map[string]float64{}, map[string]map[string]float64{}
	for _, g := range all {
		before[g.name] = g.truth(t)
	}
	for begin, hungry := time.Now(), all; len(hungry) > 0 && time.Since(begin) < time.Minute; {
		for endpoint, n := range drive(t, hungry, time.Second) {
			sent[endpoint] += n
		}
		hungry = slices.DeleteFunc(slices.Clone(all), func(g *guest) bool {
			after[g.name] = g.truth(t)
			return total(after[g.name])-total(before[g.name]) > 1e9 // a second of CPU is 800 samples
		})
	}
	time.Sleep(stack.DefaultHold + settle)
	profile := w.tallies[stack.CPU].Take(time.Now())
	for _, g := range all {
		t.Run(g.name, func(t *testing.T) {
			spent := after[g.name]
			for function := range spent {
				spent[function] -= before[g.name][function]
			}
			g.shares(t, profile, spent)
			g.labels(t, profile)
		})
	}
	samples, _ := profile.Totals()
	cut := w.sampler.Load().Lost()[stack.LostTruncated] - lost
	t.Logf("%d of %d stacks do not reach their thread's start", cut, samples)
	if float64(cut) > 0.01*float64(samples) {
		t.Error("more than 1 % of the stacks do not reach their thread's start")
	}
	facts(t, w.Recording(), sent)
}

func total(spent map[string]float64) (sum float64) {
	for _, ns := range spent {
		sum += ns
	}
	return sum
}

// shares holds the samples of each function against the CPU time that it took.
func (g *guest) shares(t *testing.T, p *stack.Profile, spent map[string]float64) {
	t.Helper()
	got, all, sum := map[string]float64{}, 0.0, total(spent)
	for s := range p.All() {
		for _, function := range g.functions {
			if g.runs(s.Frames, function) {
				got[function] += float64(s.Value)
				all += float64(s.Value)
			}
		}
	}
	t.Logf("%.0f samples stand for %.2f s of CPU, it took %.2f s", all/float64(p.Period), all/1e9, sum/1e9)
	if all < 0.93*sum || all > 1.07*sum {
		t.Errorf("the samples of all functions stand for %.2f s of CPU, they took %.2f s", all/1e9, sum/1e9)
	}
	for _, function := range g.functions {
		_, short, _ := strings.Cut("."+function, "burn")
		share, want := got[function]/all, spent["burn"+short]/sum
		t.Logf("%s has %.1f %% of the samples, %.1f %% of the CPU", function, 100*share, 100*want)
		if !(share > want-0.03 && share < want+0.03) { // NaN is wrong
			t.Errorf("%s has %.1f %% of the samples, %.1f %% of the CPU", function, 100*share, 100*want)
		}
	}
}

func (g *guest) runs(frames []stack.Frame, function string) bool {
	return slices.ContainsFunc(frames, func(f stack.Frame) bool { return f.Kind == g.kind && f.Function == function })
}

// labels: a function's samples have their own endpoint or none, and where it can be known nearly all have it.
func (g *guest) labels(t *testing.T, p *stack.Profile) {
	t.Helper()
	for path, function := range g.functions {
		by := map[string]int64{}
		var all int64
		for s := range p.All() {
			if g.runs(s.Frames, function) {
				by[s.Endpoint] += s.Samples
				all += s.Samples
			}
		}
		t.Logf("%s: %v", function, by)
		want := g.endpoints[path]
		for endpoint, n := range by {
			if endpoint != want && endpoint != stack.RequestUnknown && endpoint != stack.OutsideRequests {
				t.Errorf("%d samples of %s are said to be of %s", n, function, endpoint)
			}
		}
		if want != "" && float64(by[want]) < 0.98*float64(all) {
			t.Errorf("%d of %d samples of %s have the endpoint %s", by[want], all, function, want)
		}
		if want == "" && by[stack.RequestUnknown] != all {
			t.Errorf("%d of %d samples of %s are said to be of a request that is not known", by[stack.RequestUnknown], all, function)
		}
	}
}

// facts: all requests are seen, and what is not measured is said.
func facts(t *testing.T, r *recording.Recording, sent map[string]int64) {
	t.Helper()
	for _, runtime := range []string{"JVM ", "Node.js", "Go "} {
		if !strings.Contains(r.Target.Runtime, runtime) {
			t.Errorf("the runtimes are %q, without %q", r.Target.Runtime, runtime)
		}
		if !slices.ContainsFunc(r.NotMeasured, func(n recording.NotMeasured) bool {
			return strings.Contains(n.What, "endpoint of CPU samples") && strings.Contains(n.Why, " is "+runtime)
		}) {
			t.Errorf("it does not say what is not measured of %s: %v", runtime, r.NotMeasured)
		}
	}
	for _, e := range r.Endpoints {
		if n, ours := sent[e.Endpoint]; ours && e.Requests != n {
			t.Errorf("%d requests were sent for %s, %d seen", n, e.Endpoint, e.Requests)
		}
		delete(sent, e.Endpoint)
	}
	if len(sent) > 0 {
		t.Errorf("nothing was seen of the requests %v", sent)
	}
}
