package h1

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// Sizes of a connection's read buffer. It grows when reads fill it, so that a thousand idle
// users stay small and a large body takes few system calls.
const (
	minBuffer = 4 << 10
	maxBuffer = 64 << 10
)

var epoch = time.Now()

// Now is time.Now for half its price, as only the monotonic clock is read: of use for instants
// that are compared with others.
func Now() time.Time { return epoch.Add(time.Since(epoch)) }

// Conn is one connection of a client, used by one goroutine.
type Conn struct {
	At    time.Time // when the latest bytes came
	Came  bool      // bytes came since the last Begin
	Wrote int64     // bytes written since the last Begin

	ctx      context.Context
	stop     func() bool // of the watch over ctx
	conn     net.Conn
	socket   socket
	buf      []byte
	r, w     int
	out      []byte // of the request, not written yet
	deadline time.Time
	armed    time.Time // the deadline that the runtime knows
}

// NewConn takes a connection over. When ctx ends, whatever waits on it returns.
func NewConn(ctx context.Context, conn net.Conn) *Conn {
	c := &Conn{ctx: ctx, conn: conn, buf: make([]byte, minBuffer)}
	c.socket.open(c)
	c.stop = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return c
}

// Close closes the connection.
func (c *Conn) Close() {
	c.stop()
	_ = c.conn.Close() // nothing depends on it
}

// Stale says whether the server has closed the connection, or sent what nobody asked for,
// since the last answer.
func (c *Conn) Stale() bool { return c.w > c.r || c.socket.stale() }

// Begin hands over a request; it is written when the answer is waited for, by Fill. p must
// not change until then.
func (c *Conn) Begin(p []byte) { c.out, c.Came, c.Wrote = p, false, 0 }

// SetDeadline says until when Fill and Write may wait. It is told to the runtime only when the
// one that is known there would come too late, or has come too early: a deadline that is moved
// on with every request is then set once in a timeout.
func (c *Conn) SetDeadline(t time.Time) {
	c.deadline = t
	if c.armed.IsZero() || t.Before(c.armed) || !c.socket.bare() { // TLS does not survive a deadline within a write
		c.arm()
	}
}

func (c *Conn) arm() {
	c.armed = c.deadline
	_ = c.conn.SetDeadline(c.armed) // fails on a closed connection, which the next call will say
	if c.ctx.Err() != nil {         // its watch may have come before this
		_ = c.conn.SetDeadline(time.Unix(1, 0))
	}
}

// early says whether err is a deadline that is not the request's; it is set anew.
func (c *Conn) early(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || c.ctx.Err() != nil || !time.Now().Before(c.deadline) {
		return false
	}
	c.arm()
	return true
}

// Buffered are the bytes that came and were not used.
func (c *Conn) Buffered() []byte { return c.buf[c.r:c.w] }

// Discard says that n bytes of Buffered are used.
func (c *Conn) Discard(n int) { c.r += n }

// Fill waits for more bytes. What was lent by Buffered is gone then.
func (c *Conn) Fill() error {
	c.room()
	for {
		n, err := c.exchange()
		if n > 0 {
			c.At, c.Came = Now(), true
			c.w += n
			if n == len(c.buf) && n < maxBuffer {
				c.grow()
			}
			return nil
		}
		if err == nil {
			err = io.ErrNoProgress
		}
		if !c.early(err) {
			return err
		}
	}
}

// room makes sure that something fits behind what is buffered.
func (c *Conn) room() {
	switch {
	case c.r == c.w:
		c.r, c.w = 0, 0
	case c.w < len(c.buf):
	case c.r > 0:
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	default:
		c.grow()
	}
}

func (c *Conn) grow() {
	buf := make([]byte, 2*len(c.buf)) // bounded: the parsers take no line longer than a head may be
	c.w = copy(buf, c.buf[c.r:c.w])
	c.buf, c.r = buf, 0
}

// exchange writes what is left of the request and reads once.
func (c *Conn) exchange() (n int, err error) {
	if c.socket.bare() {
		n, err = c.socket.exchange(c)
		if n > 0 || err != nil || len(c.out) == 0 {
			return n, err
		}
	}
	if len(c.out) > 0 {
		out := c.out
		c.out = nil
		if err := c.Write(out); err != nil {
			return c.lastWords(err)
		}
	}
	return c.conn.Read(c.buf[c.w:])
}

// Write writes all of p.
func (c *Conn) Write(p []byte) error {
	for {
		n, err := c.conn.Write(p)
		c.Wrote += int64(n)
		if p = p[n:]; len(p) == 0 {
			return nil
		}
		if !c.early(err) {
			return err
		}
	}
}

// lastWords reads what a server said that does not want to read any more: 413, for example.
func (c *Conn) lastWords(failed error) (int, error) {
	if n, err := c.conn.Read(c.buf[c.w:]); n > 0 && (err == nil || errors.Is(err, io.EOF)) {
		return n, nil
	}
	return 0, failed
}
