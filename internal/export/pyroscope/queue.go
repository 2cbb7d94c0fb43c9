package pyroscope

import (
	"maps"
	"slices"
	"time"

	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"google.golang.org/protobuf/proto"
)

const (
	// maxQueued bounds the requests that wait, and maxQueuedBytes their sum. Three kinds of
	// profile every 15 s, some 50 kB each, bridge twenty minutes of an absent server.
	maxQueued      = 256
	maxQueuedBytes = 16 << 20
)

// Reasons for which profiles are dropped.
const (
	DropQueueFull = "queue_full" // the server was away for too long
	DropTooOld    = "too_old"    // it would reject the profile by its age
	DropRejected  = "rejected"   // it did reject it, or this client's rights
	DropEncoding  = "encoding"   // the profile could not be encoded
	DropShutdown  = "shutdown"   // the program ended first
)

// Reasons lists why profiles may be dropped.
func Reasons() []string {
	return []string{DropQueueFull, DropTooOld, DropRejected, DropEncoding, DropShutdown}
}

// Stats are a client's counters since it was made. A profile is what one series, a kind of one
// endpoint, gets for one interval, or a part of it where the server takes no larger ones.
type Stats struct {
	Sent    uint64            // profiles that the server accepted
	Retries uint64            // attempts that failed and were repeated
	Dropped map[string]uint64 // profiles, by reason
	Queued  int               // profiles that wait now
	Trouble string            // the error of the last attempt, "" when that was accepted
}

// item is a request that waits.
type item struct {
	request  *pushv1.PushRequest
	profiles int
	bytes    int
	end      time.Time // of the interval
	failures int       // answers so far that the server itself is broken
}

func newItem(r *pushv1.PushRequest, end time.Time) item {
	it := item{request: r, bytes: proto.Size(r), end: end}
	for _, s := range r.Series {
		it.profiles += len(s.Samples)
	}
	return it
}

// enqueue adds requests at the end; the oldest are dropped where there is no room.
func (c *Client) enqueue(requests []*pushv1.PushRequest, end time.Time) {
	for _, r := range requests {
		it := newItem(r, end)
		c.queue = append(c.queue, it)
		c.bytes += it.bytes
	}
	for len(c.queue) > maxQueued || c.bytes > maxQueuedBytes && len(c.queue) > 1 {
		c.remove(DropQueueFull)
	}
	c.signal()
}

// signal wakes Run where there is something to send.
func (c *Client) signal() {
	if len(c.queue) == 0 {
		return
	}
	select {
	case c.more <- struct{}{}:
	default:
	}
}

// remove takes the oldest from the queue, dropped for a reason or "" when it was not.
func (c *Client) remove(reason string) {
	it := c.queue[0]
	c.bytes -= it.bytes
	c.queue[0] = item{}
	c.queue = c.queue[1:]
	if reason != "" {
		c.stats.Dropped[reason] += uint64(it.profiles)
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

// finish takes it from the queue: dropped for a reason, or "" when it was sent. Where Push
// dropped it meanwhile, to make room, it counted a drop that was none of a full queue.
func (c *Client) finish(it item, reason string) {
	if len(c.queue) > 0 && c.queue[0].request == it.request {
		c.remove(reason)
		return
	}
	c.stats.Dropped[DropQueueFull] -= uint64(it.profiles)
	if reason != "" {
		c.stats.Dropped[reason] += uint64(it.profiles)
	}
}

// replace puts the parts of it in its place. Where Push dropped it meanwhile there is none.
func (c *Client) replace(it item, parts []*pushv1.PushRequest) {
	if len(c.queue) == 0 || c.queue[0].request != it.request {
		return
	}
	items := make([]item, 0, len(parts))
	for _, r := range parts {
		items = append(items, newItem(r, it.end))
	}
	c.remove("")
	for _, i := range items {
		c.bytes += i.bytes
	}
	c.queue = slices.Insert(c.queue, 0, items...)
}

// Stats returns the counters.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Dropped = maps.Clone(s.Dropped)
	for _, it := range c.queue {
		s.Queued += it.profiles
	}
	return s
}
