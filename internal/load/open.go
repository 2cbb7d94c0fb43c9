package load

import (
	"context"
	"math"
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
	h, err := r.newHelm(ctx)
	if err != nil {
		return err
	}
	defer h.close()
	slots := &slots{run: r, jobs: make(chan job), limit: int64(r.scenario.MaxInFlight)}
	if slots.limit == 0 {
		slots.limit = DefaultMaxInFlight
	}
	defer slots.wait()

	pace, choose := r.pacer(h.plan), rand.New(rand.NewPCG(r.cfg.Seed, 0))
	var intended time.Duration
	for hit := uint64(0); ; {
		next := pace.Next(intended, hit)
		if end := r.scenario.RunTime; end > 0 && next >= end {
			if !r.steered {
				return nil
			}
			next = math.MaxInt64 // nothing is due any more, unless the rate is raised
		}
		changed, err := h.until(next)
		switch {
		case ctx.Err() != nil:
			r.countMissed(pace, next, hit)
			return nil
		case err != nil:
			return err
		case changed:
			pace = r.pacer(h.plan)
			continue
		}
		if !slots.give(job{r.picker.Pick(choose), next}) {
			r.missed.Add(1)
			r.crowded.Add(1)
		}
		intended = next
		hit++
	}
}

func (r *run) pacer(p Plan) Pacer {
	if r.scenario.Poisson {
		return Poisson{p, r.cfg.Seed}
	}
	return Even{p}
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
