package load

import (
	"context"
	"math"
	"sync"
	"time"
)

// Control steers one run while it goes on. Safe for concurrent use; make it with NewControl.
// To stop a run, end its context.
type Control struct {
	asks chan func(*run, *Summary) // answered by the goroutine that gathers
	over chan struct{}             // closed when the run has ended

	mu     sync.Mutex
	target *target // not yet taken
	wake   context.CancelFunc
}

type target struct{ level, perSecond float64 }

// Resetter is a Sink that can forget what it has added up.
type Resetter interface{ Reset(p Progress) }

// NewControl returns a control for one run.
func NewControl() *Control {
	return &Control{asks: make(chan func(*run, *Summary)), over: make(chan struct{})}
}

// Set moves to another load from now on: so many users (closed model) or requests a second
// (open), by perSecond a second; 0: at once. Stages that were still to come are dropped.
func (c *Control) Set(level, perSecond float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.target = &target{level, perSecond}
	if c.wake != nil {
		c.wake()
	}
}

// Look calls f with what was measured so far, between two batches of samples: the result is
// only lent, and sinks are not called meanwhile. False when the run is over, without the call.
func (c *Control) Look(f func(*Result)) bool {
	return c.ask(func(r *run, sum *Summary) { f(r.result(sum)) })
}

// Reset forgets what was measured so far; the run goes on. False when it is over.
func (c *Control) Reset() bool { return c.ask((*run).reset) }

func (c *Control) ask(f func(*run, *Summary)) bool {
	done := make(chan struct{})
	select {
	case c.asks <- func(r *run, sum *Summary) { defer close(done); f(r, sum) }:
		<-done
		return true
	case <-c.over:
		return false
	}
}

// reset starts the statistics anew. Requests that are under way count afterwards, as in Locust.
func (r *run) reset(sum *Summary) {
	*sum = *newSummary(r.scenario)
	sum.Since, r.forgotMissed, r.forgotCrowded = r.since(), r.missed.Load(), r.crowded.Load()
	p := r.progress(sum.Since, false)
	for _, s := range r.cfg.Sinks {
		if s, ok := s.(Resetter); ok {
			s.Reset(p)
		}
	}
}

// helm follows a plan that may change while its holder waits.
type helm struct {
	run   *run
	ctx   context.Context // of the run
	turn  context.Context // ends with the run and with a change
	alarm *alarm
	plan  Plan
}

func (r *run) newHelm(ctx context.Context) (*helm, error) {
	h := &helm{run: r, ctx: ctx, turn: ctx, plan: planOf(r.scenario)}
	h.take(0)
	var err error
	h.alarm, err = newAlarm()
	return h, err
}

// take makes the plan what Control wants from the instant at on.
func (h *helm) take(at time.Duration) {
	c := h.run.cfg.Control
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.target; t != nil {
		h.plan = h.plan.since(at).To(at, t.level, t.perSecond)
		c.target = nil
	}
	h.turn, c.wake = context.WithCancel(h.ctx)
}

// until waits for an instant. changed says that the plan is another one now and the instant,
// which has not come, with it; err that the run ends, or what is wrong with the timer.
func (h *helm) until(instant time.Duration) (changed bool, err error) {
	if instant == math.MaxInt64 {
		<-h.turn.Done()
		err = h.turn.Err()
	} else {
		err = h.alarm.wait(h.turn, Wait(instant, h.run.since()))
	}
	if err == nil || h.ctx.Err() != nil || h.turn.Err() == nil {
		return false, err
	}
	h.alarm.close() // it may still be told to wake up
	if h.alarm, err = newAlarm(); err != nil {
		return false, err
	}
	h.take(min(instant, h.run.since()))
	return true, nil
}

// close gives up what the helm holds; the run's context must have ended, or nobody waits.
func (h *helm) close() {
	c := h.run.cfg.Control
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wake != nil {
		c.wake()
	}
	if h.alarm != nil {
		h.alarm.close()
	}
}
