package load

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The part "streams" of TestClockBench: how late the tokens of many streams come out of a client.
const (
	benchStreams   = 400
	benchTokens    = 20 // a second and stream
	benchRamp      = time.Second
	benchStreaming = 12 * time.Second // each stream
	streamRounds   = 3
)

// Pinned, so that the page says what it compares with.
var streamModules = []string{"httpx==0.28.1", "aiohttp==3.14.5"}

// stamps are when the server of the bench wrote its tokens: nanoseconds on CLOCK_MONOTONIC, by x-request-id.
type stamps struct {
	mu sync.Mutex
	at map[string][]int64
}

func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err) // it is always there
	}
	return now.Nano()
}

// stream writes one stream. Gaps are drawn between a half and one and a half of the mean; at /stream/step the tokens of
// all streams come at the same instants, as those of a server do that decodes all its requests in one batch. The stamp is
// taken right before the token is handed to the kernel.
func (s *stamps) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	flush, at := http.NewResponseController(w), make([]int64, 0, benchTokens*int(benchStreaming/time.Second))
	const mean = time.Second / benchTokens
	next, step := time.Now(), strings.HasSuffix(r.URL.Path, "/step")
	for range cap(at) {
		gap := time.Duration((.5 + rand.Float64()) * float64(mean))
		if step {
			gap = next.Truncate(mean).Add(mean).Sub(next)
		}
		next = next.Add(gap)
		time.Sleep(time.Until(next))
		at = append(at, monotonic())
		_, _ = fmt.Fprintf(w, "data: {\"type\":\"token\",\"data\":{\"content\":\"word \"},\"written\":%d}\n\n", at[len(at)-1])
		if flush.Flush() != nil {
			break // the client has left: its tokens will be missed
		}
	}
	_, _ = fmt.Fprint(w, "data: [DONE]\n\n")
	s.mu.Lock()
	s.at[r.Header.Get("X-Request-Id")] = at
	s.mu.Unlock()
}

// tell answers with the stamps and forgets them.
func (s *stamps) tell(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(s.at)
	clear(s.at)
}

// streamed is what one client made of one round.
type streamed struct {
	p50, p99, p999, max float64 // of the lags, ms
	rss                 float64 // peak, MB
	cpu                 float64 // µs a token
	tokens              int
}

// streams compares when tokens came out of clients with when the server wrote them.
func (b *bench) streams() {
	b.line(`## Tokens of many streams

%d streams, each %d tokens/s for %v, from a net/http server that writes each token with the
time, opened within %v: first with gaps of 25 to 75 ms, then with the tokens of all streams at the same instants, as of a model server
that decodes in batches. The server has one core, the client the other. Lag: from that stamp until the client has the token, both on CLOCK_MONOTONIC; for the
loader the instant that it gives to the token in all its figures (start, first token and gaps of --requests), for Python right after
`+"`async for`"+` gives the line. Of the time in which all streams are open. %d rounds, in each every client in turn; medians of the rounds, and
the best. Memory: the process's peak RSS (VmHWM). The bounds are 3 ms at p99 and 60 MB.

| tokens come | client | tokens | lag p50 ms | lag p99 ms | best | p99.9 ms | max ms | memory MB | CPU µs a token |
|---|---|---|---|---|---|---|---|---|---|`, benchStreams, benchTokens, benchStreaming, benchRamp, streamRounds)
	defer func(of string) { b.url = of }(b.url)
	b.url = b.serve("taskset", "-c", "1")
	python := b.streamPython()
	for _, shape := range []struct{ name, path string }{{"spread", "/stream"}, {"in step", "/stream/step"}} {
		clients := []streamClient{{"**loader run**", func() streamed { return b.streamLoader(shape.path) }}}
		for _, module := range streamModules {
			library, _, _ := strings.Cut(module, "==")
			clients = append(clients, streamClient{module + ", asyncio", func() streamed { return b.streamPythonClient(python, library, shape.path) }})
		}
		rounds := make([][]streamed, len(clients))
		for range streamRounds {
			for i, c := range clients {
				rounds[i] = append(rounds[i], c.run())
				b.Logf("%s: %+v", c.name, rounds[i][len(rounds[i])-1])
			}
		}
		for i, c := range clients {
			b.streamRow(shape.name, c.name, rounds[i])
		}
	}
}

type streamClient struct {
	name string
	run  func() streamed
}

func (b *bench) streamRow(shape, name string, rounds []streamed) {
	of := func(f func(streamed) float64) (v []float64) {
		for _, r := range rounds {
			v = append(v, f(r))
		}
		return v
	}
	p99 := of(func(s streamed) float64 { return s.p99 })
	b.line("| %s | %s | %.0f | %.2f | %.2f | %.2f | %.2f | %.1f | %.1f | %.0f |", shape, name, median(of(func(s streamed) float64 { return float64(s.tokens) })),
		median(of(func(s streamed) float64 { return s.p50 })), median(p99), slices.Min(p99), median(of(func(s streamed) float64 { return s.p999 })),
		median(of(func(s streamed) float64 { return s.max })), slices.Max(of(func(s streamed) float64 { return s.rss })), median(of(func(s streamed) float64 { return s.cpu })))
}

// streamPython makes the environment of the Python clients; "" where that fails.
func (b *bench) streamPython() string {
	dir := filepath.Join(b.dir, "python")
	python := filepath.Join(dir, "bin", "python")
	for _, argv := range [][]string{{"python3", "-m", "venv", dir}, append([]string{python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"}, streamModules...)} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
	return python
}

func (b *bench) streamPythonClient(python, library, path string) streamed {
	out := filepath.Join(b.dir, "streams.txt")
	file, err := os.Create(out)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("taskset", "-c", "0", python, "testdata/streams.py", library, b.url+path, strconv.Itoa(benchStreams), fmt.Sprint(benchRamp.Seconds()))
	cmd.Stdout = file
	rss := b.watched(cmd)
	text, err := os.ReadFile(out)
	if err != nil {
		b.Fatal(err)
	}
	got := map[string][]int64{}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		for _, w := range words[1:] {
			n, err := strconv.ParseInt(w, 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			got[words[0]] = append(got[words[0]], n)
		}
	}
	return b.compareStreams(cmd, rss, got)
}

func (b *bench) streamLoader(path string) streamed {
	file, log := filepath.Join(b.dir, "streams.yaml"), filepath.Join(b.dir, "streams.jsonl")
	text := fmt.Sprintf("name: streams\nusers: %d\nspawn_rate: %g\nrun_time: 2s\nthink_time: 0s\ntasks: [{request: {path: %s, stream: sse}}]\n", benchStreams, benchStreams/benchRamp.Seconds(), path)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("taskset", "-c", "0", b.loader, "run", "--host", b.url, "--scenario", file, "--headless", "--only-summary", "--requests", log)
	rss := b.watched(cmd)
	got := map[string][]int64{}
	for _, l := range logLines(b.T, log) {
		at := l.Start + l.FirstToken
		tokens := []int64{int64(at * 1e9)}
		for _, g := range l.Gaps {
			at += g
			tokens = append(tokens, int64(at*1e9))
		}
		got[l.ID] = tokens
	}
	return b.compareStreams(cmd, rss, got)
}

// watched runs a client and returns its peak RSS in MB. (The rusage of a child holds its parent's as well.)
func (b *bench) watched(cmd *exec.Cmd) (rss float64) {
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case err := <-done:
			if err != nil {
				b.Fatalf("%s: %v", cmd.Path, err)
			}
			return rss
		case <-time.After(50 * time.Millisecond):
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
			if _, after, ok := strings.Cut(string(text), "VmHWM:"); ok {
				rss = max(rss, number(strings.Fields(after)[0])/1024)
			}
		}
	}
}

// compareStreams sets what came against what the server wrote, token by token.
func (b *bench) compareStreams(cmd *exec.Cmd, rss float64, got map[string][]int64) streamed {
	r, err := http.Get(b.url + "/stamps")
	if err != nil {
		b.Fatal(err)
	}
	defer r.Body.Close()
	var written map[string][]int64
	if err := json.NewDecoder(r.Body).Decode(&written); err != nil {
		b.Fatal(err)
	}
	if len(written) != benchStreams || len(got) != benchStreams {
		b.Fatalf("the server wrote %d streams, the client read %d", len(written), len(got))
	}
	var from, until int64 = 0, 1 << 62 // while all streams are open
	all := 0
	for _, at := range written {
		from, until = max(from, at[0]), min(until, at[len(at)-1])
		all += len(at)
	}
	var lags []float64
	for id, at := range written {
		if len(got[id]) != len(at) {
			b.Fatalf("%d tokens of %s were written, %d read", len(at), id, len(got[id]))
		}
		for i, t := range at {
			if t >= from && t <= until {
				lags = append(lags, float64(got[id][i]-t)/1e6)
			}
		}
	}
	slices.Sort(lags)
	if lags[0] < 0 {
		b.Fatalf("a token was read %v ms before it was written", -lags[0])
	}
	at := func(q float64) float64 { return lags[int(q*float64(len(lags)-1))] }
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return streamed{at(.5), at(.99), at(.999), at(1), rss, float64(cpu.Microseconds()) / float64(all), len(lags)}
}
