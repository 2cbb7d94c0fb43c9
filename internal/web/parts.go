package web

import (
	"sort"
	"strconv"

	"github.com/ragscope/ragscope/internal/recording"
)

func pools(r *recording.Recording) []pool {
	var out []pool
	for _, p := range r.Pools {
		v := pool{Peer: p.Peer, Class: peerClass(p.Peer), Address: p.Address, Unit: p.Unit, InUse: strconv.Itoa(p.InUseMax),
			Open: strconv.Itoa(p.OpenMax), Basis: p.LimitBasis, Waiters: strconv.Itoa(p.WaitersMax)}
		if v.Unit == "" {
			v.Unit = "connections"
		}
		whole := p.OpenMax
		if p.Unit == "streams" { // many on one connection
			whole = p.InUseMax
		}
		if p.Limit > 0 {
			whole, v.Limit = p.Limit, strconv.Itoa(p.Limit)
		}
		if whole > 0 {
			v.Fill = min(float64(p.InUseMax)/float64(whole)*100, 100)
		}
		v.Full = p.Limit > 0 && p.InUseMax >= p.Limit && p.WaitersMax > 0 // the limit may be known from before
		var used []float64
		for _, t := range p.Timeline {
			used = append(used, float64(t.InUse))
		}
		v.Spark = sparkline(used, float64(p.Limit))
		waits := append([]recording.PoolWait(nil), p.Waits...)
		sort.SliceStable(waits, func(i, j int) bool { return waits[i].Sum > waits[j].Sum })
		for _, w := range waits {
			if w.Waited > 0 && len(v.Waits) < 5 {
				v.Waits = append(v.Waits, wait{w.Endpoint, percent(ratio(w.Waited, w.Acquisitions)), seconds(w.Quantile(.5)), seconds(w.Quantile(.95))})
			}
		}
		out = append(out, v)
	}
	return out
}

func models(r *recording.Recording) []llm {
	var out []llm
	for _, e := range r.Endpoints {
		l := e.LLM
		if l == nil {
			continue
		}
		v := llm{Endpoint: e.Endpoint, Streams: count(l.Streams), First50: seconds(l.TimeToFirstToken.Quantile(.5)),
			First95: seconds(l.TimeToFirstToken.Quantile(.95)), Gap50: seconds(l.TimePerToken.Quantile(.5)), Gap95: seconds(l.TimePerToken.Quantile(.95)),
			Forward50: seconds(l.ForwardDelay.Quantile(.5)), Forward95: seconds(l.ForwardDelay.Quantile(.95)),
			Output: rate(float64(l.OutputTokens) / max(r.Window.Seconds, 1e-9)), From: l.TokensFrom}
		for i, m := range l.Models {
			if i > 0 {
				v.Models += ", "
			}
			v.Models += m
		}
		out = append(out, v)
	}
	return out
}

// shown are the figures of each backend that the page has room for, with how to write them.
var shown = map[string][]struct {
	key, label string
	write      func(float64) string
}{
	"redis": {{"used_memory", "memory", size}, {"maxmemory", "limit", func(v float64) string {
		if v == 0 {
			return "none"
		}
		return size(v)
	}}, {"connected_clients", "clients", whole}, {"evicted_keys", "evicted", whole}, {"instantaneous_ops_per_sec", "commands/s", whole}},
	"qdrant": {{"collections_total", "collections", whole}, {"collections_vector_total", "vectors", whole}},
	"neo4j":  {{"node_count", "nodes", whole}, {"relationship_count", "relationships", whole}},
	"ollama": {{"loaded_models", "models loaded", whole}, {"model_bytes", "their memory", size}},
}

func whole(v float64) string { return count(int64(v)) }

func backends(list []recording.Backend) []backend {
	var out []backend
	for _, b := range list {
		v := backend{Peer: b.Peer, Class: peerClass(b.Peer), Address: b.Address, Version: b.Version, Error: b.Error}
		if hits, ok := b.Values["keyspace_hits"]; ok {
			if all := hits + b.Values["keyspace_misses"]; all > 0 {
				v.Figures = append(v.Figures, figure{"hit rate", percent(hits / all)})
			}
		}
		for _, s := range shown[b.Peer] {
			if x, ok := b.Values[s.key]; ok {
				v.Figures = append(v.Figures, figure{s.label, s.write(x)})
			}
		}
		out = append(out, v)
	}
	return out
}

func trustOf(r *recording.Recording) trust {
	t := trust{NotMeasured: r.NotMeasured}
	for _, l := range r.Losses {
		if l.Count > 0 {
			t.Losses = append(t.Losses, figure{l.Source + ": " + l.Reason, count(int64(l.Count))})
		}
	}
	attached := 0
	for _, p := range r.Probes {
		if p.Attached {
			attached++
		}
		t.Probes = append(t.Probes, probe{p.Probe, p.Reason, p.Attached})
	}
	t.Attached = strconv.Itoa(attached) + " of " + plural(len(r.Probes), "probe", "probes") + " attached"
	o := r.Overhead
	if o.Basis != "" {
		t.Overhead = append(t.Overhead, figure{"CPU added to the target", percent(o.TargetRatio)}, figure{"for each request", seconds(o.SecondsPerRequest)}, figure{"computed from", o.Basis})
	}
	if o.AgentRSSBytes > 0 {
		t.Overhead = append(t.Overhead, figure{"the agent itself", digits(o.AgentCPURatio) + " cores, " + size(float64(o.AgentRSSBytes))})
	}
	return t
}
