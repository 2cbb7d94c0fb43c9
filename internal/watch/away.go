package watch

import (
	"fmt"

	"github.com/ragscope/ragscope/internal/recording"
)

// away is when the target was not there: from when it was last seen alive until all of its
// processes are attached again. What it does in between is not seen.
type away struct {
	spans []awaySpan // ascending, bounded by maxAway
}

type awaySpan struct{ from, to int64 } // CLOCK_MONOTONIC, ns; to is 0 while it lasts

// maxAway bounds what is remembered of a target that restarts for ever; the oldest go first.
const maxAway = 64

// left notes that the target was last seen at a time.
func (a *away) left(at int64) {
	if n := len(a.spans); n > 0 && a.spans[n-1].to == 0 {
		return
	}
	if len(a.spans) == maxAway {
		a.spans = append(a.spans[:0], a.spans[1:]...)
	}
	a.spans = append(a.spans, awaySpan{from: at})
}

// back notes that it is attached again, if it was away.
func (a *away) back(at int64) {
	if n := len(a.spans); n > 0 && a.spans[n-1].to == 0 {
		a.spans[n-1].to = at
	}
}

// notMeasured says which parts of a stretch are missing.
func (a *away) notMeasured(begin, end int64) (out []recording.NotMeasured) {
	second := func(at int64) float64 { return float64(max(0, at-begin)) / 1e9 }
	for _, s := range a.spans {
		switch {
		case s.from >= end, s.to != 0 && s.to <= begin:
		case s.to == 0 || s.to > end:
			out = append(out, recording.NotMeasured{
				What: fmt.Sprintf("requests from second %.0f on", second(s.from)), Why: "the target ended before the recording did, and did not come back",
			})
		default:
			out = append(out, recording.NotMeasured{
				What: fmt.Sprintf("requests between seconds %.0f and %.0f", second(s.from), second(s.to)), Why: "the target had ended; it was attached again when it came back",
			})
		}
	}
	return out
}
