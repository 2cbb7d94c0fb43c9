package load

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// job is one request that is due.
type job struct {
	task     int
	intended time.Duration
}

// open runs the open model: requests leave at their instants, whatever the answers do. When
// the server stalls, requests pile up and the response clock shows it; a send that finds
// MaxInFlight requests under way is missed, counted, and makes the run invalid.
func (r *run) open(ctx context.Context) error {
	alarm, err := newAlarm()
	if err != nil {
		return err
	}
	defer alarm.close()
	slots := &slots{run: r, jobs: make(chan job), limit: int64(r.scenario.MaxInFlight)}
	if slots.limit == 0 {
		slots.limit = DefaultMaxInFlight
	}
	defer slots.wait()

	pace, choose := r.pacer(), rand.New(rand.NewPCG(r.cfg.Seed, 0))
	var intended time.Duration
	for hit := uint64(0); ; hit++ {
		intended = pace.Next(intended, hit)
		if end := r.scenario.RunTime; end > 0 && intended >= end {
			return nil
		}
		if err := alarm.wait(ctx, Wait(intended, r.since())); err != nil {
			if ctx.Err() == nil {
				return err
			}
			r.countMissed(pace, intended, hit)
			return nil
		}
		if !slots.give(job{r.picker.Pick(choose), intended}) {
			r.missed.Add(1)
			r.crowded.Add(1)
		}
	}
}

func (r *run) pacer() Pacer {
	if r.scenario.Poisson {
		return Poisson{r.scenario.Rate, r.cfg.Seed}
	}
	return Constant{r.scenario.Rate}
}

// countMissed counts the hits that were due before now and not sent, hit being the first.
func (r *run) countMissed(pace Pacer, intended time.Duration, hit uint64) {
	now := r.since()
	if end := r.scenario.RunTime; end > 0 {
		now = min(now, end)
	}
	for ; intended < now; hit++ {
		r.missed.Add(1)
		intended = pace.Next(intended, hit+1)
	}
}

// slots are the workers of the open model: started when nobody is idle, up to limit.
type slots struct {
	run     *run
	jobs    chan job // unbuffered: a send succeeds only when a worker is idle
	limit   int64
	started int64
	wg      sync.WaitGroup
}

// give hands a job to an idle worker or to a new one; false when there are too many.
func (s *slots) give(j job) bool {
	select {
	case s.jobs <- j:
		return true
	default:
	}
	if s.started == s.limit {
		return false
	}
	s.started++
	number := int(s.started)
	s.wg.Go(func() {
		w := s.run.worker(number)
		w.send(j.task, j.intended)
		for j := range s.jobs {
			w.send(j.task, j.intended)
		}
	})
	return true
}

// wait returns when all jobs are done. Nothing may be given any more.
func (s *slots) wait() {
	close(s.jobs)
	s.wg.Wait()
}
