package load

import (
	"context"
	"sync"
	"time"
)

// closed runs the closed model: users who wait for each answer and think before the next
// request. The intended instant of a request is the moment its user's thinking ends; that of
// the first one is the moment the user was meant to start.
func (r *run) closed(ctx context.Context) error {
	alarm, err := newAlarm()
	if err != nil {
		return err
	}
	defer alarm.close()
	var users sync.WaitGroup
	defer users.Wait()
	pace := Constant{max(r.scenario.SpawnRate, 1e-9)}
	var start time.Duration
	for i := range max(r.scenario.Users, 1) {
		start = pace.Next(start, uint64(i))
		if err := alarm.wait(ctx, Wait(start, r.since())); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		intended := start
		users.Go(func() { r.user(ctx, i+1, intended) })
	}
	return nil
}

func (r *run) user(ctx context.Context, number int, intended time.Duration) {
	r.users.Add(1)
	defer r.users.Add(-1)
	w := r.worker(number)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		w.send(r.picker.Pick(w.env.Rand), intended)
		think := r.scenario.Think.Draw(w.env.Rand)
		intended = r.since() + think
		if think == 0 {
			continue
		}
		timer.Reset(think)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}
