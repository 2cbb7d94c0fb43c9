package request

import "slices"

// A draft is a request as yet without a head. Of an HTTP/2 connection that has several streams under way, nothing
// tells for which of them the server has just made a context; it does when the context answers. Until then all that
// the context does is noted as a request's would be, and becomes that of the stream whose response it sends.
//
// A draft that never answers was none: the server makes other contexts beside those of the requests.
type draft struct {
	*live
	root *node
	held []Connection // what it waited for, told when it is known for whom

	began, slept int64 // its first step on the event loop, and when that had last gone to sleep; 0: it has made none
}

const maxDraftWaits = 1 << 10 // waits of one draft

// drafts makes n, a context that the connection's own has made, the beginning of a draft.
func (t *Tracker) drafts(c *inbound, n *node) {
	if len(c.h2.drafts) == maxStreams {
		t.tear(c.h2.drafts[0])
		c.h2.drafts = c.h2.drafts[1:]
	}
	d := &draft{root: n, live: &live{conn: c}}
	d.draft = d
	d.PID, d.Followed = c.pid, t.step == Followed
	d.own(n)
	c.h2.drafts = append(c.h2.drafts, d)
}

// answers makes the draft of the context that sends a stream's response the stream's request.
func (t *Tracker) answers(n *node, l *live) *live {
	d := n.owner().drafted()
	if d == nil || d.conn != l.conn {
		return l
	}
	s := l.conn.h2
	s.drafts = slices.DeleteFunc(s.drafts, func(o *draft) bool { return o == d })
	d.fill(l)
	s.streams[l.stream] = d.live
	for i := range d.held {
		d.held[i].Endpoint = d.Endpoint
		t.sink.Connection(d.held[i])
	}
	d.draft = nil
	return d.live
}

func (l *live) drafted() *draft {
	if l == nil {
		return nil
	}
	return l.draft
}

// fill gives the draft what is known of the stream that it is the request of.
func (d *draft) fill(l *live) {
	was := d.Request
	d.Request, d.stream, d.fedIn = l.Request, l.stream, l.fedIn
	d.Calls, d.TimedOut, d.Missing = slices.Concat(l.Calls, was.Calls), slices.Concat(l.TimedOut, was.TimedOut), slices.Concat(l.Missing, was.Missing)
	d.Followed = d.Followed && was.Followed
	for _, k := range d.Calls {
		k.Endpoint = d.Endpoint
	}
	d.parts = slices.Concat(l.parts, d.parts)
	if d.slept < d.Read {
		d.add(loopWait, d.Read, d.began, "", nil)
	}
	for _, x := range l.awaiting {
		x.live = d.live
	}
	d.awaiting = slices.Concat(l.awaiting, d.awaiting)
	d.reader = l.reader
	d.reader.live = d.live
	for _, th := range l.on {
		d.runsOn(th)
	}
	l.answered, l.parts, l.Calls, l.awaiting, l.on = true, nil, nil, nil, nil
}

// tear ends a draft that is no request's: its context is one of the connection's again, its calls are nobody's.
func (t *Tracker) tear(d *draft) {
	if d.root.live == d.live {
		d.root.live, d.root.conn = nil, d.conn
	}
	d.answered = true
	for _, x := range d.awaiting {
		x.live = nil
	}
	for _, k := range d.Calls {
		if k.Finished {
			t.orphans++
			t.sink.Call(k)
		}
	}
	for _, k := range d.held {
		t.sink.Connection(k)
	}
	d.parts, d.awaiting, d.on, d.Calls, d.held = nil, nil, nil, nil, nil
}

// noDrafts is called when no stream is under way: what has not answered will not.
func (t *Tracker) noDrafts(s *session) {
	for _, d := range s.drafts {
		t.tear(d)
	}
	s.drafts = nil
}
