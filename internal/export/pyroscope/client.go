package pyroscope

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"

	"connectrpc.com/connect"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	"google.golang.org/protobuf/proto"

	"github.com/ragscope/ragscope/internal/stack"
)

const (
	// maxQueued bounds the requests that wait, and maxQueuedBytes their sum. At one profile
	// of 50 kB every 15 s the queue bridges half an hour of an absent server.
	maxQueued      = 128
	maxQueuedBytes = 32 << 20
	// pushTimeout: a push blocks until the server flushed its segment, about half a second.
	pushTimeout = 30 * time.Second
	// flushTimeout is what Run still gives the queue after its context ended.
	flushTimeout = 5 * time.Second
)

// Reasons for which profiles are dropped.
const (
	DropQueueFull = "queue_full" // the server was away for too long
	DropTooOld    = "too_old"    // it would reject the profile by its age
	DropRejected  = "rejected"   // it did reject it, or this client's rights
	DropEncoding  = "encoding"   // the profile could not be encoded
	DropShutdown  = "shutdown"   // the program ended first
)

// Options of a Client.
type Options struct {
	URL     string            // "http://pyroscope:4040"; user information becomes basic auth
	Service string            // label service_name
	Labels  map[string]string // further labels of every series
	Tenant  string            // X-Scope-OrgID, "" for none
	HTTP    *http.Client      // nil: a client of its own
	Logger  *slog.Logger
}

// Stats are a client's counters since it was made. A request holds the series of one interval.
type Stats struct {
	Requests uint64            // sent and accepted
	Retries  uint64            // attempts that failed and were repeated
	Dropped  map[string]uint64 // requests dropped, by reason
	Queued   int               // waiting now
}

// Client pushes profiles to one server.
type Client struct {
	push   pushv1connect.PusherServiceClient
	labels map[string]string
	log    *slog.Logger
	now    func() time.Time
	wait   func(context.Context, time.Duration) error // for tests

	mu    sync.Mutex
	queue []item // oldest first; the first is in the air while Run sends it
	bytes int
	stats Stats
	more  chan struct{} // has a value when the queue is not empty
}

type item struct {
	request *pushv1.PushRequest
	bytes   int
	end     time.Time // of the interval
}

// New checks the options; it does not talk to the server.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("pyroscope URL %q: want http://host:port", o.URL)
	}
	if o.Service == "" {
		return nil, errors.New("pyroscope needs a service name")
	}
	labels := map[string]string{}
	for name, value := range o.Labels {
		if !validLabel(name) {
			return nil, fmt.Errorf("pyroscope label %q: want letters, digits and _", name)
		}
		labels[name] = value
	}
	labels[serviceLabel] = o.Service
	if o.HTTP == nil {
		o.HTTP = &http.Client{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	user := u.User
	u.User = nil
	c := &Client{
		labels: labels,
		log:    o.Logger,
		now:    time.Now,
		wait:   sleep,
		more:   make(chan struct{}, 1),
		stats:  Stats{Dropped: map[string]uint64{}},
	}
	c.push = pushv1connect.NewPusherServiceClient(o.HTTP, u.String(), connect.WithInterceptors(headers(o.Tenant, user)))
	return c, nil
}

// headers says on every request who we are.
func headers(tenant string, user *url.Userinfo) connect.UnaryInterceptorFunc {
	var auth http.Request
	auth.Header = http.Header{}
	if user != nil {
		password, _ := user.Password()
		auth.SetBasicAuth(user.Username(), password)
	}
	if tenant != "" {
		auth.Header.Set("X-Scope-OrgID", tenant)
	}
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			maps.Copy(r.Header(), auth.Header)
			return next(ctx, r)
		}
	}
}

// Push queues a profile and returns at once. The oldest are dropped where there is no room.
func (c *Client) Push(p *stack.Profile) {
	requests, err := encode(p, c.labels)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.stats.Dropped[DropEncoding]++
		c.log.Warn("cannot encode a profile for Pyroscope", "error", err)
		return
	}
	for _, r := range requests {
		it := item{request: r, bytes: proto.Size(r), end: p.End}
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

// remove takes the oldest from the queue, dropped for a reason or "" when it was sent.
func (c *Client) remove(reason string) {
	c.bytes -= c.queue[0].bytes
	c.queue[0] = item{}
	c.queue = c.queue[1:]
	if reason != "" {
		c.stats.Dropped[reason]++
	}
}

// Stats returns the counters.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Dropped = maps.Clone(s.Dropped)
	s.Queued = len(c.queue)
	return s
}

// Run sends what is queued until ctx ends, then for a few seconds what is left. It returns
// when nothing more will be sent; only one Run at a time.
func (c *Client) Run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-c.more:
			c.sendAll(ctx)
		case <-ctx.Done():
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	c.sendAll(last)
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 {
		c.remove(DropShutdown)
	}
}
