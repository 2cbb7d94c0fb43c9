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
	run  *run
	env  scenario.Env
	box  *mailbox
	sent int
	name string // of its x-request-ids
	url  []byte // scratch
}

// worker returns a new one with the given number, from 1.
func (r *run) worker(number int) *worker {
	w := &worker{run: r, box: &mailbox{}, name: r.cfg.RunID + "-" + strconv.Itoa(number) + "-"}
	w.env = scenario.Env{Rand: rand.New(rand.NewPCG(r.cfg.Seed, uint64(number))), User: number, Seq: &r.seq}
	r.mu.Lock()
	r.boxes = append(r.boxes, w.box)
	r.mu.Unlock()
	return w
}

// send sends one request of the task and keeps its sample.
func (w *worker) send(task int, intended time.Duration) {
	r := w.run
	request := w.render(&r.scenario.Tasks[task])
	r.inFlight.Add(1)
	a := r.cfg.Sender.Send(r.kill, request)
	r.inFlight.Add(-1)
	if a.Aborted {
		w.box.abort()
		return
	}
	w.box.put(Sample{
		Task: task, Intended: intended, Sent: r.offset(a.Sent), End: r.offset(a.End),
		FirstByte: r.offset(a.FirstByte), FirstEvent: r.offset(a.FirstEvent), FirstToken: r.offset(a.FirstToken),
		Gaps: a.Gaps, Tokens: a.Tokens, Status: a.Status, Bytes: a.Bytes, Redirects: a.Redirects, Failure: a.Failure,
	})
}

func (r *run) offset(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return t.Sub(r.start)
}

func (w *worker) render(t *scenario.Task) *Request {
	w.sent++
	w.url = append(w.url[:0], w.run.base...)
	w.url = t.Path.Append(w.url, &w.env)
	q := &Request{
		Method: t.Method, URL: string(w.url), ID: w.name + strconv.Itoa(w.sent),
		Stream: t.Stream, Check: t.Check, Timeout: w.run.timeout,
	}
	for _, h := range t.Headers {
		q.Headers = append(q.Headers, RenderedHeader{h.Name, string(h.Value.Append(nil, &w.env))})
	}
	if t.Body != nil { // not in a buffer of the worker: a transport may still read it when the answer is there
		q.Body = t.Body.Append(nil, &w.env)
	}
	return q
}
