package truth

import (
	"fmt"
	"math"
	"strings"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/recording"
)

// profiles writes the runs that hold CPU profiles to the truth.
func (r *Results) profiles(p *page) {
	if len(r.Profiles) == 0 {
		return
	}
	p.head("Truth: CPU profiles by endpoint")
	p.line("Three endpoints take CPU as 60 : 30 : 10, in each of five places (a task of the event loop, three tasks at once, to_thread,")
	p.line("run_in_executor, a plain function) and by four kinds of work (Python, numpy, json, and hashes that release the GIL). Known: by the")
	p.line("CPU clocks of the threads that did it. Off: the largest difference of a share, in points; by chance alone it is above 2 × the")
	p.line("deviation, √(p(1−p)/n), in a case of 20. Seen: the CPU of their samples over the known.\n")
	p.table("run", "precision", "cells", "samples", "known shares", "seen", "off", "off in the worst cell", "its deviation, most", "worst cell", "seen / known CPU", "failed / sent", "of no request, of all samples", "losses")
	for _, f := range r.Profiles {
		for _, precision := range []kernel.Precision{kernel.Full, kernel.Linked} {
			all := f.all(precision)
			if all.Samples == 0 {
				continue
			}
			worst, cells := f.worst(precision)
			_, words := f.outside()
			p.row(f.String(), precision.String(), fmt.Sprint(cells), fmt.Sprint(all.Samples), shares(all.Known), shares(all.Seen),
				points(all.off()), points(worst.off()), points(likely(0.6, worst.Samples)/4.4), fmt.Sprintf("%s %s, %d samples", worst.Mode, worst.Kind, worst.Samples),
				fmt.Sprintf("%.2f", ratio(sum(all.Seen), sum(all.Known))), fmt.Sprintf("%d / %d", f.Failed, f.Sent), words, losses(f))
		}
	}
}

// worst is the cell that is off the most, of so many.
func (f *Profiles) worst(p kernel.Precision) (worst ProfileCell, cells int) {
	for _, c := range f.Cells {
		if c.Precision != p {
			continue
		}
		if cells++; cells == 1 || c.off() > worst.off() {
			worst = c
		}
	}
	return worst, cells
}

func points(share float64) string { return fmt.Sprintf("%.1f", 100*share) }

func shares(seconds []float64) string {
	var out []string
	for _, s := range seconds {
		out = append(out, points(ratio(s, sum(seconds))))
	}
	return strings.Join(out, " : ")
}

func losses(f *Profiles) string { return lossesOf(f.Lost) }

func lossesOf(lost []recording.Loss) string {
	var out []string
	for _, l := range lost {
		out = append(out, fmt.Sprintf("%s: %s %d", l.Source, l.Reason, l.Count))
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

// likely is how far a share p of n samples is from the truth by chance, at most, but for one case in 100,000 (4.4 standard
// deviations of a binomial distribution).
func likely(p float64, n int) float64 { return 4.4 * math.Sqrt(p*(1-p)/float64(n)) }
