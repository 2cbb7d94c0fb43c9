package report

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

func escape(s string) string { return html.EscapeString(s) }

// segment is one stage and system of an endpoint's bar.
type segment struct {
	class, label string
	order        int
	seconds      float64 // a request
}

// systems with a shade of their own; others share the last.
var systems = []string{"redis", "qdrant", "neo4j", "ollama", "openai", "http"}

// segmentOf gives a stage its colour and its name: blue for peers' answers, red for pools,
// green to yellow for the CPU, violet for queues and the event loop, grey for the unexplained.
func segmentOf(s recording.Stage) segment {
	g := segment{class: "s-" + s.Stage, label: s.Stage, order: 100 * slices.Index(request.Stages, s.Stage)}
	if s.Peer == "" {
		return g
	}
	system, _, _ := strings.Cut(s.Peer, " ")
	known := slices.Index(systems, system)
	g.label = s.Stage + " " + peerName(s.Peer)
	if known < 0 {
		system, known = "other", len(systems)
	}
	if s.Stage != request.Connect {
		g.class += "-" + system
	}
	g.order += known
	return g
}

// segments are the parts of an endpoint's mean request, in the order of the stages.
func segments(e *recording.Endpoint) (out []segment) {
	for _, s := range e.Stages {
		n, _ := e.Basis()
		if s.Sum <= 0 || n == 0 {
			continue
		}
		g := segmentOf(s)
		g.seconds = s.Sum / float64(n)
		if i := slices.IndexFunc(out, func(o segment) bool { return o.label == g.label }); i >= 0 {
			out[i].seconds += g.seconds
			continue
		}
		out = append(out, g)
	}
	slices.SortStableFunc(out, func(a, b segment) int { return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.label, b.label)) })
	return out
}

const maxBars = 10

// stagePictures are the bars of the endpoints: each to 100 %, and by their length in time.
func stagePictures(endpoints []*recording.Endpoint) []*Picture {
	endpoints = endpoints[:min(maxBars, len(endpoints))]
	longest := 0.0
	var legend []Legend
	var all []segment
	for _, e := range endpoints {
		parts := segments(e)
		total := 0.0
		for _, g := range parts {
			total += g.seconds
		}
		longest = max(longest, total)
		for _, g := range parts {
			if g.seconds >= total/200 && !slices.ContainsFunc(all, func(o segment) bool { return o.label == g.label }) {
				all = append(all, g)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b segment) int { return cmp.Compare(a.order, b.order) })
	for _, g := range all {
		legend = append(legend, Legend{g.class, g.label})
	}
	return []*Picture{
		{Caption: "Where the time goes: share of each stage, by endpoint", Alt: "Share of each stage of an endpoint's time", Half: true, SVG: bars(endpoints, 0), Legend: legend},
		{Caption: "The same in time: mean of a request, by endpoint", Alt: "Mean time of each stage of a request", Half: true, SVG: bars(endpoints, longest)},
	}
}

// bars draws a bar for each endpoint; scale is the seconds of the full width, 0 for 100 %.
func bars(endpoints []*recording.Endpoint, scale float64) string {
	const row, bar, labelled = 52, 24, 20
	var s strings.Builder
	fmt.Fprintf(&s, `<svg class="chart bars" role="img" aria-label="Stages by endpoint" width="100%%" height="%d">`, row*len(endpoints))
	for i, e := range endpoints {
		parts := segments(e)
		total := 0.0
		for _, g := range parts {
			total += g.seconds
		}
		full, right := total, recording.Number(e.Requests)+" requests"
		if e.Followed != nil {
			right = recording.Number(e.Followed.Requests) + " followed of " + right
		}
		if scale > 0 {
			full, right = scale, "mean "+recording.Seconds(total)
		}
		y := i * row
		fmt.Fprintf(&s, `<text class="bar-name" x="0" y="%d">%s</text><text class="bar-value" x="100%%" y="%d" text-anchor="end">%s</text>`, y+14, escape(e.Endpoint), y+14, right)
		x := 0.0
		for _, g := range parts {
			w := 100 * g.seconds / full
			fmt.Fprintf(&s, `<svg x="%.3f%%" y="%d" width="%.3f%%" height="%d"><title>%s: %s a request, %s</title><rect class="seg %s" width="100%%" height="100%%"/>%s</svg>`,
				x, y+labelled, w, bar, escape(g.label), recording.Seconds(g.seconds), escape(recording.Share(g.seconds/total)), g.class, segmentText(g, w, g.seconds/total, scale > 0))
			x += w
		}
	}
	s.WriteString("</svg>")
	return s.String()
}

// segmentText labels a segment that is wide enough for it: on a desk the picture is about
// 500 pixels wide, on a phone 330.
func segmentText(g segment, width, share float64, absolute bool) string {
	figure := recording.Share(share)
	if absolute {
		figure = recording.Seconds(g.seconds)
	}
	need := float64(len(figure))*6.6 + 12
	fits := ""
	switch {
	case width*3.3 >= need:
	case width*5 >= need:
		fits = " wide-only"
	default:
		return ""
	}
	return fmt.Sprintf(`<text class="seg-label %s-text%s" x="50%%" y="16" text-anchor="middle">%s</text>`, g.class, fits, figure)
}
