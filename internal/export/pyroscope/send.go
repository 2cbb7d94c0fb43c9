package pyroscope

import (
	"context"
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

// maxFailures is how often, over about eight minutes, a server may say of one request that it
// itself is broken. It may be this request that breaks it, and others wait behind.
const maxFailures = 10

// sendAll sends the queue, oldest first, and tries each until it is accepted, useless or ctx
// ends.
func (c *Client) sendAll(ctx context.Context) {
	attempt := 0
	for ctx.Err() == nil {
		it, ok := c.next()
		if !ok {
			return
		}
		said, err := c.send(ctx, it.request)
		if err != nil && ctx.Err() != nil {
			return // the end of ctx, not the server's fault: it stays in the queue
		}
		if !c.settle(it, said, err) {
			if c.wait(ctx, backoff(attempt)) != nil {
				return
			}
			attempt++
			continue
		}
		attempt = 0
	}
}

// send makes one attempt.
func (c *Client) send(ctx context.Context, r *pushv1.PushRequest) (verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	ctx, status := withStatus(ctx)
	_, err := c.push.Push(ctx, connect.NewRequest(r))
	return judge(err, *status), err
}

// settle does what the server's answer demands; false when the same is to be tried again.
func (c *Client) settle(it item, said verdict, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.complain(err)
	switch said {
	case accepted:
		c.stats.Sent += uint64(it.profiles)
		c.finish(it, "")
		return true
	case broken:
		if it.failures+1 < maxFailures {
			c.stats.Retries++
			if len(c.queue) > 0 && c.queue[0].request == it.request {
				c.queue[0].failures++
			}
			return false
		}
	case away:
		c.stats.Retries++
		return false
	case inParts:
		if parts := smaller(it.request, tooLarge(err)); len(parts) > 0 {
			c.replace(it, parts)
			return true
		}
	}
	c.finish(it, DropRejected)
	return true
}

// complain logs the first error after an accepted request, and the first accepted one after
// it: an outage is two lines, however long it lasts.
func (c *Client) complain(err error) {
	before := c.stats.Trouble
	c.stats.Trouble = ""
	if err != nil {
		c.stats.Trouble = err.Error()
	}
	switch {
	case err != nil && before == "":
		c.log.Warn("Pyroscope does not take profiles", "error", err)
	case err == nil && before != "":
		c.log.Info("Pyroscope takes profiles again")
	case err != nil && before != c.stats.Trouble:
		c.log.Debug("Pyroscope still does not take profiles", "error", err)
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
