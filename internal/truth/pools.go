package truth

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/recording"
)

// Pooled is what the application says of one request, or of one connection that it made: a line
// of app/pools.py.
type Pooled struct {
	ID       string    `json:"id"`
	Path     string    `json:"path"`
	Waits    []float64 `json:"waits"`  // seconds until it had a connection, or gave up
	Locked   []float64 `json:"locked"` // seconds at locks of the application's own
	Timeouts int       `json:"timeouts"`

	Made    string  `json:"made"` // by which client a connection was made
	Seconds float64 `json:"seconds"`
}

// PoolFigures are the agent's view of the pool of one client beside the truth.
type PoolFigures struct {
	Client   string      `json:"client"`
	Sent     int         `json:"sent"`
	Seen     int         `json:"seen"`
	Wait     WaitFigures `json:"wait"`
	Timeouts struct {
		Known  int `json:"known"`
		Seen   int `json:"seen"`   // of the requests that had one
		False  int `json:"false"`  // of requests that had none
		Listed int `json:"listed"` // as the pool's own figure
	} `json:"timeouts"`
	Locks struct {
		Known  int    `json:"known"`   // requests that stood at a lock for more than 3 ms
		Named  int    `json:"named"`   // of them, those with the reason
		False  int    `json:"false"`   // with the reason, for more than 2 ms, where there was no lock
		AsPool int    `json:"as_pool"` // of the known: a wait for the pool that there was not, and not marked unsure
		Error  Spread `json:"error_seconds"`
		errors []float64
	} `json:"locks"`
	Leaks struct {
		Known int `json:"known"`
		Named int `json:"named"`
		False int `json:"false"` // of an endpoint that does not leak
	} `json:"leaks"`
	Creates struct {
		Known    int     `json:"known"`
		Seen     int64   `json:"seen"`
		Took     float64 `json:"known_median_seconds"`
		SeenTook float64 `json:"seen_median_seconds"`
	} `json:"creates"`
	Limit  int `json:"limit"`
	errors []float64
}

// PoolFindings of a run.
type PoolFindings struct {
	Target    string               `json:"target"`
	By        []*PoolFigures       `json:"clients"`
	Odd       []string             `json:"-"` // requests whose figures are wrong, in words
	Recording *recording.Recording `json:"-"`
}

// holdPeer answers /hold?ms=N&size=M after N ms with M bytes. It listens until stop is called.
func holdPeer() (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ms, _ := strconv.ParseFloat(r.URL.Query().Get("ms"), 64)
		size, _ := strconv.Atoi(r.URL.Query().Get("size"))
		time.Sleep(time.Duration(ms * float64(time.Millisecond)))
		_, _ = w.Write(slices.Repeat([]byte("x"), max(size, 2)))
	})}
	return l.Addr().String(), serving(func() error { return server.Serve(l) }, func() { _ = server.Close() }), nil
}

// words are the stages and calls of a request.
func (s *Seen) words() (out string) {
	for _, x := range s.Stages {
		out += fmt.Sprintf("%s%s %.1f %v ", x.Stage, x.Peer, x.Seconds*1e3, x.Reasons)
	}
	for _, k := range s.Calls {
		out += fmt.Sprintf("[%s %s waited %.1f]", k.Operation, k.Error, k.PoolWait*1e3)
	}
	return out
}

// poolClients are those of app/pools.py, and whether they block their thread.
var poolClients = map[string]bool{"redis": false, "httpx": false, "aiohttp": false, "urllib3": true}

// poolsTruth is what was sent to the application of pools and what it knows.
type poolsTruth struct {
	Peers  map[string]string `json:"peers"` // by client
	Asked  []string          `json:"asked"` // ids and paths, in turn
	Pooled []Pooled          `json:"pooled"`
}

// RunPools drives the named clients one after the other through waits and what looks like waits,
// through time-outs, and through a leak, for some time each.
func RunPools(ctx context.Context, dir string, set Settings, clients []string, each time.Duration) (*PoolFindings, error) {
	truth, seen, rec, err := observePools(ctx, dir, "", set, clients, each)
	if err != nil {
		return nil, err
	}
	f := &PoolFindings{Target: set.defaults().Loop, Recording: rec}
	for _, name := range clients {
		f.By = append(f.By, f.compare(name, truth, seen))
	}
	return f, nil
}

// observePools runs the application under those loads and the agent. events is where the agent keeps all that it is
// told, "" for nowhere.
func observePools(ctx context.Context, dir, events string, set Settings, clients []string, each time.Duration) (*poolsTruth, []Seen, *recording.Recording, error) {
	s := NewStand(dir)
	defer s.Close()
	set.App, set.Log, set.needs, set.Pool = "pools", true, "pools", 2
	truth := &poolsTruth{Peers: map[string]string{}}
	for name := range poolClients {
		if name == "redis" {
			continue
		}
		address, stop, err := holdPeer()
		if err != nil {
			return nil, nil, nil, err
		}
		defer stop()
		truth.Peers[name] = address
		_, port, _ := net.SplitHostPort(address)
		set.env = append(set.env, strings.ToUpper(name)+"_PORT="+port)
	}
	t, err := s.StartTarget(set)
	if err != nil {
		return nil, nil, nil, err
	}
	truth.Peers["redis"] = t.Redis.Address
	lines := filepath.Join(dir, "requests.jsonl")
	a, err := s.StartAgent(AgentSettings{Target: t.Address, Precision: kernel.Full, Requests: lines, Events: events})
	if err != nil {
		return nil, nil, nil, err
	}
	for i, name := range clients {
		for _, x := range drivePool(ctx, t.Address, name, poolClients[name], each, uint64(i)) {
			truth.Asked = append(truth.Asked, x.ID, x.Path)
		}
	}
	rec, err := a.Finish()
	if err != nil {
		return nil, nil, nil, err
	}
	if truth.Pooled, err = readLines[Pooled](t.Truth); err != nil {
		return nil, nil, nil, fmt.Errorf("read the truth: %w", err)
	}
	seen, err := readLines[Seen](lines)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("read what the agent saw: %w", err)
	}
	return truth, seen, rec, nil
}

// drivePool sends three loads: a mixture below the pool's capacity, calls beyond it, and, after
// two thirds of the second, a leak and calls that one connection can carry.
func drivePool(ctx context.Context, address, client string, blocking bool, each time.Duration, seed uint64) (sent []Sent) {
	in := func(paths ...string) func(int) string {
		return func(i int) string {
			p := paths[i%len(paths)]
			if p == "/nap" {
				return p
			}
			return "/" + client + p
		}
	}
	mixture := []string{"/call?ms=25", "/sleep", "/lock", "/call?ms=25", "/condition", "/queue", "/semaphore?ms=15", "/call?ms=25", "/thread", "/semaphore?ms=15", "/cpu", "/lock"}
	if blocking {
		mixture = []string{"/call?ms=25", "/sleep", "/lock", "/call?ms=25", "/call?ms=25", "/lock"}
	}
	sent = append(sent, Open(ctx, address, client+"-mix", 80, each, seed, in(mixture...))...)
	sent = append(sent, Open(ctx, address, client+"-full", 70, each, seed+100, in("/call?ms=40", "/call?ms=40", "/nap", "/call?ms=40&calm=1", "/sleep"))...)
	leak := Sent{ID: client + "-leak", Path: in("/leak")(0)}
	leak.get(ctx, address, make(chan *keepAlive, 1))
	sent = append(sent, leak)
	sent = append(sent, Open(ctx, address, client+"-after", 30, each, seed+200, in("/call?ms=25"))...)
	return sent
}

func (f *PoolFindings) compare(client string, truth *poolsTruth, seen []Seen) *PoolFigures {
	g := &PoolFigures{Client: client}
	known := map[string]*Pooled{}
	var took []float64
	for i := range truth.Pooled {
		if k := &truth.Pooled[i]; k.Made == client {
			took = append(took, k.Seconds)
		} else if k.Made == "" {
			known[k.ID] = k
		}
	}
	lines := map[string]*Seen{}
	for i := range seen {
		lines[seen[i].ID] = &seen[i]
	}
	for x := range slices.Chunk(truth.Asked, 2) {
		id, path := x[0], x[1]
		if !strings.HasPrefix(id, client+"-") {
			continue
		}
		if strings.Contains(path, "/leak") {
			g.Leaks.Known++
			continue
		}
		g.Sent++
		if k, l := known[id], lines[id]; k != nil && l != nil {
			g.Seen++
			f.request(g, k, l)
		}
	}
	slices.Sort(g.errors)
	g.Wait.Error = Spread{at(g.errors, 0.5), at(g.errors, 0.9), at(g.errors, 0.99), at(g.errors, 1)}
	slices.Sort(g.Locks.errors)
	g.Locks.Error = Spread{at(g.Locks.errors, 0.5), at(g.Locks.errors, 0.9), at(g.Locks.errors, 0.99), at(g.Locks.errors, 1)}
	slices.Sort(took)
	g.Creates.Known, g.Creates.Took = len(took), at(took, 0.5)
	if f.Recording == nil {
		return g
	}
	for _, p := range f.Recording.Pools {
		if p.Address != truth.Peers[client] {
			continue
		}
		g.Limit, g.Creates.Seen, g.Creates.SeenTook = p.Limit, p.Creates, p.Create.Quantile(0.5)
		g.Timeouts.Listed += int(p.Timeouts)
		for _, l := range p.Leaks {
			if strings.HasSuffix(l.Endpoint, "/leak") {
				g.Leaks.Named++
			} else {
				g.Leaks.False++
			}
		}
	}
	return g
}

func (f *PoolFindings) request(g *PoolFigures, k *Pooled, l *Seen) {
	waited, found, lock, named := sum(k.Waits), 0.0, sum(k.Locked), 0.0
	unsure := l.unsure()
	for _, x := range l.Stages {
		if x.Stage == "pool_wait" {
			found += x.Seconds
		}
		if x.Stage == "unexplained" {
			named += x.Reasons["lock or semaphore"]
		}
	}
	odd := func(format string, args ...any) {
		format += fmt.Sprintf(" truth %v", k.Waits)
		f.Odd = append(f.Odd, fmt.Sprintf("%s %s: ", k.ID, k.Path)+fmt.Sprintf(format, args...)+"; "+l.words())
	}
	w := &g.Wait
	w.sees(found, unsure)
	g.errors = append(g.errors, math.Abs(found-waited))
	switch {
	case found > falseAbove && waited < falseTruth:
		w.falseWait(found, unsure)
		odd("a wait of %.1f ms that there was not, %.1f ms of it unsure (%.2f ms at a lock)", found*1e3, unsure*1e3, lock*1e3)
	case waited > missedAbove && found == 0:
		w.Missed++
		odd("a wait of %.1f ms was missed", waited*1e3)
	}
	if waited > missedAbove {
		w.Waited++
	}
	t := &g.Timeouts
	t.Known += k.Timeouts
	t.Seen += min(k.Timeouts, len(l.TimedOut))
	t.False += max(0, len(l.TimedOut)-k.Timeouts)
	if k.Timeouts != len(l.TimedOut) {
		odd("%d time-outs, %d told", k.Timeouts, len(l.TimedOut))
	}
	switch {
	case lock > missedAbove:
		g.Locks.Known++
		g.Locks.errors = append(g.Locks.errors, math.Abs(named-lock))
		if named > 0 {
			g.Locks.Named++
		}
		if waited < falseTruth && found-unsure > falseAbove {
			g.Locks.AsPool++
		}
	case named > lock+falseAbove:
		g.Locks.False++
		odd("a lock of %.1f ms that there was not", named*1e3)
	}
}
