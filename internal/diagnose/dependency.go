package diagnose

import (
	"fmt"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

// explainAnswer draws on the calls to the peer and on what the peer says about itself.
func explainAnswer(w *wait, f facts) (where string, evidence []string, recommendation string) {
	where = place(w.peer, f.rec)
	ops, all := callsTo(f.rec, w.peer)
	if all.count == 0 {
		return where, []string{"The calls behind this time were not understood; only their duration is known."},
			fmt.Sprintf("Look at %s's own slow log for the run.", system(w.peer))
	}
	for i, o := range ops {
		if i == 2 || o.latency.Sum < all.latency.Sum/20 {
			break
		}
		evidence = append(evidence, fmt.Sprintf("%s: %s, p50 %s, p95 %s, %s in all.", o.operation, plural(o.count, "call"),
			recording.Seconds(o.latency.Quantile(.5)), recording.Seconds(o.latency.Quantile(.95)), recording.Seconds(o.latency.Sum)))
	}
	if all.errors > 0 {
		evidence = append(evidence, fmt.Sprintf("%s of %s calls answered an error.", recording.Number(all.errors), recording.Number(all.count)))
	}
	if text, _ := f.change(system(w.peer)+"'s p95", func(r *recording.Recording) (float64, bool) {
		_, c := callsTo(r, w.peer)
		return c.latency.Quantile(.95), c.latency.Count > 0
	}); text != "" {
		evidence = append(evidence, text)
	}
	if system(w.peer) == "redis" {
		evidence = append(evidence, redisSays(f.rec)...)
	}
	return where, evidence, answerAdvice(w, ops, mostPerRequest(f.rec, w.peer))
}

// mostPerRequest returns the most calls to the peer that one request of an endpoint made, on
// average.
func mostPerRequest(rec *recording.Recording, peer string) (most float64) {
	for i := range rec.Endpoints {
		e := &rec.Endpoints[i]
		n := int64(0)
		for _, c := range e.Calls {
			if system(c.Peer) == system(peer) {
				n += c.Count
			}
		}
		if e.Requests > 0 {
			most = max(most, float64(n)/float64(e.Requests))
		}
	}
	return most
}

func answerAdvice(w *wait, ops []called, perRequest float64) string {
	slowest := ops[0].operation
	advice := map[string]string{
		"redis":  "Look for slow commands (SLOWLOG GET) and large values behind %s.",
		"qdrant": "Make %s cheaper in Qdrant: check that the collection is indexed (HNSW, not a full scan), lower the search width and the payload returned.",
		"neo4j":  "PROFILE the queries behind %s in Neo4j and index what they scan.",
	}[system(w.peer)]
	if advice == "" {
		advice = "Make %s faster at the peer, cache its answers, or start it earlier and in parallel with other calls."
	}
	text := fmt.Sprintf(advice, slowest)
	if perRequest >= 5 {
		text += fmt.Sprintf(" A request makes up to %.0f calls one after the other or side by side: batch or pipeline them.", perRequest)
	}
	return text
}

// redisSays draws on Redis's own figures over the window: evictions and hit rate.
func redisSays(rec *recording.Recording) (out []string) {
	for _, b := range rec.Backends {
		if system(b.Peer) != "redis" {
			continue
		}
		if v, ok := figure(b.Rates, "evicted_keys"); ok && v > 0 {
			out = append(out, fmt.Sprintf("Redis evicted %s: its memory limit is reached.", strings.Replace(recording.Rate(v), " /s", " keys a second", 1)))
		}
		hits, okH := figure(b.Rates, "keyspace_hits")
		misses, okM := figure(b.Rates, "keyspace_misses")
		if okH && okM && hits+misses > 0 {
			out = append(out, fmt.Sprintf("Redis's own hit rate over the window was %s.", recording.Share(hits/(hits+misses))))
		}
	}
	return out
}

// figure finds a backend's figure by its name in INFO or in the usual exporter's form
// (redis_keyspace_hits_total).
func figure(figures map[string]float64, name string) (float64, bool) {
	for _, k := range []string{name, name + "_total", "redis_" + name, "redis_" + name + "_total"} {
		if v, ok := figures[k]; ok {
			return v, true
		}
	}
	return 0, false
}

// explainConnect: requests waited for new connections, which a pool would have kept.
func explainConnect(w *wait, f facts) (where string, evidence []string, recommendation string) {
	creates := int64(0)
	var took recording.Dist
	for _, p := range f.rec.Pools {
		if system(p.Peer) == system(w.peer) {
			creates += p.Creates
			took.Merge(p.Create)
		}
	}
	if creates > 0 {
		evidence = append(evidence, fmt.Sprintf("%s made during the window.", plural(creates, "connection")))
	}
	if took.Count > 0 {
		evidence = append(evidence, fmt.Sprintf("Making one took p50 %s, p95 %s.", recording.Seconds(took.Quantile(.5)), recording.Seconds(took.Quantile(.95))))
	}
	return place(w.peer, f.rec) + ", new connections", evidence,
		fmt.Sprintf("Keep connections to %s open between requests: one client for the life of the process, a longer keep-alive, a pool that does not shrink when idle.", system(w.peer))
}
