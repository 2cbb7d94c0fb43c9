package request

import "github.com/ragscope/ragscope/internal/kernel/event"

// bindByResponse learns whose context answers, where its making was not seen. The request has it
// only until it is answered: then it goes on to the connection's next request, or, where its
// birth was not seen and its address may be another context's by then, is nobody's.
func (t *Tracker) bindByResponse(l *live, e *event.Event) {
	n := t.context(e)
	if n == nil || n.owner() != nil {
		return
	}
	if l.bound {
		return // the loop sends for it
	}
	births, top := t.step.enters(), n.oldest()
	l.own(n)
	l.lent = n
	t.labels.claim(l)
	n.answersFor(l.conn, births)
	if top != n && top.born == 0 && top.owner() == nil {
		top.answersFor(l.conn, births)
	}
}

// answersFor notes that n, or what descends from it, has answered on a connection. Twice is no accident where every
// birth is seen: it serves this connection, unless it is one of the event loop's own that answers for all.
func (n *node) answersFor(c *inbound, births bool) {
	if n.shared = n.shared || n.serves != nil && n.serves != c; !n.shared && n.serves == c && births {
		n.conn = c
	}
	n.serves = c
}

// workedFor takes the work of an executor that answers for l's: another thread had read the request, behind others.
func (l *live) workedFor(th *thread) {
	if n := th.got; n != nil && n == th.current && n.owner() == nil && !l.bound {
		l.own(n)
		l.lent = n
		l.runsOn(th)
	}
}

// servesNext has a thread that serves its connection without contexts go on with the request behind l.
func (t *Tracker) servesNext(th *thread, l *live, at int64) {
	if o := l.conn.open; th.serving == l && o != nil {
		th.serving = o
		t.lend(th, o, at)
	}
}
