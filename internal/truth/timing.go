package truth

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
)

// A Timing is a run that holds stages, or the tokens of streams, to the truth. One of both is there.
type Timing struct {
	Name    string          `json:"name"`
	Date    string          `json:"date"`
	Stages  *StageFindings  `json:"stages,omitempty"`
	Streams *StreamFindings `json:"streams,omitempty"`
}

type timingCase struct {
	name string
	run  func(ctx context.Context, dir string, t *Timing) error
}

func stagesCase(name string, set Settings) timingCase {
	return timingCase{name, func(ctx context.Context, dir string, t *Timing) (err error) {
		t.Stages, err = RunStages(ctx, dir, set, 100, kernel.Full)
		return err
	}}
}

func streamsCase(name string, set StreamSettings) timingCase {
	return timingCase{name, func(ctx context.Context, dir string, t *Timing) (err error) {
		t.Streams, err = RunStreams(ctx, dir, set)
		return err
	}}
}

func timingCases() []timingCase {
	return []timingCase{
		stagesCase("stages, uvloop", Settings{}),
		stagesCase("stages, asyncio and h11", Settings{Loop: "asyncio", HTTP: "h11"}),
		streamsCase("streams, one at a time", StreamSettings{At: 1, Each: 10}),
		streamsCase("streams, 16 at a time", StreamSettings{At: 16, Each: 40}),
		streamsCase("streams, asyncio, 16 at a time", StreamSettings{Loop: "asyncio", At: 16, Each: 40}),
		streamsCase("streams, 16 at a time, precision linked", StreamSettings{At: 16, Each: 20, Precision: kernel.Linked}),
		streamsCase("streams of a real Ollama", StreamSettings{Ollama: true, At: 1, Each: 4}),
	}
}

// runTiming runs a case in a folder of its own under dir.
func runTiming(ctx context.Context, dir string, c timingCase) (*Timing, error) {
	dir, err := os.MkdirTemp(dir, "timing")
	if err != nil {
		return nil, err
	}
	t := &Timing{Name: c.name, Date: time.Now().UTC().Format("2006-01-02 15:04 UTC")}
	return t, c.run(ctx, dir, t)
}

// addTiming takes a timing in, in place of an older one.
func (r *Results) addTiming(t *Timing) {
	r.Timings = renew(r.Timings, t, func(o *Timing) bool { return o.Name == t.Name })
}

func (r *Results) timings(p *page) {
	if len(r.Timings) == 0 {
		return
	}
	p.head("Truth: stages")
	p.line("Known: by the application's own clocks (the thread's CPU clock, the kernel's account of the run queue, its own sleeps and waits).")
	p.line("on_cpu is more by what runs around the measured code. Errors: absolute, per request, in ms.\n")
	p.table("run, requests that", "stage", "requests", "known s", "seen s", "error p50", "p90", "p99", "max")
	for _, t := range r.Timings {
		if t.Stages == nil {
			continue
		}
		for _, e := range t.Stages.By {
			p.row(t.Name+": "+e.Kind, e.Stage, fmt.Sprint(e.Requests), fmt.Sprintf("%.3f", e.Known), fmt.Sprintf("%.3f", e.Seen),
				ms(e.Error.Median), ms(e.Error.P90), ms(e.Error.P99), ms(e.Error.Max))
		}
	}
	p.line("\nWhat held the event loop for more than 50 ms:\n")
	p.table("run, requests that", "known", "seen with its function", "share named on its endpoint, %", "stage sums off", "unseen")
	for _, t := range r.Timings {
		if t.Stages == nil {
			continue
		}
		for _, b := range t.Stages.Blocked {
			p.row(t.Name+": "+b.Kind, fmt.Sprint(b.Known), fmt.Sprint(b.Seen), fmt.Sprintf("%.0f", 100*b.Named), fmt.Sprint(t.Stages.SumsOff), fmt.Sprint(t.Stages.Unseen))
		}
	}
	p.head("Truth: tokens of streams")
	p.line("The real openai and ollama clients; half of the streams have chunks that end within a token or hold several. Errors: absolute, in ms.\n")
	p.table("run", "seen / sent", "server's own counts", "a chunk for each token", "first token by the client's clock p50", "p90", "its arrival by the server's clock p50", "p90", "forwarding, mean", "its error p50", "p90")
	for _, t := range r.Timings {
		if f := t.Streams; f != nil {
			p.row(t.Name, fmt.Sprintf("%d / %d", f.Seen, f.Sent), fmt.Sprint(f.Counts), fmt.Sprint(f.Chunks), ms(f.First.Median), ms(f.First.P90),
				orDash(f.Arrival), ms9(f.Arrival), known(f), orDash(f.Forward), ms9(f.Forward))
		}
	}
}

func known(f *StreamFindings) string {
	if f.Forward == (Spread{}) {
		return "–"
	}
	return ms(f.Known)
}

// orDash is the median in ms, – where nothing was compared.
func orDash(s Spread) string {
	if s == (Spread{}) {
		return "–"
	}
	return ms(s.Median)
}

func ms9(s Spread) string {
	if s == (Spread{}) {
		return "–"
	}
	return ms(s.P90)
}
