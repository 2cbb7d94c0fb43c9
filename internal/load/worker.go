package load

import (
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/ragscope/ragscope/internal/scenario"
)

// worker sends one request after the other: a user of the closed model, or a slot of the open
// one. Not shared between goroutines.
type worker struct {
	run     *run
	rand    *rand.Rand
	box     *mailbox
	number  int
	users   []*user // by class; nil: has not been one of it yet
	sent    int64
	name    string // of its x-request-ids
	request Request
	text    []byte // holds the texts of request
	body    []byte
	sample  Sample
	timer   *time.Timer
}

// worker returns a new one with the given number, from 1. The caller must close it.
func (r *run) worker(number int) *worker {
	w := &worker{run: r, number: number, box: &mailbox{}, name: r.cfg.RunID + "-" + strconv.Itoa(number) + "-"}
	w.rand = rand.New(rand.NewPCG(r.cfg.Seed, uint64(number)))
	w.users = make([]*user, len(r.scenario.Classes))
	r.mu.Lock()
	r.boxes = append(r.boxes, w.box)
	r.mu.Unlock()
	return w
}

// close ends a worker that sends nothing any more.
func (w *worker) close() {
	for _, u := range w.users {
		if u != nil {
			u.session.Close()
		}
	}
	w.box.close()
}

// send sends the request of a step, keeps its sample, and returns when it ended.
func (w *worker) send(u *user, step *scenario.Step, intended time.Duration) (end time.Duration) {
	r := w.run
	request := w.render(u, step.Task)
	r.inFlight.Add(1)
	a := u.session.Send(request)
	r.inFlight.Add(-1)
	end = r.offset(a.End)
	if a.Aborted {
		u.env.Forget(step.Task)
		w.box.abort()
		return end
	}
	u.look(step.Task, &a)
	w.sample = Sample{
		Task: step.Entry, Intended: intended, Sent: r.offset(a.Sent), Connect: a.Connect, End: end,
		FirstByte: r.offset(a.FirstByte), FirstEvent: r.offset(a.FirstEvent), FirstToken: r.offset(a.FirstToken),
		Gaps: a.Gaps, Tokens: a.Tokens, Status: a.Status, Bytes: a.Bytes, Redirects: a.Redirects, Resent: a.Resent, Failure: a.Failure,
	}
	if r.cfg.Identify {
		w.sample.Identity = request.identity(a.Sent)
	}
	w.box.put(&w.sample)
	return end
}

func (r *run) offset(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return t.Sub(r.start)
}

// render fills the worker's request, which the session only borrows.
func (w *worker) render(u *user, t *scenario.Task) *Request {
	w.sent++
	q := &w.request
	*q = Request{Method: t.Method, Headers: q.Headers[:0], Stream: t.Stream, Check: t.Check, Keep: t.Keep, Timeout: w.run.timeout}
	w.text = t.Path.Append(w.text[:0], &u.env)
	q.Target = w.text
	id := len(w.text)
	w.text = strconv.AppendInt(append(w.text, w.name...), w.sent, 10)
	q.ID = w.text[id:]
	if w.run.cfg.Traceparent {
		id := len(w.text)
		w.text = appendTraceparent(w.text)
		q.Traceparent = w.text[id:]
	}
	for _, h := range t.Headers {
		from := len(w.text)
		w.text = h.Value.Append(w.text, &u.env) // where this moves the text, what was cut from it stays as it is
		q.Headers = append(q.Headers, RenderedHeader{h.Name, w.text[from:]})
	}
	if t.Body != nil {
		w.body = t.Body.Append(w.body[:0], &u.env)
		q.Body = w.body
	}
	return q
}
