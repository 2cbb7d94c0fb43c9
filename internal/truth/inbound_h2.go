package truth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ragscope/ragscope/internal/ktime"
)

// h2Modes are those of HTTP/2 without TLS, by prior knowledge.
var h2Modes = []mode{
	{name: "h2c, one at a time", run: func(c *caller) error { return c.streams(1, each, plainPaths) }},
	{name: "h2c, many streams", run: func(c *caller) error { return c.streams(8, 4*each, plainPaths) }},
	{name: "h2c, bodies", run: h2BodiesMode},
	{name: "h2c, streamed", run: func(c *caller) error { return c.streams(2, each, []string{"/stream", "/events", "/big"}) }},
	{name: "h2c, long heads", run: h2LongMode},
	{name: "h2c, client cancels", run: h2CancelMode, sleeps: true},
	{name: "h2c, frames in pieces", run: h2PiecesMode, sleeps: true},
}

// h2client makes one HTTP/2 connection, over which all its requests go.
func (c *caller) h2client(wrap func(net.Conn) net.Conn) *http.Transport {
	prior := new(http.Protocols)
	prior.SetUnencryptedHTTP2(true)
	return &http.Transport{
		Protocols: prior, HTTP2: &http.HTTP2Config{StrictMaxConcurrentRequests: true}, DisableCompression: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			var d net.Dialer
			n, err := d.DialContext(ctx, network, address)
			if err == nil && wrap != nil {
				n = wrap(n)
			}
			return n, err
		},
	}
}

// stream sends one request and reads its answer.
func (c *caller) stream(ctx context.Context, over *http.Transport, mu *sync.Mutex, method, path, body string, more ...string) error {
	mu.Lock()
	a := c.ask(method, path)
	a.HTTP2 = true
	mu.Unlock()
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.address+path, from)
	if err != nil {
		return err
	}
	req.Header.Set("X-Request-Id", a.ID)
	for _, m := range more {
		name, value, _ := strings.Cut(m, ": ")
		req.Header.Set(name, value)
	}
	a.Begin = ktime.Monotonic()
	res, err := over.RoundTrip(req)
	if err != nil {
		a.End = ktime.Monotonic()
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	a.Status, a.End = res.StatusCode, ktime.Monotonic()
	return err
}

// streams sends n requests over one connection, width of them at a time.
func (c *caller) streams(width, n int, paths []string) error {
	over := c.h2client(nil)
	defer over.CloseIdleConnections()
	var mu sync.Mutex
	work := make(chan int)
	errs := make(chan error, width)
	for range width {
		go func() {
			var err error
			for i := range work {
				err = errors.Join(err, c.stream(context.Background(), over, &mu, "GET", paths[i%len(paths)], ""))
			}
			errs <- err
		}()
	}
	for i := range n {
		work <- i
	}
	close(work)
	var err error
	for range width {
		err = errors.Join(err, <-errs)
	}
	return err
}

func h2BodiesMode(c *caller) error {
	over := c.h2client(nil)
	defer over.CloseIdleConnections()
	var mu sync.Mutex
	for i := range each {
		if err := c.stream(context.Background(), over, &mu, "POST", "/echo", string(filler(1+i*5000))); err != nil {
			return err
		}
	}
	return nil
}

// h2LongMode sends heads up to nearly what is captured of one.
func h2LongMode(c *caller) error {
	over := c.h2client(nil)
	defer over.CloseIdleConnections()
	var mu sync.Mutex
	for i := range each {
		cookie := fmt.Sprintf("Cookie: c%d=%s", i, filler(100+50*i))
		if err := c.stream(context.Background(), over, &mu, "GET", "/items/5", "", cookie); err != nil {
			return err
		}
	}
	return nil
}

func h2CancelMode(c *caller) error {
	over := c.h2client(nil)
	defer over.CloseIdleConnections()
	var mu sync.Mutex
	for range each / 2 {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		err := c.stream(ctx, over, &mu, "GET", "/slow", "")
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("it was not cancelled: %w", err)
		}
		if err := c.stream(context.Background(), over, &mu, "GET", "/health", ""); err != nil {
			return err
		}
	}
	return nil
}

// h2PiecesMode cuts what the client writes into pieces of 7 bytes, each a segment of its own.
func h2PiecesMode(c *caller) error {
	over := c.h2client(func(n net.Conn) net.Conn { return chopped{n} })
	defer over.CloseIdleConnections()
	var mu sync.Mutex
	for i := range each / 2 {
		if err := c.stream(context.Background(), over, &mu, "POST", "/echo", string(filler(10*(i+1)))); err != nil {
			return err
		}
	}
	return nil
}

// chopped writes a few bytes at a time.
type chopped struct{ net.Conn }

func (c chopped) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var k int
		k, err = c.Conn.Write(b[n:min(n+7, len(b))])
		n += k
		time.Sleep(100 * time.Microsecond)
	}
	return n, err
}
