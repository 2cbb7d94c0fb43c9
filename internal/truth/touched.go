package truth

import (
	"context"
	"fmt"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/recording"
)

// TouchedRow is what requests of an endpoint touched for the first time, in bytes.
type TouchedRow struct {
	Path     string  `json:"path"`
	Requests int     `json:"requests"`
	Asked    float64 `json:"asked"`   // of allocators, by its function
	Touched  float64 `json:"touched"` // page faults while that ran, by the kernel
	Grown    float64 `json:"grown"`   // by which private memory in RAM grew meanwhile
	Seen     float64 `json:"seen"`    // allocated_bytes of the endpoint
}

// TouchedFindings is a run that holds the bytes of page faults by endpoint to the truth.
type TouchedFindings struct {
	Loop    string           `json:"loop"`
	Workers int              `json:"workers"`
	Rate    float64          `json:"rate"`    // requests a second
	Seconds float64          `json:"seconds"` // of load
	Date    string           `json:"date"`
	Sent    int              `json:"sent"`
	Rows    []TouchedRow     `json:"rows"`
	RSS     float64          `json:"rss"`    // by which the processes grew from the first reading to the last
	Others  float64          `json:"others"` // bytes of stacks that are no request's
	Lost    []recording.Loss `json:"losses"`
}

// String is how it is named in results.
func (f *TouchedFindings) String() string {
	return fmt.Sprintf("%s, %d worker(s), %.0f requests/s", f.Loop, f.Workers, f.Rate)
}

// touchedPaths are asked for in turn.
var touchedPaths = []string{"/keep", "/heap", "/map", "/touch", "/objects", nothing}

// RunTouched has the application touch memory and compares whose the agent says it was.
func RunTouched(ctx context.Context, dir, loop string, workers int, rate float64, d time.Duration) (*TouchedFindings, error) {
	s := NewStand(dir)
	defer s.Close()
	t, err := s.StartTarget(Settings{App: "allocate", needs: "profiles", Loop: loop, Workers: workers, Log: true, env: []string{"OPENBLAS_NUM_THREADS=1"}})
	if err != nil {
		return nil, err
	}
	a, err := s.StartAgent(AgentSettings{Target: t.Address, Precision: kernel.Full, CPUHz: 97})
	if err != nil {
		return nil, err
	}
	stop, err := loadWhile(ctx, t, 16*workers, rate, touchedPaths)
	if err != nil {
		return nil, err
	}
	time.Sleep(d)
	sent, err := stop()
	if err != nil {
		return nil, err
	}
	rec, err := a.Finish()
	if err != nil {
		return nil, err
	}
	if why := rec.WhyNot("allocations by endpoint"); why != "" {
		return nil, fmt.Errorf("%w: allocations by endpoint: %s", ErrMissing, why)
	}
	known, err := readLines[Allocated](t.Truth)
	if err != nil {
		return nil, fmt.Errorf("read the truth: %w", err)
	}
	f := &TouchedFindings{Loop: loop, Workers: workers, Rate: rate, Seconds: d.Seconds(), Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Sent: sent}
	f.compare(known, rec)
	return f, nil
}

func (f *TouchedFindings) compare(known []Allocated, rec *recording.Recording) {
	at := map[string]int{}
	for i, p := range touchedPaths {
		at[p], f.Rows = i, append(f.Rows, TouchedRow{Path: p})
	}
	for _, k := range known {
		if i, is := at[k.Path]; is {
			r := &f.Rows[i]
			r.Requests++
			r.Asked, r.Touched, r.Grown = r.Asked+k.Bytes, r.Touched+k.Touched, r.Grown+k.Grown
		}
	}
	for _, e := range rec.Endpoints {
		if i, is := at[pathOf(e.Endpoint)]; is && e.AllocatedBytes != nil {
			f.Rows[i].Seen = float64(*e.AllocatedBytes)
		}
	}
	for _, h := range rec.Memory.Hotspots {
		if _, is := at[pathOf(h.Endpoint)]; !is {
			f.Others += float64(h.Bytes)
		}
	}
	if ticks := rec.Memory.Timeline; len(ticks) > 0 {
		f.RSS = float64(ticks[len(ticks)-1].RSS) - float64(ticks[0].RSS)
	}
	for _, l := range rec.Losses {
		if l.Count > 0 {
			f.Lost = append(f.Lost, l)
		}
	}
}

// touched writes the runs that hold page faults by endpoint to the truth.
func (r *Results) touched(p *page) {
	if len(r.Touched) == 0 {
		return
	}
	p.head("Truth: new memory by endpoint, from page faults")
	p.line("What is always on: `allocated_bytes` of an endpoint, a stack each 100 KB of pages that the kernel gave the process, or more where it gives many. The sum is of all pages; whose they are")
	p.line("is asked where a stack is taken, so that an endpoint's part is off by chance, the more the fewer its stacks: by some percent at 200 MB, by anything at 1 MB. An ASGI application keeps a block of")
	p.line("256 KiB (`/keep`), or 100 of 4,000 bytes (`/heap`), maps 1 MiB, touches it and gives it back to the kernel (`/map`), frees a block of 1 MiB (`/touch`) or 10,000 small objects (`/objects`). Touched: page")
	p.line("faults while its function ran, by the kernel's own account (getrusage); grown: private memory in RAM after it less before. Seen are faults of")
	p.line("the server's code for a request as well. So new memory is seen, be it kept or given back to the kernel; what the allocator had already and hands out again")
	p.line("(`/objects`, and `/touch` once malloc no longer gives such blocks back) is not, as there is no page fault: `agent memory --allocations` sees that.\n")
	p.table("run", "endpoint", "requests", "asked for, MB", "touched, MB", "grown, MB", "seen, MB", "seen of the touched, off")
	for _, f := range r.Touched {
		name := f.String()
		var all TouchedRow
		for _, row := range f.Rows {
			off := "–"
			if row.Touched > 0 {
				off = fmt.Sprintf("%+.1f %%", 100*(row.Seen/row.Touched-1))
			}
			p.row(name, row.Path, fmt.Sprint(row.Requests), mb(row.Asked), mb(row.Touched), mb(row.Grown), mb(row.Seen), off)
			name = ""
			all.Requests += row.Requests
			all.Asked, all.Touched, all.Grown, all.Seen = all.Asked+row.Asked, all.Touched+row.Touched, all.Grown+row.Grown, all.Seen+row.Seen
		}
		p.row("", fmt.Sprintf("all; RSS grew by %s MB", mb(f.RSS)), fmt.Sprintf("%d of %d", all.Requests, f.Sent), mb(all.Asked), mb(all.Touched), mb(all.Grown), mb(all.Seen), fmt.Sprintf("%+.1f %%", 100*(ratio(all.Seen, all.Touched)-1)))
		p.row("", "no request's: "+lossesOf(f.Lost), "", "", "", "", mb(f.Others), "")
	}
}

func mb(bytes float64) string { return fmt.Sprintf("%.2f", bytes/1e6) }
