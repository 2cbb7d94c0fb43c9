package truth

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/recording"
)

// callers is one row of outgoing calls: app/clients.py with one client, under a closed load.
type callers struct {
	client      string // a name of CLIENTS in app/clients.py
	peer        string // a name of peers
	sync        bool   // the client blocks its thread
	loop        string // "" is uvloop
	host        *host  // nil is uvicorn
	middleware  string // "" is plain ASGI; "base" is Starlette's BaseHTTPMiddleware
	concurrency int
	requests    int
	pool        int
	streams     uint32 // that the peer allows on an HTTP/2 connection; 0: no limit
	precision   kernel.Precision
	joined      bool // the agent comes when all connections are open
}

func (c callers) name() string {
	name := fmt.Sprintf("%s, %d at once, %s", c.client, c.concurrency, cmp.Or(c.loop, "uvloop"))
	if c.host != nil {
		name += ", " + c.host.name
	}
	if c.middleware != "" {
		name += ", BaseHTTPMiddleware"
	}
	if c.streams > 0 {
		name += fmt.Sprintf(", %d streams", c.streams)
	}
	if c.precision != kernel.Full {
		name += ", " + c.precision.String()
	}
	if c.joined {
		name += ", joined midway"
	}
	return name
}

// clientCases are the rows of outgoing calls.
func clientCases() []Case {
	var out []Case
	for _, c := range clientRows() {
		out = append(out, Case{c.name(), c.run})
	}
	return out
}

// clientRows puts every client under 1, 16, 64 and 200 requests at once, on uvloop and asyncio in
// turn, and what is special on top.
func clientRows() (out []callers) {
	for _, c := range []callers{
		{client: "redis-py asyncio", peer: "redis"},
		{client: "redis-py", peer: "redis", sync: true},
		{client: "httpx async", peer: "web"},
		{client: "httpx", peer: "web", sync: true},
		{client: "aiohttp", peer: "web"},
		{client: "urllib3", peer: "web", sync: true},
		{client: "neo4j async", peer: "neo4j"},
		{client: "neo4j", peer: "neo4j", sync: true},
		{client: "grpc.aio", peer: "rpc"},
		{client: "grpc", peer: "rpc", sync: true},
	} {
		for _, n := range []int{1, 16, 64, 200} {
			c.concurrency, c.requests, c.pool = n, map[int]int{1: 300, 16: 1200, 64: 2000, 200: 2500}[n], max(1, n/8)
			if c.loop = ""; n == 16 || n == 200 {
				c.loop = "asyncio"
			}
			out = append(out, c)
		}
	}
	at := func(n int, c callers) {
		c.concurrency, c.pool, c.requests = n, cmp.Or(c.pool, max(1, n/8)), cmp.Or(c.requests, 1500)
		out = append(out, c)
	}
	at(16, callers{client: "redis-py asyncio, pipelines", peer: "redis"})
	at(16, callers{client: "redis-py asyncio, blocking", peer: "redis"})
	at(16, callers{client: "requests", peer: "web", sync: true})
	at(16, callers{client: "qdrant-client async, gRPC", peer: "qdrant gRPC"})
	at(64, callers{client: "qdrant-client async, gRPC", peer: "qdrant gRPC"})
	at(16, callers{client: "qdrant-client, gRPC", peer: "qdrant gRPC", sync: true})
	at(16, callers{client: "qdrant-client async, REST", peer: "qdrant REST"})
	at(16, callers{client: "qdrant-client, REST", peer: "qdrant REST", sync: true})
	at(16, callers{client: "openai async", peer: "web"})
	at(16, callers{client: "openai", peer: "web", sync: true})
	at(16, callers{client: "ollama async", peer: "web"})
	at(4, callers{client: "ollama async", peer: "ollama", requests: 60})
	at(4, callers{client: "openai async", peer: "ollama", requests: 60})
	for _, n := range []int{64, 200} {
		at(n, callers{client: "grpc.aio", peer: "rpc", streams: 10})
		at(n, callers{client: "grpc.aio, alike", peer: "rpc"})
	}
	at(64, callers{client: "grpc.aio, alike", peer: "rpc", streams: 10})
	for _, c := range []callers{{client: "redis-py asyncio", peer: "redis"}, {client: "httpx async", peer: "web"}, {client: "grpc.aio", peer: "rpc"}} {
		c.middleware = "base"
		at(16, c)
		c.middleware, c.joined = "", true
		at(64, c)
		c.joined, c.precision = false, kernel.Linked
		at(64, c)
	}
	for i := range hosts {
		for _, c := range []callers{{client: "redis-py asyncio", peer: "redis"}, {client: "httpx async", peer: "web"}} {
			c.host, c.loop = &hosts[i], hosts[i].loop
			at(16, c)
		}
	}
	return out
}

// A host is another server than uvicorn that the application runs in.
type host struct {
	name    string
	args    []string // of python, PORT being put in
	workers int
	loop    string
}

var hosts = []host{
	{"gunicorn, uvicorn workers", gunicorn("clients:app", "uvicorn_worker.UvicornWorker"), 2, ""},
	{"hypercorn", []string{"-m", "hypercorn", "clients:app", "-b", "127.0.0.1:PORT", "--keep-alive", "60", "--log-level", "error"}, 0, "asyncio"},
	{"granian", []string{"-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", "PORT", "--loop", "asyncio", "--log-level", "error", "clients:app"}, 1, "asyncio"},
}

func (c callers) server() string {
	if c.host != nil {
		return c.host.name
	}
	return "uvicorn"
}

// paths are the patterns of app/clients.py.
func (c callers) paths() []string {
	out := []string{"/plain", "/twice", "/gather", "/group", "/outlives", "/background", "/slept", "/locked", "/computed", "/streamed", "/dependency", "/thread"}
	if c.sync {
		out = append(out, "/executor")
	}
	return out
}

// sight is what was sent, known and seen in one run of a row.
type sight struct {
	peer, python string
	sent         []Sent
	seen         []Seen
	rec          *recording.Recording
	truth        callersTruth
}

// callersTruth is what the wire and the application know of a run, by which the agent is judged.
type callersTruth struct {
	Begin   float64       `json:"begin"` // of the requests, on CLOCK_MONOTONIC
	Crossed []Crossing    `json:"crossed"`
	Known   []callerKnows `json:"known"`
}

// run measures the row.
func (c callers) run(ctx context.Context, dir string) (*Row, error) {
	o, err := c.observe(ctx, dir, "")
	if err != nil {
		return nil, err
	}
	r := &Row{
		Name: c.name(), Kind: "client", Server: c.server() + ", " + cmp.Or(c.loop, "uvloop"), Client: c.client, Peer: o.peer,
		Concurrency: c.concurrency, Load: fmt.Sprintf("%d at once, pool %d, every pattern in turn", c.concurrency, c.pool),
		Versions: pythonVersions(o.python, "fastapi", "uvicorn", "gunicorn", "hypercorn", "granian", "uvloop", "redis", "httpx", "aiohttp", "urllib3", "requests", "neo4j", "grpcio", "qdrant-client", "openai", "ollama"),
	}
	r.Finish(o.rec)
	j := newJudge(&o.truth, r.Requests(o.sent, o.seen))
	r.Calls = j.calls()
	j.late(r.Calls, o.rec)
	r.Wait = j.waits(c)
	r.Note = j.remarks(r)
	return r, nil
}

// observe runs the application under its load and the agent. events is where the agent keeps all that it is
// told, "" for nowhere.
func (c callers) observe(ctx context.Context, dir, events string) (*sight, error) {
	s := NewStand(dir)
	defer s.Close()
	peer, words, stop, err := s.peer(c)
	if err != nil {
		return nil, err
	}
	defer stop()
	relay, err := NewRelay(peer, c.peer == "rpc" || c.peer == "qdrant gRPC")
	if err != nil {
		return nil, err
	}
	defer relay.Close()
	python, address, app, err := s.startCallers(c, relay.Address)
	if err != nil {
		return nil, err
	}
	defer app.Stop() // before the relay, which waits for its connections
	paths := c.paths()
	send := func(prefix string, count int) []Sent {
		return Together(ctx, address, prefix, c.concurrency, count, func(i int) string { return paths[i%len(paths)] })
	}
	if c.joined {
		send("before-x", 4*c.concurrency)
	}
	lines := filepath.Join(dir, "requests.jsonl")
	a, err := s.StartAgent(AgentSettings{Target: address, Precision: c.precision, Requests: lines, Events: events})
	if err != nil {
		return nil, err
	}
	o := &sight{peer: words, python: python}
	o.truth.Begin = monotonic()
	o.sent = send("row", c.requests)
	if o.rec, err = a.Finish(); err != nil {
		return nil, err
	}
	o.truth.Crossed = relay.Crossed()
	if o.truth.Known, err = readLines[callerKnows](filepath.Join(dir, "truth.jsonl")); err != nil {
		return nil, fmt.Errorf("read the truth: %w", err)
	}
	if o.seen, err = readLines[Seen](lines); err != nil {
		return nil, fmt.Errorf("read what the agent saw: %w", err)
	}
	return o, nil
}

// startCallers starts app/clients.py and waits until it answers.
func (s *Stand) startCallers(c callers, peer string) (python, address string, app *Process, err error) {
	packages, workers := "clients", 1
	if c.host != nil {
		packages, workers = "hosts", c.host.workers
	}
	if python, err = venv(packages); err != nil {
		return "", "", nil, err
	}
	if err := place(s.Dir, "clients"); err != nil {
		return "", "", nil, err
	}
	address, port, err := freePort()
	if err != nil {
		return "", "", nil, err
	}
	env := []string{"CLIENT=" + c.client, "PEER=" + peer, "POOL=" + strconv.Itoa(c.pool), "TRUTH=" + filepath.Join(s.Dir, "truth.jsonl"), "MIDDLEWARE=" + c.middleware, "PYTHONPATH=" + s.Dir}
	if c.peer == "ollama" {
		env = append(env, "MODEL=smollm2")
	}
	args := []string{"-m", "uvicorn", "clients:app", "--host", "127.0.0.1", "--port", port, "--loop", cmp.Or(c.loop, "uvloop"), "--http", "httptools", "--log-level", "warning", "--no-access-log", "--backlog", "2048"}
	if c.host != nil {
		args = nil
		for _, a := range c.host.args {
			args = append(args, strings.ReplaceAll(a, "PORT", port))
		}
	}
	if app, err = s.start("target", false, env, append([]string{python}, args...)...); err != nil {
		return "", "", nil, err
	}
	t := &Target{Process: app, Settings: Settings{Workers: workers}, Address: address}
	return python, address, app, app.await(30*time.Second, t.answers)
}

// peer starts what answers the calls, and says what it is.
func (s *Stand) peer(c callers) (address, words string, stop func(), err error) {
	switch c.peer {
	case "redis":
		r, err := s.StartRedis("redis")
		if err != nil {
			return "", "", nil, err
		}
		return r.Address, "redis-server", func() {}, nil
	case "web":
		address, stop, err = webPeer()
		return address, "an HTTP server of ours", stop, err
	case "rpc":
		address, stop, err = rpcPeer(c.streams)
		return address, "grpc-go", stop, err
	}
	return s.realPeer(c)
}

// realPeer starts a server that the demo's caches hold, or its stand-in for Qdrant.
func (s *Stand) realPeer(c callers) (address, words string, stop func(), err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", "", nil, err
	}
	cache = filepath.Join(cache, "ragscope")
	address, port, err := freePort()
	if err != nil {
		return "", "", nil, err
	}
	other, _, err := freePort()
	if err != nil {
		return "", "", nil, err
	}
	var argv, env []string
	switch c.peer {
	case "neo4j":
		words = "Neo4j 5.26, embedded"
		classes := filepath.Join(cache, "neo4j", "classes")
		if _, err := os.Stat(classes); err != nil {
			return "", "", nil, fmt.Errorf("%w: Neo4j: make demo builds it: %w", ErrMissing, err)
		}
		argv = []string{"java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classes + ":" + filepath.Join(cache, "neo4j", "lib") + "/*", "demo.Graph", filepath.Join(s.Dir, "neo4j"), port}
	case "ollama":
		words = "Ollama 0.6.5, SmolLM2-135M"
		argv = []string{filepath.Join(cache, "ollama-0.6.5", "ollama"), "serve"}
		if _, err := os.Stat(argv[0]); err != nil {
			return "", "", nil, fmt.Errorf("%w: Ollama: make demo builds it: %w", ErrMissing, err)
		}
		env = []string{"OLLAMA_HOST=" + address, "OLLAMA_MODELS=" + filepath.Join(cache, "ollama-models"), "HOME=" + filepath.Join(cache, "ollama-home"), "OLLAMA_NUM_PARALLEL=2", "OLLAMA_KEEP_ALIVE=-1"}
	default:
		words = "stand-in for Qdrant (deploy/demo/qdrant)"
		program := filepath.Join(s.Dir, "qdrant")
		if out, err := exec.Command("go", "build", "-o", program, "github.com/ragscope/ragscope/deploy/demo/qdrant").CombinedOutput(); err != nil {
			return "", "", nil, fmt.Errorf("%w: build the stand-in for Qdrant: %w: %s", ErrMissing, err, out)
		}
		argv = []string{program, "-rest", address, "-grpc", other, "-streams", strconv.Itoa(int(c.streams))}
		if c.peer == "qdrant gRPC" {
			address = other
		}
	}
	p, err := s.start("peer", false, env, argv...)
	if err != nil {
		return "", "", nil, err
	}
	return address, words, func() {}, p.await(60*time.Second, func() error {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// remarks say what a reader needs to know beside the figures.
func (j *judge) remarks(r *Row) string {
	var out []string
	if n := r.Calls.Late; n > 0 {
		out = append(out, fmt.Sprintf("%d of %d calls made after the answer counted for their endpoint", r.Calls.LateCounted, n))
	}
	if r.Calls.Bare > 0 {
		out = append(out, fmt.Sprintf("%d linked calls carried no token", r.Calls.Bare))
	}
	for what, by := range map[string]map[string]int{"not linked": j.unlinked, "false waits": j.falseBy, "missed waits": j.missedBy} {
		for name, n := range by {
			out = append(out, fmt.Sprintf("%s in %s: %d", what, name, n))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}
