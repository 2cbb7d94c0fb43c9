package load

import (
	"context"
	"sync"
	"time"
)

// closed runs the closed model: users who wait for each answer and think before the next
// request. The intended instant of a request is the moment its user's thinking ends; that of
// the first one is the moment the user was meant to start. When users are to become fewer, the
// newest go first; they end their request and do not think any more.
func (r *run) closed(ctx context.Context) error {
	h, err := r.newHelm(ctx)
	if err != nil {
		return err
	}
	defer h.close()
	var users sync.WaitGroup
	defer users.Wait()
	var stops []context.CancelFunc // of the users that run, oldest first
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	var at time.Duration
	for started := 0; ; {
		next, by, resting := h.plan.Change(len(stops), at)
		r.spawning.Store(!resting)
		changed, err := h.until(next)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case changed:
			at = min(next, r.since())
			continue
		}
		at = next
		if n := len(stops); by < 0 {
			stops[n-1]()
			stops = stops[:n-1]
			continue
		}
		started++
		if !r.cfg.Shard.takes(uint64(started - 1)) { // another loader's
			stops = append(stops, func() {})
			continue
		}
		own, stop := context.WithCancel(ctx)
		stops = append(stops, stop)
		number, intended := started, at
		users.Go(func() { r.user(own, number, intended) })
	}
}

func (r *run) user(ctx context.Context, number int, intended time.Duration) {
	r.users.Add(1)
	defer r.users.Add(-1)
	w := r.worker(number)
	defer w.close()
	u := w.as(r.classOf(number))
	for ctx.Err() == nil {
		end := w.turn(ctx, u, u.picker.Pick(w.rand), intended)
		intended = end + u.class.Think.Draw(w.rand, end-intended)
		if intended > end {
			w.pause(ctx, Wait(intended, r.since()))
		}
	}
}
