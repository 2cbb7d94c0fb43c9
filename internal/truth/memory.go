package truth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/memory"
	"github.com/ragscope/ragscope/internal/recording"
)

// memoryWay is a way in which an application treats memory, and what must be said of it.
type memoryWay struct {
	name      string
	path      string
	rate      func(time.Duration) float64 // requests a second; nil: memoryRate
	settings  Settings
	kept      float64 // bytes by 1,000 requests, on and on
	verdict   string  // "": any but a leak
	container string  // that keeps them, with the functions that use it
}

// memoryWays at memoryRate: the cache is full after a third of the time.
var memoryWays = []memoryWay{
	{name: "keeps 1,000 bytes of each request", path: "/leak", kept: 1e6, verdict: memory.LeakSuspected, container: "memory.kept in remember"},
	{name: "the same on two workers", path: "/leak", settings: Settings{Workers: 2}, kept: 1e6, verdict: memory.LeakSuspected, container: "memory.kept in remember"},
	{name: "fills a cache of 3,000 such entries and stops", path: "/cache", verdict: memory.Stable, container: "memory.cache in store"},
	{name: "keeps nothing", path: "/plain", verdict: memory.Stable},
	{name: "keeps nothing, for a crowd that rises to 200 at a time and stays", path: "/crowd", rate: rises(time.Minute), verdict: memory.Stable},
	{name: "keeps nothing, for a crowd that rises to the end", path: "/crowd", rate: rises(3 * time.Minute)},
	{name: "keeps nothing, for a crowd that comes and goes", path: "/crowd", rate: waves},
	{name: "keeps 1,000 bytes of each request of a crowd that rises and stays", path: "/crowdleak", rate: rises(time.Minute), kept: 1e6, verdict: memory.LeakSuspected, container: "memory.kept in remember"},
	{name: "the same of one that comes and goes", path: "/crowdleak", rate: waves, kept: 1e6, verdict: memory.LeakSuspected, container: "memory.kept in remember"},
}

const crowdRate = 100 // requests a second, of 2 s each

// rises grows from few requests a second until a time.
func rises(until time.Duration) func(time.Duration) float64 {
	return func(t time.Duration) float64 { return crowdRate * max(.05, min(1, t.Seconds()/until.Seconds())) }
}

// waves takes half a minute from few to many requests and back.
func waves(t time.Duration) float64 {
	return crowdRate * (.55 - .45*math.Cos(2*math.Pi*t.Seconds()/30))
}

const memoryRate = 50 // requests a second, at random instants

// MemoryRow is what was said of one way.
type MemoryRow struct {
	Way      string              `json:"way"`
	Requests int                 `json:"requests"`
	Seconds  float64             `json:"seconds"`
	Kept     float64             `json:"kept"`    // bytes by 1,000 requests, by the application
	Growth   *recording.Estimate `json:"growth"`  // bytes by 1,000 requests, by the agent
	Wanted   string              `json:"wanted"`  // verdict; "": any but a leak
	Verdict  string              `json:"verdict"` // of the agent
	Reason   string              `json:"reason"`  // the agent's
	After    float64             `json:"after"`   // seconds of load after which the verdict was that and stayed it
	Ever     []string            `json:"ever"`    // verdicts on the way, one each 10 s
	Keeper   string              `json:"keeper"`  // the container that grew most, and the functions that use it; "": none, or none is known
	Keeps    string              `json:"keeps"`   // what should be named
	Toucher  string              `json:"toucher"` // the function that first touched most new memory
	Why      string              `json:"why"`     // there is neither
	Peak     uint64              `json:"peak"`    // RSS, bytes
	PSS      uint64              `json:"pss"`     // at the end
}

// MeasureMemory runs all ways at the same time for so long, each with an agent of its own. keep,
// unless nil, gets each recording.
func MeasureMemory(ctx context.Context, dir string, d time.Duration, keep func(name string, r *recording.Recording) error) ([]*MemoryRow, error) {
	rows := make([]*MemoryRow, len(memoryWays))
	var starting sync.Mutex // one agent at a time loads its programs: the verifier takes seconds of a core
	g, ctx := errgroup.WithContext(ctx)
	for i, way := range memoryWays {
		own, err := os.MkdirTemp(dir, "memory")
		if err != nil {
			return nil, err
		}
		g.Go(func() (err error) {
			rows[i], err = runMemory(ctx, own, way, d, uint64(i), &starting, keep)
			if err != nil {
				err = fmt.Errorf("%s: %w", way.name, err)
			}
			return err
		})
	}
	return rows, g.Wait()
}

func runMemory(ctx context.Context, dir string, way memoryWay, d time.Duration, seed uint64, starting sync.Locker, keep func(string, *recording.Recording) error) (*MemoryRow, error) {
	s := NewStand(dir)
	defer s.Close()
	set := way.settings
	set.App = "memory"
	t, err := s.StartTarget(set)
	if err != nil {
		return nil, err
	}
	starting.Lock()
	a, err := s.StartAgent(AgentSettings{Target: t.Address, Precision: kernel.Full, Budget: .1, CPUHz: 97, Census: true})
	starting.Unlock()
	if err != nil {
		return nil, err
	}
	rate := way.rate
	if rate == nil {
		rate = func(time.Duration) float64 { return memoryRate }
	}
	sent := Varying(ctx, t.Address, "memory", rate, d, seed, func(int) string { return way.path })
	rec, err := a.Finish()
	if err != nil {
		return nil, err
	}
	if keep != nil {
		if err := keep(way.name, rec); err != nil {
			return nil, err
		}
	}
	if len(rec.Memory.Timeline) == 0 {
		return nil, errors.New("no reading of memory")
	}
	return memoryRow(way, rec, len(sent), d), nil
}

func memoryRow(way memoryWay, rec *recording.Recording, sent int, d time.Duration) *MemoryRow {
	m := &rec.Memory
	row := &MemoryRow{
		Way: way.name, Requests: sent, Seconds: d.Seconds(), Kept: way.kept, Growth: m.GrowthPerThousand,
		Wanted: way.verdict, Keeps: way.container, Verdict: m.Verdict, Reason: m.Reason,
	}
	for _, t := range m.Timeline {
		row.Peak = max(row.Peak, t.RSS)
	}
	if m.Composition != nil {
		row.PSS = m.Composition.PSS
	}
	if len(m.Containers) > 0 {
		row.Keeper = m.Containers[0].Name + " in " + strings.Join(m.Containers[0].Users, ", ")
	}
	if len(m.Hotspots) > 0 {
		row.Toucher = m.Hotspots[0].Function
	}
	for _, n := range rec.NotMeasured {
		if strings.Contains(n.What, "memory h") { // hot spots, held by containers
			row.Why = n.Why
		}
	}
	row.Ever, row.After = verdicts(m.Timeline, rec.Timeline)
	return row
}

// verdicts are what was said each 10 s of the load, and from when on it stayed the last.
func verdicts(ticks []recording.MemoryTick, timeline []recording.Tick) (ever []string, after float64) {
	begin := 0.
	for _, t := range timeline {
		if t.Requests > 0 {
			begin = t.T
			break
		}
	}
	for i, t := range ticks {
		if t.T < begin+10*float64(len(ever)+1) && i < len(ticks)-1 {
			continue
		}
		v := memory.Judge(ticks[:i+1], timeline).Verdict
		if len(ever) == 0 || ever[len(ever)-1] != v {
			after = t.T - begin
		}
		ever = append(ever, v)
	}
	return ever, after
}

// memory writes the table.
func (r *Results) memory(p *page) {
	if len(r.Memory) == 0 {
		return
	}
	p.head("Leaks, caches and neither")
	p.line("A FastAPI application on uvicorn, %d requests a second at random instants. Growth is what the agent says it grew by for 1,000", memoryRate)
	p.line("requests after the warm-up, with its 95 %% interval; `after` is how long the load had run when the verdict was first what it stayed.")
	p.line("Requests of a crowd take 2 s, and up to %d come in a second: the allocator keeps what they needed. What no load but a steady one can tell may", crowdRate)
	p.line("be anything but a leak; and a leak beside a crowd that comes and goes first takes what the crowd left free, which may hide it for minutes.")
	p.line("Each request keeps one block and uses twenty of the same size for a moment, so that who touches new memory first is not who keeps it.")
	p.line("")
	p.table("the application", "requests", "keeps of 1,000 requests", "growth by 1,000 requests", "verdict", "after", "container that grew most", "most new memory touched by")
	for _, m := range r.Memory {
		growth := "–"
		if g := m.Growth; g != nil {
			growth = fmt.Sprintf("%.0f kB [%.0f, %.0f]", g.Estimate/1e3, g.Low/1e3, g.High/1e3)
		}
		keeper := cmp.Or(m.Keeper, "none")
		if m.Keeper != m.Keeps {
			keeper = "**" + keeper + "** (should be: " + cmp.Or(m.Keeps, "none") + "; " + m.Why + ")"
		}
		verdict := m.Verdict
		if m.Wanted == "" && m.Verdict == memory.LeakSuspected || m.Wanted != "" && m.Verdict != m.Wanted {
			verdict = "**" + verdict + "** (should be: " + cmp.Or(m.Wanted, "no leak") + ")"
		}
		p.line("| %s | %d | %.0f kB | %s | %s | %.0f s | %s | %s |", m.Way, m.Requests, m.Kept/1e3, growth, verdict, m.After, keeper, cmp.Or(m.Toucher, "none"))
	}
}
