package main

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ragscope/ragscope/internal/export/pyroscope"
)

// pushEvery is Pyroscope's usual interval.
const pushEvery = 15 * time.Second

// pushProfiles pushes the target's CPU profiles, and the agent's own, until ctx ends.
func pushProfiles(ctx context.Context, g *errgroup.Group, url string, w *started, log *slog.Logger) (stop func(), err error) {
	stop = func() {}
	tally := w.Tally()
	if tally == nil {
		log.Warn("nothing is pushed to Pyroscope: CPU stacks are switched off")
		return stop, nil
	}
	client, err := pyroscope.New(pyroscope.Options{URL: url, Service: w.Target().Service, Logger: log})
	if err != nil {
		return stop, err
	}
	if stop, err = pyroscope.StartSelf(url, "ragscope.agent"); err != nil {
		return func() {}, err
	}
	g.Go(func() error { client.Run(ctx); return nil })
	g.Go(func() error {
		t := time.NewTicker(pushEvery)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-t.C:
				client.Push(tally.Take(time.Now()))
			}
		}
	})
	return stop, nil
}
