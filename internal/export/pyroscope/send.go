package pyroscope

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"connectrpc.com/connect"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
)

// Waits between attempts double from the first to the last of these.
const (
	firstWait = 500 * time.Millisecond
	lastWait  = 5 * time.Minute
)

// sendAll sends the queue, oldest first, and tries each until it is accepted, useless or ctx
// ends.
func (c *Client) sendAll(ctx context.Context) {
	attempt := 0
	for ctx.Err() == nil {
		it, ok := c.next()
		if !ok {
			return
		}
		err := c.send(ctx, it.request)
		if err != nil && ctx.Err() != nil {
			return // the end of ctx, not the server's fault: it stays in the queue
		}
		if err != nil && retryable(err) {
			c.retried(err, attempt)
			if c.wait(ctx, backoff(attempt)) != nil {
				return
			}
			attempt++
			continue
		}
		attempt = 0
		c.finished(it, err)
	}
}

// next is the oldest that the server would still take.
func (c *Client) next() (item, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 && c.now().Sub(c.queue[0].end) > maxAge {
		c.remove(DropTooOld)
	}
	if len(c.queue) == 0 {
		return item{}, false
	}
	return c.queue[0], true
}

func (c *Client) send(ctx context.Context, r *pushv1.PushRequest) error {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	_, err := c.push.Push(ctx, connect.NewRequest(r))
	return err
}

func (c *Client) retried(err error, attempt int) {
	c.mu.Lock()
	c.stats.Retries++
	c.mu.Unlock()
	if attempt == 0 { // once an outage
		c.log.Warn("Pyroscope does not take profiles; trying again", "error", err)
	}
}

// finished takes it from the queue. Where Push dropped it meanwhile, to make room, it counted
// a drop that was none.
func (c *Client) finished(it item, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reason := ""
	if err != nil {
		reason = DropRejected
		c.log.Warn("Pyroscope rejected a profile", "error", err)
	} else {
		c.stats.Requests++
	}
	switch {
	case len(c.queue) > 0 && c.queue[0].request == it.request:
		c.remove(reason)
	case err == nil:
		c.stats.Dropped[DropQueueFull]--
	}
}

// retryable tells a server that is away or overloaded from one that will never say yes.
func retryable(err error) bool {
	switch connect.CodeOf(err) {
	case connect.CodeUnavailable, connect.CodeResourceExhausted, connect.CodeDeadlineExceeded,
		connect.CodeAborted, connect.CodeInternal, connect.CodeUnknown, connect.CodeCanceled:
		return true
	default:
		return errors.Is(err, context.DeadlineExceeded)
	}
}

// backoff is the wait after a failed attempt (0 the first): doubling, and up to a quarter
// less, so that many agents do not come back at once.
func backoff(attempt int) time.Duration {
	wait := lastWait
	if attempt < 20 {
		wait = min(firstWait<<attempt, lastWait)
	}
	return wait - time.Duration(rand.Int64N(int64(wait/4)))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
