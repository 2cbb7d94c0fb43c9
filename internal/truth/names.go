package truth

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/stack"
	"github.com/ragscope/ragscope/internal/watch"
)

// FrameNames counts the frames of a profile, each as often as it was sampled.
type FrameNames struct {
	Kind     string     `json:"kind"`
	Stacks   int64      `json:"stacks"`
	Whole    int64      `json:"whole"` // that reach the thread's start
	Frames   int64      `json:"frames"`
	Named    int64      `json:"named"`
	Nameless []Nameless `json:"nameless"` // the most frequent first
	Cut      []Nameless `json:"cut"`      // the last frames of stacks that end before, in the same order; with or without a name
}

// Nameless are frames of one object.
type Nameless struct {
	Object string `json:"object"`
	Frames int64  `json:"frames"`
	Most   string `json:"most"` // the most frequent
}

// frameNames counts what the agent has taken by now.
func frameNames(w *watch.Watcher) (out []FrameNames) {
	for _, kind := range []stack.Kind{stack.CPU, stack.OffCPU} {
		if tally := w.Tally(kind); tally != nil {
			out = append(out, countNames(kind, tally.Total(time.Now())))
		}
	}
	return out
}

func countNames(kind stack.Kind, p *stack.Profile) FrameNames {
	n := FrameNames{Kind: kind.String()}
	nameless, cut := map[stack.Frame]int64{}, map[stack.Frame]int64{}
	for s := range p.All() {
		n.Stacks += s.Samples
		frames := s.Frames
		if end := len(frames) - 1; end >= 0 && frames[end].Function == stack.CutOff {
			frames = frames[:end]
			if end > 0 {
				cut[frames[end-1]] += s.Samples
			}
		} else {
			n.Whole += s.Samples
		}
		n.Frames += s.Samples * int64(len(frames))
		for _, f := range frames {
			if f.Named() {
				n.Named += s.Samples
			} else {
				nameless[f] += s.Samples
			}
		}
	}
	n.Nameless, n.Cut = byObject(nameless), byObject(cut)
	return n
}

// byObject sums the frames up.
func byObject(frames map[stack.Frame]int64) (out []Nameless) {
	sums, most := map[string]*Nameless{}, map[string]int64{}
	for f, n := range frames {
		object := cmp.Or(f.File, f.Function)
		if sums[object] == nil {
			sums[object] = &Nameless{Object: object}
		}
		sums[object].Frames += n
		if n > most[object] {
			most[object], sums[object].Most = n, f.Function
		}
	}
	for s := range maps.Values(sums) {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b Nameless) int {
		return cmp.Or(cmp.Compare(b.Frames, a.Frames), cmp.Compare(a.Object, b.Object))
	})
	return out[:min(len(out), 12)]
}

// NameSettings are how the application runs and is sampled.
type NameSettings struct {
	Loop   string `json:"loop"`
	Raw    bool   `json:"raw"`
	Hidden bool   `json:"hidden"` // without the separate debug files that this machine may have
}

// String is how it is named in results.
func (s NameSettings) String() string {
	how := map[bool]string{false: "folded", true: "raw"}[s.Raw]
	if s.Hidden {
		how += ", without debug files"
	}
	return s.Loop + ", " + how
}

// NameFindings is a run that counts the frames that have a name.
type NameFindings struct {
	NameSettings
	Date   string           `json:"date"`
	Python string           `json:"python"`
	Sent   int              `json:"sent"`
	Failed int              `json:"failed"`
	Met    []FrameNames     `json:"met"`   // in the first seconds, in which the unwinder learns what the process has mapped
	Kinds  []FrameNames     `json:"kinds"` // since then
	Lost   []recording.Loss `json:"losses"`
}

var namePaths = []string{"/json", "/redis", "/numpy", "/hash", "/thread", "/sleep", "/health"}

// RunNames lets the application work for d and counts.
func RunNames(ctx context.Context, dir string, set NameSettings, d time.Duration) (*NameFindings, error) {
	s := NewStand(dir)
	defer s.Close()
	if s.hidden = set.Hidden; s.hidden {
		if _, err := exec.LookPath("unshare"); err != nil || os.Geteuid() != 0 {
			return nil, fmt.Errorf("%w: unshare, and root, to hide the debug files", ErrMissing)
		}
	}
	t, err := s.StartTarget(Settings{App: "names", needs: "names", Loop: set.Loop, env: []string{"OPENBLAS_NUM_THREADS=1"}})
	if err != nil {
		return nil, err
	}
	a, err := s.StartAgent(AgentSettings{Target: t.Address, Precision: kernel.Linked, CPUHz: 97, Raw: set.Raw, Names: true})
	if err != nil {
		return nil, err
	}
	python, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", t.PID))
	if err != nil {
		return nil, err
	}
	f := &NameFindings{NameSettings: set, Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Python: strings.TrimSpace(python + " " + output(python, "--version"))}
	if f.Met, _, err = f.work(ctx, t, a, 3*time.Second); err != nil {
		return nil, err
	}
	if f.Kinds, f.Lost, err = f.work(ctx, t, a, d); err != nil {
		return nil, err
	}
	for i := range f.Kinds {
		f.Kinds[i].without(f.Met)
	}
	_, err = a.Finish()
	return f, err
}

// work has the application answer for d, and returns what was counted since the agent started.
func (f *NameFindings) work(ctx context.Context, t *Target, a *Agent, d time.Duration) ([]FrameNames, []recording.Loss, error) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, x := range Together(ctx, t.Address, "names", 8, 10*len(namePaths), func(i int) string { return namePaths[i%len(namePaths)] }) {
			f.Sent++
			if x.Err != nil || x.Status != 200 {
				f.Failed++
			}
		}
	}
	time.Sleep(2 * time.Second) // stacks are held for a second
	s, err := a.Status()
	return s.Names, slices.DeleteFunc(s.Losses, func(l recording.Loss) bool { return l.Count == 0 }), err
}

// without takes off what was counted before; the objects stay those of all.
func (n *FrameNames) without(before []FrameNames) {
	for _, b := range before {
		if b.Kind == n.Kind {
			n.Stacks, n.Whole, n.Frames, n.Named = n.Stacks-b.Stacks, n.Whole-b.Whole, n.Frames-b.Frames, n.Named-b.Named
		}
	}
}

// names writes how many frames have a name.
func (r *Results) names(p *page) {
	if len(r.Names) == 0 {
		return
	}
	p.head("Names in stacks on Debian's stripped Python")
	p.line("FastAPI and uvicorn with mixed work (JSON, Redis, numpy, hashes, threads, sleeps) on %s and its extension modules as Debian", r.Names[0].Python)
	p.line("ships them. Shares of frames, each as often as it was sampled. Folded is what all see who do not ask for --raw. Without debug files:")
	p.line("those under /usr/lib/debug are hidden from target and agent.")
	p.line("A stack that does not reach the thread's start was cut off after the last frame named; in the first seconds the unwinder learns what")
	p.line("the process has mapped.\n")
	p.table("run", "kind", "stacks", "to the thread's start, %", "in the first seconds", "cut off, by object", "frames", "named, %", "without a name, by object", "failed / sent", "losses")
	for _, f := range r.Names {
		for i, k := range f.Kinds {
			first := 0.0
			if i < len(f.Met) {
				first = f.Met[i].whole()
			}
			p.row(f.String(), k.Kind, fmt.Sprint(k.Stacks), fmt.Sprintf("%.2f", 100*k.whole()), fmt.Sprintf("%.1f", 100*first), objects(k.Cut), fmt.Sprint(k.Frames),
				fmt.Sprintf("%.1f", 100*k.named()), objects(k.Nameless), fmt.Sprintf("%d / %d", f.Failed, f.Sent), lossesOf(f.Lost))
		}
	}
}

func (n *FrameNames) whole() float64 { return ratio(float64(n.Whole), float64(n.Stacks)) }
func (n *FrameNames) named() float64 { return ratio(float64(n.Named), float64(n.Frames)) }

func objects(frames []Nameless) string {
	var out []string
	for _, o := range frames[:min(len(frames), 5)] {
		out = append(out, fmt.Sprintf("%s %d", o.Object, o.Frames))
	}
	return strings.Join(out, ", ")
}
