package truth

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/target"
)

var (
	benchOut    = flag.String("bench-out", "", "run the bench and write its page to this file, results.json beside it")
	benchOnly   = flag.String("bench-only", "", "parts to run, of cost,timing,others,agent,truth,rows,pools,memory,profiles,sleeps,names,allocations,touched,rag; empty: all")
	benchRows   = flag.String("bench-rows", "", "only rows whose name matches this regular expression")
	benchBlocks = flag.Int("bench-blocks", 4, "blocks of windows; each gives two pairs")
	benchWindow = flag.Duration("bench-window", time.Second, "length of a window")
	benchRAG    = flag.String("bench-rag", "", "base URL of a running demo API")
	benchKeep   = flag.String("bench-keep", "", "folder for the recordings of the part memory")
	benchFilter = flag.String("bench-workload", "", "only workloads and timings whose name contains this")
)

func get(path string) func(string) [][]byte {
	return func(host string) [][]byte { return [][]byte{Wire("GET", host, path, "")} }
}

// workloads from the cheapest request, where any cost shows most, to the usual one.
var workloads = []Workload{
	{Name: "/health, nothing but the server", Settings: Settings{App: "bare"}, Wires: get("/health"), Conns: 16},
	{Name: "/health, nothing but the server, a fifth of the speed", Settings: Settings{App: "bare"}, Wires: get("/health"), Conns: 16, Share: 0.2},
	{Name: "one Redis GET", Settings: Settings{App: "bare"}, Wires: get("/item"), Conns: 16},
	{Name: "/health", Settings: Settings{}, Wires: get("/health"), Conns: 16},
	{Name: "two Redis GETs", Settings: Settings{}, Wires: get("/items/1"), Conns: 16},
	{Name: "two Redis GETs, half speed", Settings: Settings{}, Wires: get("/items/1"), Conns: 16, Share: 0.5},
	{Name: "two Redis GETs, half speed, governed", Settings: Settings{}, Wires: get("/items/1"), Conns: 16, Share: 0.5, Steps: AsRun, Windows: governedWindows},
}

// governedWindows is the length of a governed window in others: a few turns of the governor.
const governedWindows = 15

// TestBench is what make bench runs. It fails only when something could not be run: figures are
// judged by who reads them.
func TestBench(t *testing.T) {
	if *benchOut == "" {
		t.Skip("the bench is run by make bench")
	}
	r := &Results{Machine: DescribeMachine(), Missing: map[string]string{}}
	if err := r.keep(filepath.Join(filepath.Dir(*benchOut), "results.json")); err != nil {
		t.Fatal(err)
	}
	b := &benchRun{t: t, r: r, dir: t.TempDir(), begin: time.Now()}
	b.part("truth", b.truth)
	b.part("rows", b.rows)
	b.part("timing", b.timing)
	b.part("pools", b.pools)
	b.part("memory", b.memory)
	b.part("profiles", b.profiles)
	b.part("sleeps", b.sleeps)
	b.part("names", b.names)
	b.part("allocations", b.allocations)
	b.part("touched", b.touched)
	b.part("cost", b.costs)
	b.part("rag", b.rag)
	b.part("others", func() (err error) {
		r.Others, err = MeasureOthers(t.Context(), b.dir, *benchBlocks, b.progress)
		return err
	})
	b.part("agent", func() (err error) {
		r.Itself, err = MeasureItself(t.Context(), b.dir, 60*time.Second, []Workload{workloads[0], workloads[4]}, b.progress)
		return err
	})
	if err := writeResults(r, *benchOut); err != nil {
		t.Fatal(err)
	}
	b.progress("written: %s", *benchOut)
}

type benchRun struct {
	t     *testing.T
	r     *Results
	dir   string
	begin time.Time
}

func (b *benchRun) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%5.0fs  %s\n", time.Since(b.begin).Seconds(), fmt.Sprintf(format, args...))
}

// part runs one part; what fails is missing from the results and says why.
func (b *benchRun) part(name string, run func() error) {
	if *benchOnly != "" && !strings.Contains(*benchOnly, name) {
		return
	}
	delete(b.r.Missing, name)
	if err := run(); err != nil {
		b.r.Missing[name] = err.Error()
		b.progress("%s: %v", name, err)
		if !errors.Is(err, ErrMissing) {
			b.t.Errorf("%s: %v", name, err)
		}
	}
}

func (b *benchRun) pools() error {
	b.r.Pools = nil
	for _, loop := range []string{"uvloop", "asyncio"} {
		f, err := RunPools(b.t.Context(), b.dir, Settings{Loop: loop}, []string{"redis", "httpx", "aiohttp", "urllib3"}, 8*time.Second)
		if err != nil {
			return fmt.Errorf("pools, %s: %w", loop, err)
		}
		b.r.Pools = append(b.r.Pools, f)
		b.progress("pools: %s", f.Target)
	}
	return nil
}

func (b *benchRun) memory() error {
	var keep func(string, *recording.Recording) error
	if *benchKeep != "" {
		keep = func(name string, r *recording.Recording) error {
			return recording.Write(filepath.Join(*benchKeep, strings.NewReplacer(" ", "-", ",", "").Replace(name)+".json"), r)
		}
	}
	rows, err := MeasureMemory(b.t.Context(), b.dir, 3*time.Minute, keep)
	if err != nil {
		return err
	}
	for _, m := range rows {
		b.progress("memory: %s: %s after %.0f s: %s", m.Way, m.Verdict, m.After, m.Reason)
	}
	b.r.Memory = rows
	return nil
}

func (b *benchRun) costs() error {
	for _, w := range workloads {
		if !strings.Contains(w.Name, *benchFilter) {
			continue
		}
		if w.Steps == nil {
			w.Steps = Steps
		}
		c, err := MeasureCost(b.t.Context(), b.dir, w, *benchBlocks, *benchWindow, b.progress)
		if err != nil {
			return err
		}
		b.r.add(c)
	}
	return nil
}

var queries = []string{
	"how do I install a package", "what is a release", "which shell is the default", "how does the boot process work",
	"what is the difference between stable and testing", "how do I configure the network", "how do I add a user", "what is a runlevel",
}

func (b *benchRun) rag() error {
	if *benchRAG == "" {
		return fmt.Errorf("%w: no running demo API was named by -bench-rag; .ci/bench/run starts one where make demo has filled the caches", ErrMissing)
	}
	u, err := url.Parse(*benchRAG)
	if err != nil {
		return err
	}
	selector, err := target.ParseSelector(u.Host)
	if err != nil {
		return err
	}
	api, err := selector.Find()
	if err != nil {
		return err
	}
	w := Workload{Name: "RAG search of the demo (hybrid, warm caches)", Address: u.Host, PID: api.Processes[0].PID, Conns: 4, Steps: Steps, Windows: 2, Wires: func(host string) (out [][]byte) {
		for _, q := range queries {
			out = append(out, Wire("POST", host, "/api/v1/retrieval/search", `{"query":`+strconv.Quote(q)+`,"search_type":"hybrid","top_k":5}`))
		}
		return out
	}}
	governed := w
	governed.Name, governed.Steps, governed.Windows = w.Name+", governed", AsRun, governedWindows
	for _, w := range []Workload{w, governed} {
		if !strings.Contains(w.Name, *benchFilter) {
			continue
		}
		c, err := MeasureCost(b.t.Context(), b.dir, w, *benchBlocks, *benchWindow, b.progress)
		if err != nil {
			return err
		}
		b.r.add(c)
	}
	return nil
}

func (b *benchRun) truth() error {
	run := func(name string, set Settings, load Load) error {
		dir, err := os.MkdirTemp(b.dir, "truth")
		if err != nil {
			return err
		}
		f, err := RunTruth(b.t.Context(), dir, set, load)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		t := &Experiment{Name: name, Findings: f}
		if len(load.Paths) == 1 {
			t.Queue = queue(f)
		}
		b.r.Truth = append(b.r.Truth, t)
		b.progress("truth: %s: seen %d/%d, error p50 %.2f p99 %.2f ms", name, f.By[0].Seen, f.By[0].Sent, f.By[0].Error.Median*1e3, f.By[0].Error.P99*1e3)
		return nil
	}
	b.r.Truth = nil
	var errs []error
	for i, utilisation := range []float64{0.3, 0.6, 0.8} {
		errs = append(errs, run(fmt.Sprintf("hold 20 ms, about %.0f %%", utilisation*100), Settings{Pool: 1}, Load{
			Rate: utilisation / 0.0215, For: 30 * time.Second, Paths: []string{"/hold"}, Seed: uint64(i + 1),
		}))
	}
	for i, m := range []struct {
		name string
		set  Settings
	}{
		{"mixture, pool 1", Settings{Pool: 1}},
		{"mixture, pool 2, BaseHTTPMiddleware", Settings{Pool: 2, Middleware: "base"}},
		{"mixture, pool 1, asyncio", Settings{Pool: 1, Loop: "asyncio", HTTP: "h11"}},
		{"mixture, pool 1, two workers", Settings{Pool: 1, Workers: 2}},
	} {
		errs = append(errs, run(m.name, m.set, Load{Rate: 50, For: 15 * time.Second, Paths: everyPath, Seed: uint64(10 + i)}))
	}
	return errors.Join(errs...)
}

// timing holds stages and streams to the truth.
func (b *benchRun) timing() error {
	var errs []error
	for _, c := range timingCases() {
		if !strings.Contains(c.name, *benchFilter) {
			continue
		}
		delete(b.r.Missing, c.name)
		t, err := runTiming(b.t.Context(), b.dir, c)
		switch {
		case errors.Is(err, ErrMissing):
			b.r.Missing[c.name] = err.Error()
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", c.name, err))
		default:
			b.r.addTiming(t)
		}
		b.progress("%s: %v", c.name, err)
	}
	return errors.Join(errs...)
}

// rows runs the cases of the table of truth. One that lacks something on this machine is missing
// from it with the reason.
func (b *benchRun) rows() error {
	wanted, err := regexp.Compile(*benchRows)
	if err != nil {
		return fmt.Errorf("-bench-rows: %w", err)
	}
	var errs []error
	for _, c := range Cases() {
		if !wanted.MatchString(c.Name) {
			continue
		}
		dir, err := os.MkdirTemp(b.dir, "row")
		if err != nil {
			return err
		}
		what := "row " + c.Name
		delete(b.r.Missing, what)
		row, err := c.Run(b.t.Context(), dir)
		if err != nil {
			b.r.Missing[what] = err.Error()
			b.progress("%s: %v", c.Name, err)
			if !errors.Is(err, ErrMissing) {
				errs = append(errs, fmt.Errorf("%s: %w", c.Name, err))
			}
			continue
		}
		b.r.addRow(row)
		b.progress("%s%s", strings.Join(row.cells(), " | "), row.note())
	}
	return errors.Join(errs...)
}

// keep reads the results of a run before, for the parts that this run leaves out.
func (r *Results) keep(path string) error {
	b, err := os.ReadFile(path)
	if *benchOnly == "" || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	machine := r.Machine
	if err := errors.Join(err, json.Unmarshal(b, r)); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	machine.Kept = cmp.Or(r.Machine.Kept, "parts without a date are of "+r.Machine.Date+", commit "+r.Machine.Commit)
	r.Machine = machine
	return nil
}

// add takes a workload's price in, in place of an older one.
func (r *Results) add(c *Cost) {
	r.Costs = renew(r.Costs, c, func(o *Cost) bool { return o.Workload == c.Workload })
}

// writeResults writes page and figures under temporary names first.
func writeResults(r *Results, path string) error {
	var page bytes.Buffer
	if err := r.WriteMarkdown(&page); err != nil {
		return err
	}
	figures, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	for name, b := range map[string][]byte{path: page.Bytes(), filepath.Join(filepath.Dir(path), "results.json"): append(figures, '\n')} {
		if err := os.WriteFile(name+".tmp", b, 0o644); err != nil {
			return err
		}
		if err := os.Rename(name+".tmp", name); err != nil {
			return err
		}
	}
	return nil
}
