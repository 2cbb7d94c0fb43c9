package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// progress prints lines that carry the time since the command began. It may be used from any goroutine.
type progress struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

func newProgress(out io.Writer) *progress { return &progress{out: out, start: time.Now()} }

func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "[%5.1fs] %s\n", time.Since(p.start).Seconds(), fmt.Sprintf(format, args...))
}

// step is one thing to do, once the steps named in after are done. Its run returns a few words on what came of it.
type step struct {
	name  string
	after []string
	run   func(context.Context) (string, error)
}

// stillRunning is how often a long step says that it lives.
const stillRunning = 20 * time.Second

// runSteps runs every step as soon as those before it are done, side by side. The first failure cancels the rest and
// is returned after all have ended. A step listed in after that is not in steps counts as done.
func runSteps(ctx context.Context, p *progress, steps []step) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := map[string]chan struct{}{}
	for _, s := range steps {
		done[s.name] = make(chan struct{})
	}
	var all sync.WaitGroup
	for _, s := range steps {
		all.Go(func() {
			for _, name := range s.after {
				before, ok := done[name]
				if !ok {
					continue
				}
				select {
				case <-before:
				case <-ctx.Done():
					return
				}
			}
			if err := runStep(ctx, p, s); err != nil {
				cancel(fmt.Errorf("%s: %w", s.name, err))
				return
			}
			close(done[s.name])
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

func runStep(ctx context.Context, p *progress, s step) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	begin := time.Now()
	beat := time.NewTicker(stillRunning)
	defer beat.Stop()
	type result struct {
		note string
		err  error
	}
	ended := make(chan result, 1)
	go func() {
		note, err := s.run(ctx)
		ended <- result{note, err}
	}()
	for {
		select {
		case <-beat.C:
			p.say("%-12s still at it, %.0fs", s.name, time.Since(begin).Seconds())
		case r := <-ended:
			if r.err == nil {
				p.say("%-12s %s (%.1fs)", s.name, r.note, time.Since(begin).Seconds())
			} else if ctx.Err() == nil {
				p.say("%-12s failed (%.1fs)", s.name, time.Since(begin).Seconds())
			}
			return r.err
		}
	}
}
