package truth

import (
	"fmt"

	"github.com/ragscope/ragscope/internal/recording"
)

// allocations writes the runs that hold allocations on demand to the truth.
func (r *Results) allocations(p *page) {
	if len(r.Allocations) == 0 {
		return
	}
	p.head("Truth: allocations by endpoint, on demand")
	p.line("An ASGI application whose endpoints know what they ask allocators for: arrays of 2 MiB, blocks of 4,000 bytes, small objects. Calls are")
	p.line("watched in windows that cost a tenth of the application's CPU. By request: what the agent says that one asks for, less what one of %s does, which is", nothing)
	p.line("the server's. Share: of what all endpoints asked for in the run, by the agent with what the server takes; in windows: the bytes in the windows alone, which hold by chance more of one endpoint than of")
	p.line("another. In brackets the agent's intervals of 95 %%; bold ones do not hold the truth, to 1 %%. Seen: bytes in the windows over those known of that time.\n")
	p.table("run", "endpoint", "requests in windows", "by request, kB", "said, kB", "off", "share", "said", "in windows", "seen")
	for _, f := range r.Allocations {
		name := f.String()
		for i, row := range f.Rows {
			known, _, windows := f.share(i)
			off, held := f.offByRequest(i)
			said, far := "–", "–"
			if e := row.PerRequest; e != nil {
				far = fmt.Sprintf("%+.1f %%", 100*off)
				if said = interval(e, f.Server, 1e3); !held {
					said = "**" + said + "**"
				}
			}
			share := "–"
			if e := row.Share; e != nil {
				share = interval(e, 0, .01)
			}
			p.row(name, row.Path, fmt.Sprintf("%.1f", row.Requests), fmt.Sprintf("%.1f", ratio(row.Known, float64(row.Done))/1e3), said, far,
				points(known), share, points(windows), fmt.Sprintf("%+.1f %%", 100*f.off(i)))
			name = ""
		}
	}
	p.line("")
	p.table("run", "sent", "watched", "windows", "calls", "a call, µs", "cost", "all the time it would be", "losses")
	for _, f := range r.Allocations {
		p.row(f.String(), fmt.Sprint(f.Sent), fmt.Sprintf("%.1f of %.0f s", f.Said.WatchedSeconds, f.Said.Seconds), fmt.Sprint(f.Windows), fmt.Sprint(f.Said.Calls),
			fmt.Sprintf("%.2f", f.Said.CallPrice*1e6), points(f.Said.TargetRatio)+" %", fmt.Sprintf("%.0f %%", 100*f.Said.PredictedRatio), lossesOf(f.Lost))
	}
}

// interval writes an estimate in a unit, less a constant.
func interval(e *recording.Estimate, less, unit float64) string {
	return fmt.Sprintf("%.1f [%.1f, %.1f]", (e.Estimate-less)/unit, (e.Low-less)/unit, (e.High-less)/unit)
}
