package main

import (
	"context"
	"time"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/export/metrics"
	"github.com/ragscope/ragscope/internal/export/pyroscope"
	"github.com/ragscope/ragscope/internal/stack"
	"github.com/ragscope/ragscope/internal/web"
)

// pushEvery is Pyroscope's usual interval.
const pushEvery = 15 * time.Second

// ownName is the agent's service name in Pyroscope.
const ownName = "ragscope.agent"

// pusher sends profiles to Pyroscope: the target's, and with --self-profile the agent's own.
type pusher struct {
	client *pyroscope.Client // nil: nothing of the target
	tally  func(stack.Kind) *stack.Tally
	ends   []func() // in order
}

// startPushes begins to send as the flags say, and says so in the metrics.
func startPushes(to command.Pyroscope, w *started, m *metrics.Metrics) (*pusher, error) {
	p := &pusher{tally: w.Tally}
	if to.URL == "" {
		return p, nil
	}
	if w.Tally(stack.CPU) == nil {
		w.log.Warn("nothing of the target is pushed to Pyroscope: stacks are switched off")
	} else if err := p.start(to, w, m); err != nil {
		return p, err
	}
	if to.Self {
		stop, err := pyroscope.StartSelf(to.URL, to.Access, ownName, w.log)
		if err != nil {
			p.end()
			return p, command.NotAllowed(err)
		}
		p.ends = append(p.ends, stop)
	}
	return p, nil
}

func (p *pusher) start(to command.Pyroscope, w *started, m *metrics.Metrics) error {
	client, err := pyroscope.New(pyroscope.Options{URL: to.URL, Access: to.Access, Service: w.Target().Service, Logger: w.log})
	if err != nil {
		return command.Wrong("--pyroscope: %w", err)
	}
	p.client = client
	m.SetPushes(p.state)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		client.Run(ctx)
	}()
	p.ends = append(p.ends, p.push, cancel, func() { <-ended })
	return nil
}

// run queues what was sampled at each interval, until ctx ends.
func (p *pusher) run(ctx context.Context) {
	if p.client == nil {
		return
	}
	t := time.NewTicker(pushEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			p.push()
		}
	}
}

func (p *pusher) push() {
	for _, kind := range stack.Kinds {
		if tally := p.tally(kind); tally != nil {
			p.client.Push(tally.Take(time.Now()))
		}
	}
}

// end queues the last samples and gives everything some seconds to be sent.
func (p *pusher) end() {
	for _, end := range p.ends {
		end()
	}
	p.ends = nil
}

// state is what the metrics say. All reasons are there from the start, so that the first drop
// is an increase.
func (p *pusher) state() metrics.PushState {
	stats := p.client.Stats()
	s := metrics.PushState{Sent: stats.Sent, Retries: stats.Retries, Queued: stats.Queued, Dropped: map[string]uint64{}}
	for _, reason := range pyroscope.Reasons() {
		s.Dropped[reason] = stats.Dropped[reason]
	}
	return s
}

// pages is what the pages show: what is watched, and what became of its profiles.
type pages struct {
	*started
	pusher *pusher
}

// Pushes implements web.Pusher.
func (p pages) Pushes() *web.Pushes {
	if p.pusher.client == nil {
		return nil
	}
	stats := p.pusher.client.Stats()
	return &web.Pushes{Sent: stats.Sent, Dropped: stats.Dropped, Queued: stats.Queued, Trouble: stats.Trouble}
}
