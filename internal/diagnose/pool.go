package diagnose

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ragscope/ragscope/internal/recording"
)

// explainPool draws on the pools to the peer: who waited how long, whether the limit was
// reached, who held the connections meanwhile, and whether the peer itself was fast.
func explainPool(w *wait, f facts) (where string, evidence []string, recommendation string) {
	where = place(w.peer, f.rec) + ", connection pool"
	p := worstPool(f.rec, w.peer)
	_, calls := callsTo(f.rec, w.peer)
	if p == nil {
		return where, []string{"The pool itself was not measured; the waits come from the requests alone."},
			fmt.Sprintf("Find the pool of %s in the target's configuration and raise its limit step by step.", system(w.peer))
	}
	unit := cmp.Or(p.Unit, "connections")
	if p.Limit > 0 {
		evidence = append(evidence, fmt.Sprintf("The limit was reached: %d of %d %s in use while up to %s waited.",
			p.InUseMax, p.Limit, unit, plural(int64(p.WaitersMax), "request")))
	} else {
		evidence = append(evidence, fmt.Sprintf("At most %d of %d open %s were in use, up to %s waited.",
			p.InUseMax, p.OpenMax, unit, plural(int64(p.WaitersMax), "request")))
	}
	evidence = append(evidence, waitsOf(p)...)
	held := 0.0
	for _, h := range p.Holders {
		held += h.Seconds
	}
	if meanwhile := heldMeanwhile(p); meanwhile != "" {
		evidence = append(evidence, meanwhile)
	}
	if held > 0 {
		top := slices.MaxFunc(p.Holders, func(a, b recording.Holder) int { return cmp.Compare(a.Seconds, b.Seconds) })
		evidence = append(evidence, fmt.Sprintf("%s held them for %s of the %s that they were held.", top.Endpoint, recording.Share(top.Seconds/held), recording.Seconds(held)))
	}
	if calls.latency.Count > 0 {
		evidence = append(evidence, fmt.Sprintf("%s itself answered in p50 %s, p95 %s (%s).", system(w.peer),
			recording.Seconds(calls.latency.Quantile(.5)), recording.Seconds(calls.latency.Quantile(.95)), plural(calls.latency.Count, "call")))
	}
	return where, evidence, poolAdvice(p, unit, held, calls)
}

// worstPool returns the pool to the peer whose waits add up to most; nil when there is none.
func worstPool(rec *recording.Recording, peer string) (worst *recording.Pool) {
	most := -1.0
	for i := range rec.Pools {
		p := &rec.Pools[i]
		if system(p.Peer) != system(peer) {
			continue
		}
		sum := 0.0
		for _, w := range p.Waits {
			sum += w.Sum
		}
		if sum > most {
			worst, most = p, sum
		}
	}
	return worst
}

// heldMeanwhile says whose calls had the connections while others waited.
func heldMeanwhile(p *recording.Pool) string {
	total, most := 0.0, 0.0
	var who, what string
	for _, h := range p.Holders {
		total += h.DelayedSeconds
		for _, k := range h.Operations {
			if k.DelayedSeconds > most {
				most, who, what = k.DelayedSeconds, h.Endpoint, k.Operation
			}
		}
	}
	if total == 0 || most == 0 {
		return ""
	}
	return fmt.Sprintf("While others waited, %s had them for %s of the time, by %s.", cmp.Or(who, "work of no request"), recording.Share(most/total), what)
}

func waitsOf(p *recording.Pool) []string {
	var all recording.PoolWait
	for _, w := range p.Waits {
		all.Add(&w)
	}
	if all.Waited == 0 || all.Acquisitions == 0 {
		return nil
	}
	out := []string{fmt.Sprintf("%s of %s acquisitions waited (%s): p50 %s, p95 %s, longest %s.", recording.Number(all.Waited), recording.Number(all.Acquisitions),
		recording.Share(float64(all.Waited)/float64(all.Acquisitions)), recording.Seconds(all.Quantile(.5)), recording.Seconds(all.Quantile(.95)), recording.Seconds(all.Max))}
	if words := all.UnsureWords(); words != "" {
		out = append(out, words)
	}
	if p.Timeouts > 0 {
		out = append(out, fmt.Sprintf("%s likely gave up waiting.", plural(p.Timeouts, "acquisition")))
	}
	for _, l := range p.Leaks {
		how := "lies idle while others wait"
		if l.Unread {
			how = "keeps an answer that nobody reads on"
		}
		out = append(out, fmt.Sprintf("%s likely never gave back a connection after %s: it %s.", l.Endpoint, l.Operation, how))
	}
	return out
}

// poolAdvice tells a pool that is too small from connections that are held too long and from
// a peer that is slow.
func poolAdvice(p *recording.Pool, unit string, held float64, calls called) string {
	wanted := p.InUseMax + p.WaitersMax
	if unit == "streams" {
		return fmt.Sprintf("The server allows %d concurrent streams on a connection; raise its limit or spread the calls over several channels (up to %d were wanted at once).",
			max(p.Limit, p.InUseMax), wanted)
	}
	if n := len(p.Leaks); n > 0 {
		return fmt.Sprintf("Give back the connections that %s took (%d of %d never came back), by a context manager or a finally; a larger pool only hides it.",
			p.Leaks[0].Endpoint, n, max(p.Limit, p.OpenMax))
	}
	size := fmt.Sprintf("Raise the limit of the %s pool above %d; up to %d connections were wanted at once", system(p.Peer), max(p.Limit, p.InUseMax), wanted)
	busy := calls.latency.Sum
	switch {
	case held > 0 && busy > 0 && held >= 2*busy:
		return fmt.Sprintf("%s. First see why connections are held for %s when the calls on them took %s: release them between calls, or pipeline.",
			size, recording.Seconds(held), recording.Seconds(busy))
	case calls.latency.Quantile(.5) >= .02:
		return fmt.Sprintf("%s. Most of the holding is %s answering (p50 %s): make these calls shorter too, or a larger pool only moves the queue into %s.",
			size, system(p.Peer), recording.Seconds(calls.latency.Quantile(.5)), system(p.Peer))
	default:
		return size + " and the server behind it answered fast, so it can take them."
	}
}
