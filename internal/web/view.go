package web

import (
	"html/template"
	"sort"
	"strconv"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

// view is what the page shows: figures written out, bars measured in percent.
type view struct {
	Service, Address, Runtime, Window string
	All                               bool   // since the agent attached, not the last minute
	Waiting                           string // why there is nothing to show
	Tiles                             []tile
	Legend                            []legend
	Endpoints                         []endpoint
	Pools                             []pool
	LLM                               []llm
	Loop                              loop
	Memory                            memory
	Backends                          []backend
	Trust                             trust
	Profiles                          []profileLinks
	Pushes                            *pushes
	PIDs                              string
}

// tile is one large figure; Tone is good, warn, bad or "".
type tile struct {
	Label, Value, Note, Tone string
	Spark                    template.HTML
}

type legend struct{ Class, Label string }

type endpoint struct {
	Method, Route, Requests, Rate, P50, P95, P99, Errors string
	Incomplete                                           string
	Bad                                                  bool // answered 5xx
	Segments                                             []segment
	Calls                                                []call
}

// segment is a stage's part of an endpoint's bar.
type segment struct {
	Class, Label, Share, Mean, P50, P95, In string
	Width                                   float64 // percent
	Inside                                  bool    // wide enough for its name
}

type call struct{ Peer, Operation, Count, PerRequest, P50, P95, Errors, Waited string }

type pool struct {
	Peer, Class, Address, Unit, InUse, Limit, Basis, Open, Waiters string
	Fill                                                           float64 // percent of the limit, or of what was open
	Full                                                           bool
	Spark                                                          template.HTML
	Waits                                                          []wait
}

type wait struct{ Endpoint, Share, P50, P95 string }

type llm struct{ Endpoint, Streams, Models, First50, First95, Gap50, Gap95, Forward50, Forward95, Output, From string }

// loop is how well the event loops kept up; Late is "" where none was seen.
type loop struct {
	Late, P95, P99, Max, Tone string
	Blocks                    []block
}

type block struct{ Function, Endpoint, Count, Seconds, Longest, Asleep, Queued string }

type memory struct {
	RSS, PSS, VMS, Heap, Threads, FDs, Growth, Verdict, Reason, Tone string
	Limits                                                           []string
	Parts                                                            []figure
	Spark                                                            template.HTML
}

type backend struct {
	Peer, Class, Address, Version, Error string
	Figures                              []figure
}

type figure struct{ Label, Value string }

type trust struct {
	Losses      []figure
	Lost        string
	Probes      []probe
	Attached    string
	NotMeasured []recording.NotMeasured
	Overhead    []figure
}

type probe struct {
	Name, Reason string
	Attached     bool
}

// newView writes a recording out. r may be nil, or hold nothing yet.
func newView(r *recording.Recording, all bool) view {
	v := view{All: all}
	if r == nil {
		return v
	}
	v.Service, v.Address, v.Runtime = r.Target.Service, r.Target.Address, r.Target.Runtime
	v.Window = span(r.Window.Seconds)
	v.PIDs = plural(len(r.Target.PIDs), "process", "processes")
	v.Tiles = tiles(r)
	v.Endpoints, v.Legend = endpoints(r)
	v.Pools = pools(r)
	v.LLM = models(r)
	v.Loop = loopOf(r.EventLoop)
	v.Memory = memoryOf(r.Memory)
	v.Backends = backends(r.Backends)
	v.Trust = trustOf(r)
	return v
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

func tiles(r *recording.Recording) []tile {
	var all, errors, incomplete int64
	var latency recording.Dist
	var total, unexplained float64
	for _, e := range r.Endpoints {
		all += e.Requests
		incomplete += e.Incomplete
		errors += serverErrors(e)
		latency.Merge(e.Latency)
		_, basis := e.Basis()
		total += basis
		for _, s := range e.Stages {
			if s.Stage == request.Unexplained {
				unexplained += s.Sum
			}
		}
	}
	var perSecond, p95 []float64
	for _, t := range r.Timeline {
		perSecond = append(perSecond, float64(t.Requests))
		p95 = append(p95, t.P95)
	}
	out := []tile{
		{Label: "Requests per second", Value: rate(float64(all) / max(r.Window.Seconds, 1e-9)), Note: count(all) + " in all", Spark: sparkline(perSecond, 0)},
		{Label: "Latency p95", Value: seconds(latency.Quantile(.95)), Note: "p50 " + seconds(latency.Quantile(.5)) + " · p99 " + seconds(latency.Quantile(.99)), Spark: sparkline(p95, 0)},
		{Label: "Errors", Value: percent(ratio(errors, all)), Note: count(errors) + " answers with 5xx", Tone: tone(ratio(errors, all), .001, .01)},
		{Label: "Unexplained time", Value: "–", Note: "no request yet"},
	}
	if total > 0 {
		share := unexplained / total
		out[3].Value, out[3].Note, out[3].Tone = percent(share), count(incomplete)+" requests seen only in part", tone(share, .01, .05)
	}
	out = append(out, overheadTile(r.Overhead))
	var lost uint64
	for _, l := range r.Losses {
		lost += l.Count
	}
	loss := tile{Label: "Lost events", Value: count(int64(lost)), Note: "none: every event was understood", Tone: "good"}
	if lost > 0 {
		loss.Note, loss.Tone = "see below where and why", "warn"
	}
	return append(out, loss)
}

func overheadTile(o recording.Overhead) tile {
	t := tile{Label: "Overhead in the target", Value: "–", Note: "not measured yet"}
	if o.Basis != "" {
		t.Value, t.Tone = percent(o.TargetRatio), tone(o.TargetRatio, .02, .05)
		t.Note = seconds(o.SecondsPerRequest) + " a request"
		if o.PrecisionMode != "" {
			t.Note += " · precision " + o.PrecisionMode
			if o.PrecisionShare > 0 && o.PrecisionShare < 1 {
				t.Note += " in " + percent(o.PrecisionShare) + " of the time"
			}
		}
		if rate := o.StackRateText(); rate != "" {
			t.Note += " · CPU stacks at " + rate
		}
	}
	return t
}

// tone judges a figure that should be small.
func tone(v, warn, bad float64) string {
	switch {
	case v >= bad:
		return "bad"
	case v >= warn:
		return "warn"
	}
	return "good"
}

func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func serverErrors(e recording.Endpoint) (n int64) {
	for code, c := range e.Status {
		if strings.HasPrefix(code, "5") {
			n += c
		}
	}
	return n
}

// endpoints are ordered by the time that was spent in them.
func endpoints(r *recording.Recording) ([]endpoint, []legend) {
	list := append([]recording.Endpoint(nil), r.Endpoints...)
	sort.SliceStable(list, func(i, j int) bool { return list[i].Latency.Sum > list[j].Latency.Sum })
	var out []endpoint
	seen := map[legend]bool{}
	for _, e := range list {
		method, route, _ := strings.Cut(e.Endpoint, " ")
		failed := serverErrors(e)
		row := endpoint{Method: method, Route: route, Requests: count(e.Requests),
			Rate: rate(float64(e.Requests) / max(r.Window.Seconds, 1e-9)), P50: seconds(e.Latency.Quantile(.5)),
			P95: seconds(e.Latency.Quantile(.95)), P99: seconds(e.Latency.Quantile(.99)),
			Errors: percent(ratio(failed, e.Requests)), Bad: failed > 0, Segments: segments(e)}
		if e.Incomplete > 0 {
			row.Incomplete = count(e.Incomplete) + " seen in part"
		}
		for _, s := range row.Segments {
			seen[legend{s.Class, s.Label}] = true
		}
		for _, c := range e.Calls {
			row.Calls = append(row.Calls, call{c.Peer, c.Operation, count(c.Count), digits(c.PerRequest),
				seconds(c.Latency.Quantile(.5)), seconds(c.Latency.Quantile(.95)), count(c.Errors), seconds(c.PoolWait.Quantile(.95))})
		}
		out = append(out, row)
	}
	var keys []legend
	for l := range seen {
		keys = append(keys, l)
	}
	sort.Slice(keys, func(i, j int) bool {
		if a, b := order(keys[i].Label), order(keys[j].Label); a != b {
			return a < b
		}
		return keys[i].Label < keys[j].Label
	})
	return out, keys
}

// order is a stage's place in the model.
func order(label string) int {
	stage, _, _ := strings.Cut(label, " ")
	for i, s := range request.Stages {
		if s == stage {
			return i
		}
	}
	return len(request.Stages)
}

func segments(e recording.Endpoint) []segment {
	var total float64
	for _, s := range e.Stages {
		total += s.Sum
	}
	n, _ := e.Basis()
	stages := append([]recording.Stage(nil), e.Stages...)
	label := func(s recording.Stage) string { return strings.TrimSpace(s.Stage + " " + s.Peer) }
	sort.SliceStable(stages, func(i, j int) bool {
		if a, b := order(stages[i].Stage), order(stages[j].Stage); a != b {
			return a < b
		}
		return stages[i].Peer < stages[j].Peer
	})
	var out []segment
	for _, s := range stages {
		if s.Sum <= 0 || total <= 0 {
			continue
		}
		share := s.Sum / total
		out = append(out, segment{Class: class(s.Stage, s.Peer), Label: label(s), Share: percent(share), Width: share * 100,
			Mean: seconds(s.Sum / float64(max(n, 1))), P50: seconds(s.Quantile(.5)), P95: seconds(s.Quantile(.95)),
			In: percent(ratio(s.Requests, n)), Inside: share >= .13})
	}
	return out
}

// class names the colour of a stage (its pattern) and of its peer. Both come from closed sets:
// the style sheet has no others.
func class(stage, peer string) string {
	c := "s-other"
	for _, s := range request.Stages {
		if s == stage {
			c = "s-" + s
		}
	}
	if peer != "" {
		c += " " + peerClass(peer)
	}
	return c
}

func peerClass(peer string) string {
	system, _, _ := strings.Cut(peer, " ")
	switch system {
	case "redis", "qdrant", "neo4j", "ollama", "openai", "http":
		return "p-" + system
	}
	return "p-http"
}
