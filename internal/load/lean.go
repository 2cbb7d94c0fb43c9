package load

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/cookiejar"
	"net/url"
	"syscall"
	"time"

	"github.com/ragscope/ragscope/internal/load/h1"
	"github.com/ragscope/ragscope/internal/scenario"
)

// Lean sends HTTP/1.1, with one connection for each session. A request on a connection that is
// open takes no lock of anybody else's and makes no garbage.
type Lean struct {
	base   *url.URL
	origin origin
	conns  Connections
}

// NewLean returns a sender to a base URL.
func NewLean(base string, c Connections) (*Lean, error) {
	o, u, err := parseBase(base)
	if err != nil {
		return nil, err
	}
	return &Lean{base: u, origin: o, conns: c}, nil
}

// Close implements Sender.
func (l *Lean) Close() {}

// Session implements Sender.
func (l *Lean) Session(ctx context.Context) Session {
	return &session{lean: l, ctx: ctx, prefix: l.base.EscapedPath()}
}

// session is one user: a connection, cookies and buffers.
type session struct {
	lean      *Lean
	ctx       context.Context
	prefix    string // of every target
	conn      *h1.Conn
	to        origin    // that conn leads to
	rested    time.Time // when conn's last answer was complete
	jar       *cookiejar.Jar
	hop       hop
	head      h1.Head
	body      bodyReader
	answer    Answer
	out       []byte
	expecting bool // 100 Continue
	found     finder
	codec     decoder
}

// Close implements Session.
func (s *session) Close() { s.drop() }

func (s *session) drop() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// Send implements Session.
func (s *session) Send(r *Request) Answer {
	s.answer = Answer{}
	s.head.KeepAll = r.Keep.Header
	a := &s.answer
	err := s.first(r)
	if a.Sent.IsZero() {
		a.Sent = time.Now()
	}
	for err == nil {
		if err = s.exchange(r); err != nil {
			break
		}
		again, problem := s.redirect(r)
		if err = problem; again {
			continue
		}
		if err == nil {
			err = s.read(r)
		}
		break
	}
	if err != nil {
		s.drop()
		a.End = time.Now()
		a.Aborted = s.ctx.Err() != nil
		a.Failure = networkFailure(err, r.Timeout)
		return *a
	}
	if r.Keep.Header {
		a.Header = s.head.Header()
	}
	a.judge(r.Check, s.head.Reason, s.head.Retry)
	return *a
}

// exchange sends the request of the current hop and reads the head of its answer.
func (s *session) exchange(r *Request) error {
	a := &s.answer
	for {
		fresh, err := s.connect(r)
		if err != nil {
			return err
		}
		if err = s.converse(r); err == nil {
			return nil
		}
		came, wrote := s.conn.Came, s.conn.Wrote
		s.drop()
		if fresh || came || !gone(err) || wrote > 0 && !idempotent(s.hop.method) {
			return err
		}
		a.Resent++ // fresh from now on: not more than once
	}
}

// gone says whether an error is the server's closing of an idle connection.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// idempotent methods may be sent twice (RFC 9110 §9.2.2).
func idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE":
		return true
	}
	return false
}

// restless is how long a connection may rest without being looked at before it is used again: a
// server that closed it so short ago is found by sending.
const restless = 100 * time.Microsecond

// connect makes sure that there is a connection, and notes when the request was sent first.
func (s *session) connect(r *Request) (fresh bool, err error) {
	a, h := &s.answer, &s.hop
	now := h1.Now()
	if a.Sent.IsZero() {
		a.Sent = now
	}
	if s.conn != nil && (s.to != h.origin || now.Sub(s.rested) > restless && s.conn.Stale()) {
		s.drop()
	}
	if s.conn != nil {
		return false, nil
	}
	conn, err := s.lean.dial(s.ctx, h.origin, a.Sent, r.Timeout)
	a.Connect += time.Since(now)
	if err != nil {
		return true, err
	}
	s.conn, s.to = h1.NewConn(s.ctx, conn), h.origin
	return true, nil
}

// dial opens a connection for a request that was sent then and has this timeout.
func (l *Lean) dial(ctx context.Context, o origin, sent time.Time, timeout time.Duration) (net.Conn, error) {
	limit := earlier(time.Now().Add(l.conns.connectTimeout()), sent.Add(timeout))
	phase := &phaseTimeout{NoConnection, "no connection", min(l.conns.connectTimeout(), timeout)}
	ctx, cancel := context.WithDeadline(ctx, limit)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, o.network, o.address)
	if err != nil || !o.secure {
		return conn, timely(ctx, err, phase)
	}
	secure := tls.Client(conn, l.conns.tlsConfig(o))
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, timely(ctx, &handshakeError{err}, phase)
	}
	return secure, nil
}

// timely replaces an error by reason, if it is that the time of ctx is over.
func timely(ctx context.Context, err, reason error) error {
	if err == nil || !isTimeout(err) && ctx.Err() != context.DeadlineExceeded {
		return err
	}
	return reason
}

// patience is how long a body waits for 100 Continue; servers that do not know it say nothing.
const patience = time.Second

// converse writes the request and reads the head of its answer.
func (s *session) converse(r *Request) error {
	c := s.conn
	d := deadlines{whole: s.answer.Sent.Add(r.Timeout)}
	d.first = d.whole
	if limit := s.lean.conns.FirstByteTimeout; limit > 0 {
		d.first = earlier(time.Now().Add(limit), d.whole)
	}
	c.SetDeadline(d.first)
	s.expecting = len(s.hop.rest) > 0
	if s.expecting {
		c.SetDeadline(earlier(time.Now().Add(patience), d.first))
	}
	c.Begin(s.out)
	s.head.Reset()
	s.answer.FirstByte = time.Time{}
	for {
		n, done, err := s.head.Parse(c.Buffered())
		c.Discard(n)
		switch {
		case err != nil:
			return err
		case done && !s.head.Interim():
			s.answer.Status = s.head.Status
			s.hop.last = s.hop.last || s.expecting // the body is missing on the connection
			return nil
		case done:
			err = s.interim(d)
		default:
			err = s.fill(d)
		}
		if err != nil {
			return err
		}
	}
}

// deadlines of a request: of the first byte of its answer, and of all of it.
type deadlines struct{ first, whole time.Time }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// interim takes a complete interim answer: 100 asks for the body.
func (s *session) interim(d deadlines) error {
	if s.head.Status == 100 && s.expecting {
		if err := s.sendRest(d); err != nil {
			return err
		}
	}
	if err := s.head.Next(); err != nil {
		return err
	}
	s.answer.FirstByte = time.Time{}
	if len(s.conn.Buffered()) > 0 {
		s.answer.FirstByte = s.conn.At
	}
	return nil
}

// sendRest sends the body that waited for leave.
func (s *session) sendRest(d deadlines) error {
	s.expecting = false
	s.conn.SetDeadline(d.first)
	return s.conn.Write(s.hop.rest)
}

// fill waits for more of the head.
func (s *session) fill(d deadlines) error {
	c := s.conn
	err := c.Fill()
	switch {
	case err == nil:
		if s.answer.FirstByte.IsZero() {
			s.answer.FirstByte = c.At
			if d.first != d.whole && !s.expecting {
				c.SetDeadline(d.whole)
			}
		}
		return nil
	case s.ctx.Err() != nil:
		return err
	case isTimeout(err) && s.expecting && time.Now().Before(d.first):
		return s.sendRest(d)
	case isTimeout(err) && !c.Came && time.Now().Before(d.whole):
		return &phaseTimeout{Timeout, "no byte of an answer", s.lean.conns.FirstByteTimeout}
	case c.Came && errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

// read reads the body and applies the checks of its content.
func (s *session) read(r *Request) error {
	a := &s.answer
	s.body.open(s.conn, s.head.Body(s.hop.method))
	if r.Stream == scenario.NoStream && s.head.Encoding == h1.Identity && r.Check.Contains == "" && !r.Keep.Body {
		if err := s.body.discard(&a.Bytes); err != nil {
			return err
		}
		s.finish()
		return nil
	}
	content, err := s.codec.open(&s.body, s.head.Encoding)
	if err != nil {
		return err
	}
	if r.Stream != scenario.NoStream && a.Status < 400 {
		err = readStream(a, r, content)
	} else {
		err = s.search(r, content)
	}
	if err == nil {
		err = s.body.discard(new(int64)) // what is behind the end of the compressed content
	}
	if err != nil {
		return err
	}
	end := a.End
	if s.finish(); !end.IsZero() {
		a.End = end
	}
	return nil
}

// search reads the content and looks for the text that the task asks for.
func (s *session) search(r *Request, content io.Reader) error {
	a := &s.answer
	s.found.want(r)
	buf := s.codec.buffer()
	for {
		n, err := content.Read(buf)
		a.Bytes += int64(n)
		if err := s.found.look(buf[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	a.Body = s.found.body()
	if !s.found.found() && a.Status < 400 {
		a.Failure = lacks(r.Check.Contains)
	}
	return nil
}

// finish ends an answer whose body is read.
func (s *session) finish() {
	s.answer.End = s.conn.At
	s.rested = s.conn.At
	if s.hop.last || s.lean.conns.NoKeepAlive || !s.head.Reusable() || s.body.frame.UntilEnd() || len(s.conn.Buffered()) > 0 {
		s.drop()
	}
}
