package request

// A gap is a span of time of which events are missing.
type gap struct{ from, to int64 }

// gaps are the newest spans of loss, ascending.
type gaps []gap

const maxGaps = 64

// Lost tells the tracker that events between two times did not reach it (CLOCK_MONOTONIC, ns;
// a full ring buffer, as a rule). Call it before feeding what came after them. Nothing is
// concluded from what may be missing: requests that ran meanwhile are marked and claim no wait
// from then on (who made which context may be among what was lost), and answers that are overdue
// are given up.
func (t *Tracker) Lost(from, to int64) {
	t.contexts.noConnections() // an address may have been born anew meanwhile
	t.releaseAll()
	t.unsettle()
	for _, th := range t.threads {
		th.limiter = nil // what came back meanwhile is not known
	}
	if n := len(t.gaps); n > 0 && from <= t.gaps[n-1].to {
		t.gaps[n-1].to = max(t.gaps[n-1].to, to)
		return
	}
	if len(t.gaps) == maxGaps {
		t.gaps[1].from = t.gaps[0].from // rather too long than forgotten
		t.gaps = append(t.gaps[:0], t.gaps[1:]...)
	}
	t.gaps = append(t.gaps, gap{from, to})
}

// within reports whether something between two times may be missing.
func (g gaps) within(from, to int64) bool {
	for i := len(g) - 1; i >= 0 && g[i].to >= from; i-- {
		if g[i].from <= to {
			return true
		}
	}
	return false
}

const eventsLost = "events were lost while it ran"

// giveUp drops the answers that a connection awaits when they may have come in a gap: else every
// later answer would be taken for that of the call before.
func (t *Tracker) giveUp(c *outbound, at int64) {
	if len(c.pending) == 0 || !t.gaps.within(c.pending[0].from, at) {
		return
	}
	t.loseN("outbound", "answer in a gap of lost events", uint64(len(c.pending)))
	for _, x := range c.pending {
		t.unanswered(x, "answer not seen")
	}
	c.pending = nil
	c.dialect.forget()
	t.giveBack(c, at, nil)
}

// trusted reports whether a context's request may be believed at a time. After a gap its address
// may be another context's whose birth was lost; a request under way is marked then, one that was
// answered is not.
func (t *Tracker) trusted(n *node, at int64) bool {
	l := n.owner()
	return l == nil || !l.answered || !t.gaps.within(max(n.born, l.Last), at)
}

// unanswered ends a call whose answer was not seen.
func (t *Tracker) unanswered(x *exchange, why string) {
	if x.call == nil {
		return
	}
	if l := x.live; l != nil {
		l.miss(eventsLost)
	}
	x.call.Error = why
	t.complete(x)
}
