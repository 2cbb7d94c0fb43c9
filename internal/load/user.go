package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ragscope/ragscope/internal/scenario"
)

// user is a worker as a user of one class: what it knows, and what it does in its turns.
type user struct {
	class   *scenario.Class
	picker  scenario.Picker
	env     scenario.Env
	session Session
	set     bool // class.Set is done
	started bool // class.OnStart has brought its variables
}

// classOf is the class of a user of the closed model.
func (r *run) classOf(number int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.spread.Class(number)
}

// sender is that of a class.
func (r *run) sender(class int) Sender {
	if s := r.senders[class]; s != nil {
		return s
	}
	return r.cfg.Sender
}

// openSenders opens the senders that cfg does not bring. They are closed when the run is over.
func (r *run) openSenders() (err error) {
	if r.cfg.Sender != nil {
		return nil
	}
	if r.cfg.Sender, err = NewSender(r.base, r.cfg.Connections); err != nil {
		return err
	}
	r.opened = append(r.opened, r.cfg.Sender)
	for i, c := range r.scenario.Classes {
		if c.Host == "" {
			continue
		}
		base, err := BaseURL(c.Host)
		if err != nil {
			return err
		}
		if r.senders[i], err = NewSender(base, r.cfg.Connections); err != nil {
			return err
		}
		r.opened = append(r.opened, r.senders[i])
	}
	return nil
}

func (r *run) closeSenders() {
	for _, s := range r.opened {
		s.Close()
	}
}

// as returns the worker as a user of the class with this index.
func (w *worker) as(class int) *user {
	if u := w.users[class]; u != nil {
		return u
	}
	r := w.run
	c := &r.scenario.Classes[class]
	u := &user{class: c, picker: c.Picker(), env: r.scenario.Env(r.shared, w.rand, w.number)}
	u.session = r.sender(class).Session(r.kill)
	w.users[class] = u
	return u
}

// arrive takes the turn of an arrival in the open model.
func (w *worker) arrive(ctx context.Context, j job) {
	t := w.run.turns[j.turn]
	w.turn(ctx, w.as(t.Class), t.Sequence, j.intended)
}

// turn takes one turn of a user, after on_start if that has not brought its variables yet. The
// first request is meant to be sent at the intended instant, every other one as soon as what
// comes before it is done. It returns when the last answer was there.
func (w *worker) turn(ctx context.Context, u *user, sequence int, intended time.Duration) (end time.Duration) {
	if !u.set {
		u.env.Assign(u.class.Set)
		u.set = true
	}
	if !u.started {
		start := &u.class.OnStart
		if len(start.Steps) > 0 {
			if intended = w.play(ctx, u, start, intended); ctx.Err() != nil {
				if w.run.scenario.Rate > 0 { // the arrival is not sent any more
					w.run.missed.Add(1)
				}
				return intended
			}
		}
		u.started = u.env.Brought(start)
	}
	return w.play(ctx, u, &u.class.Turns[sequence], intended)
}

// play sends the steps of a sequence. It returns when the last answer was there, or, after a
// pause, when that is over.
func (w *worker) play(ctx context.Context, u *user, q *scenario.Sequence, intended time.Duration) time.Duration {
	u.env.Begin(q)
	for i := range q.Steps {
		step := &q.Steps[i]
		if !u.env.Ready(step) {
			u.env.Forget(step.Task)
			w.run.skipped.Add(1)
			continue
		}
		u.env.Assign(step.Set)
		end := w.send(u, step, intended)
		pause := step.Think.Draw(w.rand, end-intended)
		if intended = end + pause; pause > 0 {
			w.pause(ctx, Wait(intended, w.run.since()))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return intended
}

// pause waits, or until ctx ends.
func (w *worker) pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	if w.timer == nil {
		w.timer = time.NewTimer(d)
	} else {
		w.timer.Reset(d)
	}
	select {
	case <-w.timer.C:
	case <-ctx.Done():
		w.timer.Stop()
	}
}

// maxAnswer bounds the answers that are kept for checks and variables.
const maxAnswer = 16 << 20

var errTooLong = errors.New("the answer is too long")

// look checks an answer and takes variables from it.
func (u *user) look(t *scenario.Task, a *Answer) {
	if t.Check.More == nil && len(t.Save) == 0 {
		return
	}
	if !a.Failure.Failed() && t.Check.More != nil {
		a.fail(t.Check.More.Complaint(a.Header, a.Body, a.End.Sub(a.Sent)))
	}
	if a.Failure.Failed() {
		u.env.Forget(t)
		return
	}
	a.fail(u.env.Save(t, a.Header, a.Body))
}

func (a *Answer) fail(complaint string) {
	if complaint != "" {
		a.Failure = Failure{Kind: CheckFailed, Text: clip(complaint)}
	}
}

// tooLong is the failure of an answer that cannot be checked.
func tooLong() Failure {
	return Failure{Kind: CheckFailed, Text: fmt.Sprintf("the answer is longer than %d MB and was not checked", maxAnswer>>20)}
}
