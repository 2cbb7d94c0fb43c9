package truth

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/recording"
)

// Burnt is what the application says of one request: a line of app/profiles.py.
type Burnt struct {
	Path string  `json:"path"`
	CPU  float64 `json:"cpu"` // seconds
}

// ProfileSettings are how the application runs and is sampled.
type ProfileSettings struct {
	Loop    string  `json:"loop"`
	Workers int     `json:"workers"`
	Hz      int     `json:"hz"`
	Seconds float64 `json:"seconds"` // of CPU that each cell takes
}

// String is how it is named in results.
func (p ProfileSettings) String() string {
	return fmt.Sprintf("%s, %d worker(s), %d Hz", p.Loop, p.Workers, p.Hz)
}

var (
	profileModes  = []string{"loop", "gather", "to_thread", "executor", "sync"}
	profileKinds  = []string{"python", "numpy", "json", "hash"}
	profileShares = []int{60, 30, 10}
)

// ProfileCell is a mode and kind: three endpoints that take CPU in known shares.
type ProfileCell struct {
	Precision kernel.Precision `json:"precision"`
	Mode      string           `json:"mode"`
	Kind      string           `json:"kind"`
	Known     []float64        `json:"known_seconds"` // by the application's clocks, as profileShares
	Seen      []float64        `json:"seen_seconds"`  // samples of the endpoint times the sampling period
	Samples   int              `json:"samples"`
}

// everyCell is each mode with each kind.
func everyCell(p kernel.Precision) (cells []ProfileCell) {
	for _, mode := range profileModes {
		for _, kind := range profileKinds {
			cells = append(cells, ProfileCell{Precision: p, Mode: mode, Kind: kind})
		}
	}
	return cells
}

func (c *ProfileCell) path(i int) string {
	return fmt.Sprintf("/%s/%s/%d", c.Mode, c.Kind, profileShares[i%len(profileShares)])
}

// off is the largest difference of a share, 0.03 for three points.
func (c *ProfileCell) off() (most float64) {
	known, seen := sum(c.Known), sum(c.Seen)
	for i := range c.Known {
		most = max(most, math.Abs(ratio(c.Known[i], known)-ratio(c.Seen[i], seen)))
	}
	return most
}

// Profiles is a run that holds the shares of a CPU profile to the truth.
type Profiles struct {
	ProfileSettings
	Date   string             `json:"date"`
	Sent   int                `json:"sent"`
	Failed int                `json:"failed"`
	Cells  []ProfileCell      `json:"cells"`
	Words  map[string]float64 `json:"words"` // seconds of samples outside requests
	Lost   []recording.Loss   `json:"losses"`
}

// RunProfiles goes through cells, burns CPU, and compares whose the samples are. A mode and kind may be there once.
func RunProfiles(ctx context.Context, dir string, set ProfileSettings, cells []ProfileCell) (*Profiles, error) {
	s := NewStand(dir)
	defer s.Close()
	t, err := s.StartTarget(Settings{
		App: "profiles", needs: "profiles", Loop: set.Loop, Workers: set.Workers, Log: true,
		env: []string{"OPENBLAS_NUM_THREADS=1", "BACKGROUND=1"},
	})
	if err != nil {
		return nil, err
	}
	a, err := s.StartAgent(AgentSettings{Target: t.Address, Precision: cells[0].Precision, CPUHz: set.Hz})
	if err != nil {
		return nil, err
	}
	f := &Profiles{ProfileSettings: set, Date: time.Now().UTC().Format("2006-01-02 15:04 UTC")}
	Together(ctx, t.Address, "warm", 8, 30, func(int) string { return "/health" }) // the unwinder learns a process from its first samples
	for _, c := range cells {
		if err := a.SetPrecision(c.Precision); err != nil {
			return nil, err
		}
		n := len(profileShares) * int(math.Ceil(set.Seconds/0.1))
		for _, x := range Together(ctx, t.Address, c.Mode+c.Kind, 8*set.Workers, n, c.path) {
			f.Sent++
			if x.Err != nil || x.Status != 200 {
				f.Failed++
			}
		}
	}
	time.Sleep(2 * time.Second) // stacks are held for a second
	last, err := a.Status()
	if err != nil {
		return nil, err
	}
	f.Lost = slices.DeleteFunc(last.Losses, func(l recording.Loss) bool { return l.Count == 0 })
	if _, err := a.Finish(); err != nil {
		return nil, err
	}
	known, err := readLines[Burnt](t.Truth)
	if err != nil {
		return nil, fmt.Errorf("read the truth: %w", err)
	}
	f.compare(cells, known, last.CPU)
	return f, nil
}

// compare fills the cells in; seen are the seconds of samples by endpoint.
func (f *Profiles) compare(cells []ProfileCell, known []Burnt, seen map[string]float64) {
	burnt := map[string]float64{}
	for _, k := range known {
		burnt[k.Path] += k.CPU
	}
	for _, c := range cells {
		for i := range profileShares {
			c.Known = append(c.Known, burnt[c.path(i)])
			c.Seen = append(c.Seen, seen["GET "+c.path(i)])
		}
		c.Samples = int(math.Round(sum(c.Seen) * float64(f.Hz)))
		f.Cells = append(f.Cells, c)
	}
	f.Words = map[string]float64{}
	for endpoint, seconds := range seen {
		if !strings.HasPrefix(endpoint, "GET /") {
			f.Words[endpoint] = seconds
		}
	}
}

// all is the sum of the cells of a precision.
func (f *Profiles) all(p kernel.Precision) ProfileCell {
	all := ProfileCell{Precision: p, Mode: "all", Kind: "all", Known: make([]float64, len(profileShares)), Seen: make([]float64, len(profileShares))}
	for _, c := range f.Cells {
		if c.Precision != p {
			continue
		}
		for i := range profileShares {
			all.Known[i] += c.Known[i]
			all.Seen[i] += c.Seen[i]
		}
		all.Samples += c.Samples
	}
	return all
}

// outside is the share of all samples that are of no request, and what they are said to be of.
func (f *Profiles) outside() (share float64, words string) {
	none, all := 0.0, 0.0
	for _, s := range f.Words {
		none += s
	}
	for _, c := range f.Cells {
		all += sum(c.Seen)
	}
	var out []string
	for _, word := range slices.Sorted(maps.Keys(f.Words)) {
		out = append(out, fmt.Sprintf("%s %.1f %%", word, 100*ratio(f.Words[word], all+none)))
	}
	return ratio(none, all+none), strings.Join(out, ", ")
}
