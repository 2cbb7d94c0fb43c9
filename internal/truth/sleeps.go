package truth

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/stack"
)

// Slept is what the application says of one request: a line of app/sleeps.py, in seconds.
type Slept struct {
	Path     string  `json:"path"`
	Function string  `json:"function"`
	Wall     float64 `json:"wall"`
	CPU      float64 `json:"cpu"`
	Ready    float64 `json:"ready"`
}

// OffCPU is the off-CPU time of one endpoint, function and kind of sleep, as the agent shows it.
type OffCPU struct {
	Endpoint string  `json:"endpoint"`
	Function string  `json:"function"` // as stack.Culprit names it
	Kind     string  `json:"kind"`
	Seconds  float64 `json:"seconds"`
}

// offCPU sums a profile up.
func offCPU(p *stack.Profile) (out []OffCPU) {
	at := map[OffCPU]int{}
	for s := range p.All() {
		x := OffCPU{Endpoint: s.Endpoint, Function: stack.Culprit(s.Frames), Kind: s.Frames[0].Function}
		i, known := at[x]
		if !known {
			i = len(out)
			at[x], out = i, append(out, x)
		}
		out[i].Seconds += float64(s.Value) / 1e9
	}
	return out
}

// SleepSettings are how the application runs.
type SleepSettings struct {
	Loop    string  `json:"loop"`
	Workers int     `json:"workers"`
	Scale   float64 `json:"scale"` // of the numbers of requests
}

// String is how it is named in results.
func (s SleepSettings) String() string { return fmt.Sprintf("%s, %d worker(s)", s.Loop, s.Workers) }

// SleepRow is one endpoint of a run. The function that sleeps slept for Least seconds, and with its waits for a CPU for Most
// at most; between its sleeps' begin and the time that it ran again lies something between the two.
type SleepRow struct {
	Path      string             `json:"path"`
	Function  string             `json:"function"`
	Requests  int                `json:"requests"`
	Least     float64            `json:"least_seconds"`
	Most      float64            `json:"most_seconds"`
	Seen      float64            `json:"seen_seconds"`      // by the agent, in that function for that endpoint
	Elsewhere float64            `json:"elsewhere_seconds"` // in that function, for another endpoint or none
	Kinds     map[string]float64 `json:"kinds"`
}

// off is how far outside of its limits a row was seen, as a share of the larger one.
func (r *SleepRow) off() float64 {
	return ratio(max(r.Least-r.Seen, r.Seen-r.Most, 0), r.Most)
}

// chance is the deviation of a row's seconds as a share of its larger limit, were each sample one of a short sleep, which is taken
// or not by chance: of a sleep longer than the period it is less.
func (r *SleepRow) chance(period float64) float64 { return ratio(math.Sqrt(period*r.Seen), r.Most) }

// SleepFindings is a run that holds an off-CPU profile to the truth.
type SleepFindings struct {
	SleepSettings
	Date      string               `json:"date"`
	Sent      int                  `json:"sent"`
	Failed    int                  `json:"failed"`
	Rows      []SleepRow           `json:"rows"`
	Others    []OffCPU             `json:"others"` // what was seen in no such function
	Sleeps    recording.Sleeps     `json:"sleeps"`
	Lost      []recording.Loss     `json:"losses"`
	Recording *recording.Recording `json:"-"`
}

// sleepPaths are the endpoints with how many are asked for at once, and how often. A wait for the disk takes about a
// millisecond, and one sample is taken in ten: so there are so many of them.
var sleepPaths = []struct {
	path  string
	at, n int
}{{"/loop", 2, 40}, {"/short", 2, 40}, {"/pool", 8, 200}, {"/locks", 6, 60}, {"/gil", 4, 60}, {"/files", 8, 300}, {"/rest", 8, 40}}

// RunSleeps has the application sleep and compares where it was seen to.
func RunSleeps(ctx context.Context, dir string, set SleepSettings) (*SleepFindings, error) {
	s := NewStand(dir)
	defer s.Close()
	t, err := s.StartTarget(Settings{App: "sleeps", Loop: set.Loop, Workers: set.Workers, Log: true})
	if err != nil {
		return nil, err
	}
	a, err := s.StartAgent(AgentSettings{Target: t.Address, Precision: kernel.Full, CPUHz: 97})
	if err != nil {
		return nil, err
	}
	Together(ctx, t.Address, "warm", 8, 200*set.Workers, func(int) string { return "/health" }) // the unwinder learns a process from its first sleeps
	time.Sleep(time.Second)
	f := &SleepFindings{SleepSettings: set, Date: time.Now().UTC().Format("2006-01-02 15:04 UTC")}
	for _, p := range sleepPaths {
		for _, x := range Together(ctx, t.Address, p.path, p.at*set.Workers, int(float64(p.n*set.Workers)*set.Scale), func(int) string { return p.path }) {
			f.Sent++
			if x.Err != nil || x.Status != 200 {
				f.Failed++
			}
		}
	}
	time.Sleep(3 * time.Second) // stacks are held for a second
	last, err := a.Status()
	if err != nil {
		return nil, err
	}
	if f.Recording, err = a.Finish(); err != nil {
		return nil, err
	}
	if f.Recording.Sleeps == nil {
		return nil, fmt.Errorf("%w: the off-CPU profile: %+v", ErrMissing, f.Recording.NotMeasured)
	}
	f.Sleeps = *f.Recording.Sleeps
	for _, l := range last.Losses {
		if l.Count > 0 {
			f.Lost = append(f.Lost, l)
		}
	}
	known, err := readLines[Slept](t.Truth)
	if err != nil {
		return nil, fmt.Errorf("read the truth: %w", err)
	}
	f.compare(known, last.OffCPU)
	return f, nil
}

func (f *SleepFindings) compare(known []Slept, seen []OffCPU) {
	at := map[string]int{}
	for _, k := range known {
		i, is := at[k.Function]
		if !is {
			i = len(f.Rows)
			at[k.Function], f.Rows = i, append(f.Rows, SleepRow{Path: k.Path, Function: k.Function, Kinds: map[string]float64{}})
		}
		r := &f.Rows[i]
		r.Requests++
		r.Least += max(0, k.Wall-k.CPU-k.Ready)
		r.Most += k.Wall - k.CPU
	}
	for _, x := range seen {
		name, _, _ := strings.Cut(x.Function, " ")
		i, is := at[name]
		switch {
		case !is:
			f.Others = append(f.Others, x)
		case x.Endpoint == "GET "+f.Rows[i].Path:
			f.Rows[i].Seen += x.Seconds
			f.Rows[i].Kinds[x.Kind] += x.Seconds
		default:
			f.Rows[i].Elsewhere += x.Seconds
		}
	}
}
