package load

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// job is one turn that is due.
type job struct {
	turn     int // index into run.turns
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
	slots := &slots{run: r, ctx: ctx, limit: r.scenario.MaxInFlight}
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
		// What other loaders send is drawn too, so that all draw alike.
		if j := (job{r.picker.Pick(choose), next}); r.cfg.Shard.takes(hit) && !slots.give(j) {
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
		if r.cfg.Shard.takes(hit) {
			r.missed.Add(1)
		}
		intended = pace.Next(intended, hit+1)
	}
}

// slots are the workers of the open model: started when nobody is idle, up to limit. The one
// that became idle last goes first, so that no more connections are kept warm than needed.
type slots struct {
	run     *run
	ctx     context.Context
	limit   int
	started int
	wg      sync.WaitGroup
	mu      sync.Mutex // guards what follows
	idle    []chan job // each with room for one job
	ended   bool       // whoever becomes idle ends
}

// give hands a job to an idle worker or to a new one; false when there are too many.
func (s *slots) give(j job) bool {
	s.mu.Lock()
	if n := len(s.idle); n > 0 {
		c := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		c <- j
		return true
	}
	s.mu.Unlock()
	if s.started == s.limit {
		return false
	}
	s.started++
	number := s.run.cfg.Shard.number(s.started)
	s.wg.Go(func() { s.work(number, j) })
	return true
}

func (s *slots) work(number int, j job) {
	w := s.run.worker(number)
	defer w.close()
	jobs := make(chan job, 1)
	for ok := true; ok; j, ok = <-jobs {
		w.arrive(s.ctx, j)
		s.mu.Lock()
		if s.ended {
			s.mu.Unlock()
			return
		}
		s.idle = append(s.idle, jobs)
		s.mu.Unlock()
	}
}

// wait returns when all jobs are done. Nothing may be given any more.
func (s *slots) wait() {
	s.mu.Lock()
	for _, c := range s.idle {
		close(c)
	}
	s.ended = true
	s.mu.Unlock()
	s.wg.Wait()
}
