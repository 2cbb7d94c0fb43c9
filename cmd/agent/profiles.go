package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/export/pyroscope"
	"github.com/ragscope/ragscope/internal/stack"
)

// pushEvery is Pyroscope's usual interval.
const pushEvery = 15 * time.Second

// ownName is the agent's service name in Pyroscope.
const ownName = "ragscope.agent"

// checkPyroscope says whether a URL, if there is one, can be that of a server.
func checkPyroscope(url string) error {
	if url == "" {
		return nil
	}
	if _, err := pyroscope.New(pyroscope.Options{URL: url, Service: ownName}); err != nil {
		return command.Wrong("--pyroscope: %w", err)
	}
	return nil
}

// pushProfiles pushes the target's profiles, and the agent's own, until ctx ends.
func pushProfiles(ctx context.Context, g *errgroup.Group, url string, w *started) (stop func(), err error) {
	stop = func() {}
	if w.Tally(stack.CPU) == nil {
		w.log.Warn("nothing is pushed to Pyroscope: stacks are switched off")
		return stop, nil
	}
	client, err := pyroscope.New(pyroscope.Options{URL: url, Service: w.Target().Service, Logger: w.log})
	if err != nil {
		return stop, command.Wrong("--pyroscope: %w", err)
	}
	if stop, err = pyroscope.StartSelf(url, pyroscope.Access{}, ownName, w.log); err != nil {
		return func() {}, command.Wrong("--pyroscope: %w", err)
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
				for _, kind := range stack.Kinds {
					if tally := w.Tally(kind); tally != nil {
						client.Push(tally.Take(time.Now()))
					}
				}
			}
		}
	})
	return stop, nil
}
