package truth

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/ktime"
)

// Asked is one inbound request as its client knows it.
type Asked struct {
	ID           string
	Mode         string
	Method, Path string
	HTTP2        bool
	Status       int   // as answered; 0: its client did not wait for the answer
	Begin, End   int64 // before its first byte was written, after its last was read (CLOCK_MONOTONIC, ns)
	Paused       int64 // ns in which the client itself kept the request or the answer waiting
}

// caller sends requests over raw sockets, so that each way of putting bytes on a connection can be
// had, and keeps what it sent.
type caller struct {
	address string
	prefix  string
	mode    string
	asked   []*Asked
	before  []*wire // connections that were open before the agent came
}

// wire is one connection of a caller; when the server has closed it, the next request makes it
// anew.
type wire struct {
	net.Conn
	r      *bufio.Reader
	caller *caller
	dialed int64 // when, for the first request on it; 0 then
	gone   bool
}

const patience = 20 * time.Second

func (c *caller) dial() (*wire, error) {
	w := &wire{caller: c}
	return w, w.redial()
}

func (w *wire) redial() (err error) {
	w.dialed, w.gone = ktime.Monotonic(), false
	if w.Conn, err = net.DialTimeout("tcp", w.caller.address, patience); err != nil {
		return err
	}
	w.r = bufio.NewReader(w.Conn)
	return w.SetDeadline(time.Now().Add(patience))
}

// send writes the first bytes of a request.
func (w *wire) send(a *Asked, b []byte) error {
	if w.gone {
		w.Close()
		if err := w.redial(); err != nil {
			return err
		}
	}
	if w.dialed != 0 {
		a.Begin, w.dialed = w.dialed, 0
	}
	_, err := w.Write(b)
	return err
}

// ask notes a request that is about to be sent.
func (c *caller) ask(method, path string) *Asked {
	a := &Asked{ID: fmt.Sprintf("%s-%s-%d", c.prefix, strings.ReplaceAll(c.mode, " ", "_"), len(c.asked)), Mode: c.mode, Method: method, Path: path, Begin: ktime.Monotonic()}
	c.asked = append(c.asked, a)
	return a
}

// head is the request's head, with more header lines.
func (c *caller) head(a *Asked, more ...string) []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nX-Request-Id: %s\r\n", a.Method, a.Path, c.address, a.ID)
	for _, m := range more {
		b = append(append(b, m...), "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// answer reads the answer to its end; an interim one is passed over.
func (w *wire) answer(a *Asked) error {
	_, err := w.header(a)
	return err
}

// header is answer, and returns its header.
func (w *wire) header(a *Asked) (http.Header, error) {
	for {
		res, err := http.ReadResponse(w.r, &http.Request{Method: a.Method})
		if err != nil {
			return nil, fmt.Errorf("%s %s: read the answer: %w", a.Mode, a.ID, err)
		}
		if res.StatusCode == http.StatusContinue {
			continue
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		a.Status, a.End = res.StatusCode, ktime.Monotonic()
		w.gone = res.Close
		return res.Header, err
	}
}

// exchange sends one request on the connection and reads its answer.
func (c *caller) exchange(w *wire, method, path string, more ...string) error {
	a := c.ask(method, path)
	if err := w.send(a, c.head(a, more...)); err != nil {
		return err
	}
	return w.answer(a)
}

// on runs fn with a connection of its own.
func (c *caller) on(fn func(*wire) error) error {
	w, err := c.dial()
	if err != nil {
		return err
	}
	return errors.Join(fn(w), w.Close())
}

// post sends a request with a body in the pieces given, one write each.
func (c *caller) post(w *wire, path string, pieces [][]byte, more ...string) error {
	a := c.ask("POST", path)
	pieces = append([][]byte{c.head(a, more...)}, pieces...)
	if err := w.inPieces(a, pieces, 0); err != nil {
		return err
	}
	return w.answer(a)
}

func (w *wire) inPieces(a *Asked, pieces [][]byte, rest time.Duration) error {
	for i, p := range pieces {
		if i > 0 && rest > 0 {
			at := ktime.Monotonic()
			time.Sleep(rest)
			a.Paused += ktime.Monotonic() - at
		}
		if i == 0 {
			if err := w.send(a, p); err != nil {
				return err
			}
		} else if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// chunk is b as one chunk of a chunked body.
func chunk(b []byte) []byte { return fmt.Appendf(nil, "%x\r\n%s\r\n", len(b), b) }

func filler(n int) []byte { return bytes.Repeat([]byte("0123456789abcdef"), (n+15)/16)[:n] }
