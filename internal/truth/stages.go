package truth

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/recording"
)

// Spent is what the application says of one request: a line of app/stages.py, in seconds.
type Spent struct {
	ID     string  `json:"id"`
	Path   string  `json:"path"`
	CPU    float64 `json:"cpu"`
	Ready  float64 `json:"ready"`
	Wall   float64 `json:"wall"`
	Asleep float64 `json:"asleep"`
	Held   float64 `json:"held"`
}

// waited is the time for the GIL: of the stretch in which it computed, what is neither CPU nor
// waiting for one.
func (s *Spent) waited() float64 { return max(0, s.Wall-s.CPU-s.Ready) }

// StageError is how far a stage is from the truth, over the requests of one kind.
type StageError struct {
	Kind     string  `json:"kind"`
	Stage    string  `json:"stage"`
	Requests int     `json:"requests"`
	Known    float64 `json:"known_seconds"` // the sum
	Seen     float64 `json:"seen_seconds"`
	Error    Spread  `json:"error_seconds"` // absolute, per request
}

// StageFindings of a run.
type StageFindings struct {
	Target    string               `json:"target"`
	Sent      int                  `json:"sent"`
	Unseen    int                  `json:"unseen"`
	SumsOff   int                  `json:"sum_violations"`
	By        []StageError         `json:"stages"`
	Blocked   []StageBlock         `json:"blocks"`
	Recording *recording.Recording `json:"-"`
}

// StageBlock is what held the event loop, by the application and by the agent.
type StageBlock struct {
	Kind  string  `json:"kind"`
	Known int     `json:"known"` // requests whose code held the loop for more than 55 ms
	Seen  int64   `json:"seen"`  // blocks that name its function
	Named float64 `json:"named"` // share of the blocks on its endpoint that name it
}

// phase is a part of a run: requests of one kind, several at a time.
type phase struct {
	kind, path string
	n, at      int           // requests, at a time
	slow       time.Duration // a client that rests so long after each piece it reads
}

// stagePhases are the stages one by one, with n requests each.
func stagePhases(n int) []phase {
	return []phase{
		{kind: "computes", path: "/spin?ms=8", n: n, at: 1},
		{kind: "computes, others wait", path: "/mix?ms=3", n: 2 * n, at: 8},
		{kind: "blocks", path: "/block?ms=60", n: n / 2, at: 1},
		{kind: "computes for long", path: "/spin?ms=70", n: n / 2, at: 1},
		{kind: "slow client", path: "/big?mb=8", n: max(2, n/10), at: 1, slow: 8 * time.Millisecond},
		{kind: "threads compute beside it", path: "/rival?ms=16", n: n, at: 1},
	}
}

// RunStages holds the stages to what the application knows of them.
func RunStages(ctx context.Context, dir string, set Settings, n int, precision kernel.Precision) (*StageFindings, error) {
	s := NewStand(dir)
	defer s.Close()
	set.App, set.Log = "stages", true
	t, err := s.StartTarget(set)
	if err != nil {
		return nil, err
	}
	lines := filepath.Join(dir, "requests.jsonl")
	a, err := s.StartAgent(AgentSettings{Target: t.Address, Precision: precision, Requests: lines, CPUHz: 97})
	if err != nil {
		return nil, err
	}
	sent, err := drivePhases(ctx, t.Address, stagePhases(n))
	if err != nil {
		return nil, err
	}
	f := &StageFindings{Target: set.String(), Sent: len(sent)}
	if f.Recording, err = a.Finish(); err != nil {
		return nil, err
	}
	known, err := readLines[Spent](t.Truth)
	if err != nil {
		return nil, fmt.Errorf("read the truth: %w", err)
	}
	seen, err := readLines[Seen](lines)
	if err != nil {
		return nil, fmt.Errorf("read what the agent saw: %w", err)
	}
	f.compare(sent, known, seen)
	return f, nil
}

// drivePhases returns the kind of each request by its id.
func drivePhases(ctx context.Context, address string, phases []phase) (map[string]string, error) {
	sent := map[string]string{}
	for _, p := range phases {
		ids := make(chan string, p.n)
		for i := range p.n {
			id := fmt.Sprintf("%s-%d", strings.ReplaceAll(p.kind, " ", "_"), i)
			sent[id] = p.kind
			ids <- id
		}
		close(ids)
		failed := make([]error, p.at)
		var wg sync.WaitGroup
		for k := range p.at {
			wg.Go(func() {
				for id := range ids {
					if err := getSlowly(ctx, address, p.path, id, p.slow); err != nil {
						failed[k] = err
					}
				}
			})
		}
		wg.Wait()
		for _, err := range failed {
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.kind, err)
			}
		}
	}
	return sent, nil
}

// getSlowly asks on a connection of its own, and rests after each piece of the answer. A small
// receive buffer makes the server feel it.
func getSlowly(ctx context.Context, address, path, id string, rest time.Duration) error {
	d := net.Dialer{Timeout: 10 * time.Second}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if rest > 0 {
		if err := c.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
			return err
		}
	}
	if err := c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Request-Id: %s\r\nConnection: close\r\n\r\n", path, address, id); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(c, 256<<10), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	piece := make([]byte, 256<<10)
	for {
		_, err := io.ReadFull(res.Body, piece)
		if err != nil && (err == io.EOF || err == io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		time.Sleep(rest)
	}
}

// compare joins both views by request id.
func (f *StageFindings) compare(sent map[string]string, known []Spent, seen []Seen) {
	lines := map[string]*Seen{}
	for i := range seen {
		lines[seen[i].ID] = &seen[i]
	}
	type key struct{ kind, stage string }
	by := map[key]*StageError{}
	errs := map[key][]float64{}
	add := func(kind, stage string, knows, sees float64) {
		k := key{kind, stage}
		if by[k] == nil {
			by[k] = &StageError{Kind: kind, Stage: stage}
		}
		e := by[k]
		e.Requests++
		e.Known += knows
		e.Seen += sees
		errs[k] = append(errs[k], math.Abs(knows-sees))
	}
	long := map[string]int{}
	for i := range known {
		k := &known[i]
		kind, l := sent[k.ID], lines[k.ID]
		if l == nil {
			f.Unseen++
			continue
		}
		sum, total := map[string]float64{}, 0.0
		for _, x := range l.Stages {
			sum[x.Stage] += x.Seconds
			total += x.Seconds
		}
		if math.Abs(total-l.Seconds) > 1e-6 {
			f.SumsOff++
		}
		switch k.Path {
		case "/block":
			add(kind, "blocked", k.Asleep, sum["blocked"])
		case "/big":
			add(kind, "send", k.Held, sum["send"])
		default:
			add(kind, "on_cpu", k.CPU, sum["on_cpu"])
			add(kind, "run_queue", k.Ready, sum["run_queue"])
			add(kind, "gil_wait", k.waited(), sum["gil_wait"])
			add(kind, "blocked", k.Asleep, sum["blocked"])
		}
		if k.Asleep > .055 || k.Wall > .055 {
			long[kind]++
		}
	}
	for k, e := range by {
		slices.Sort(errs[k])
		e.Error = Spread{at(errs[k], 0.5), at(errs[k], 0.9), at(errs[k], 0.99), at(errs[k], 1)}
		f.By = append(f.By, *e)
	}
	slices.SortFunc(f.By, func(a, b StageError) int { return strings.Compare(a.Kind+a.Stage, b.Kind+b.Stage) })
	f.Blocked = []StageBlock{f.blocks("blocks", long, "GET /block", "block ("), f.blocks("computes for long", long, "GET /spin", "spin (")}
}

func (f *StageFindings) blocks(kind string, long map[string]int, endpoint, function string) StageBlock {
	b := StageBlock{Kind: kind, Known: long[kind]}
	var all int64
	if f.Recording.EventLoop == nil {
		return b
	}
	for _, x := range f.Recording.EventLoop.Blocks {
		if x.Endpoint != endpoint {
			continue
		}
		all += x.Count
		if strings.HasPrefix(x.Function, function) {
			b.Seen += x.Count
		}
	}
	if all > 0 {
		b.Named = float64(b.Seen) / float64(all)
	}
	return b
}

// Of is the error of a stage over the requests of a kind.
func (f *StageFindings) Of(kind, stage string) StageError {
	for _, e := range f.By {
		if e.Kind == kind && e.Stage == stage {
			return e
		}
	}
	return StageError{Kind: kind, Stage: stage}
}
