package pyroscope

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"

	"github.com/ragscope/ragscope/internal/stack"
)

const (
	// pushTimeout: a push blocks until the server flushed its segment, about half a second.
	pushTimeout = 30 * time.Second
	// flushTimeout is what Run still gives the queue after its context ended.
	flushTimeout = 5 * time.Second
	// maxAnswerBytes bounds what is read of an answer, which says nothing when all is well.
	maxAnswerBytes = 1 << 20
)

// Options of a Client.
type Options struct {
	URL     string            // "http://pyroscope:4040", "https://…"; user information becomes basic auth
	Access  Access            // who we are
	Service string            // label service_name
	Labels  map[string]string // further labels of every series
	HTTP    *http.Client      // nil: a client of its own
	Logger  *slog.Logger
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

// New checks the options; it does not talk to the server.
func New(o Options) (*Client, error) {
	base, access, err := address(o.URL, o.Access)
	if err != nil {
		return nil, err
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
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		labels: labels,
		log:    o.Logger,
		now:    time.Now,
		wait:   sleep,
		more:   make(chan struct{}, 1),
		stats:  Stats{Dropped: map[string]uint64{}},
	}
	c.push = pushv1connect.NewPusherServiceClient(httpClient(o.HTTP), base,
		connect.WithInterceptors(headers(access.header())), connect.WithReadMaxBytes(maxAnswerBytes))
	return c, nil
}

// headers says on every request who we are.
func headers(h http.Header) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			maps.Copy(r.Header(), h)
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
		c.stats.Dropped[DropEncoding] += uint64(len(p.ByEndpoint()))
		c.log.Warn("cannot encode a profile for Pyroscope", "error", err)
		return
	}
	c.enqueue(requests, p.End)
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
