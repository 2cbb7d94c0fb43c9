package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// check asks a service once whether it is ready.
type check func(context.Context) error

// waitReady asks until the answer is yes, the process ends, or the time is over.
func waitReady(ctx context.Context, c *child, ready check, within time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("was not ready within %s", within))
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	var last error
	for {
		select {
		case <-c.done:
			return fmt.Errorf("ended before it was ready: %v%s", ended(c.err), tail(c.log))
		case <-ctx.Done():
			if last != nil && ctx.Err() == context.DeadlineExceeded {
				return fmt.Errorf("%w; the last answer: %w%s", context.Cause(ctx), last, tail(c.log))
			}
			return context.Cause(ctx)
		case <-again.C:
		}
		ask, done := context.WithTimeout(ctx, 2*time.Second)
		err := ready(ask)
		done()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
	}
}

func ended(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// httpReady wants status 200 from a URL.
func httpReady(url string) check {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s: %s", url, resp.Status, strings.TrimSpace(string(text)))
		}
		return nil
	}
}

// redisReady wants a PONG.
func redisReady(port int) check {
	return exchange(port, "PING\r\n", func(reply []byte) bool { return strings.HasPrefix(string(reply), "+PONG") })
}

// boltReady wants a protocol version agreed on.
func boltReady(port int) check {
	hello := "\x60\x60\xb0\x17" + "\x00\x08\x08\x05" + strings.Repeat("\x00", 12) // magic; Bolt 5.8 down to 5.0
	return exchange(port, hello, func(reply []byte) bool { return len(reply) == 4 && reply[3] == 5 })
}

// exchange sends a few bytes to a loopback port and judges the first bytes that come back.
func exchange(port int, request string, good func([]byte) bool) check {
	return func(ctx context.Context) error {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", loopback(port))
		if err != nil {
			return err
		}
		defer conn.Close()
		if deadline, ok := ctx.Deadline(); ok {
			_ = conn.SetDeadline(deadline)
		}
		if _, err := io.WriteString(conn, request); err != nil {
			return err
		}
		reply := make([]byte, 64)
		n, err := conn.Read(reply)
		if err != nil {
			return err
		}
		if !good(reply[:n]) {
			return fmt.Errorf("port %d answers %q, which is not what was expected there", port, reply[:n])
		}
		return nil
	}
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
