package truth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ragscope/ragscope/internal/ktime"
)

// mode is one way of using a server's connections; it sends a few dozen requests.
type mode struct {
	name   string
	run    func(*caller) error
	sleeps bool // the application does
}

// inboundModes are those of HTTP/1; the order matters only to the last, which uses connections
// that were open before the agent came.
var inboundModes = []mode{
	{name: "keep-alive", run: keepAliveMode},
	{name: "a connection each", run: connectionEachMode},
	{name: "pipelined", run: pipelinedMode},
	{name: "chunked body", run: chunkedMode},
	{name: "big body", run: bigBodyMode},
	{name: "body not read", run: ignoredMode},
	{name: "big answer", run: bigAnswerMode},
	{name: "streamed", run: streamedMode},
	{name: "100-continue", run: expectMode},
	{name: "HTTP/1.0", run: oldMode},
	{name: "without body", run: bodylessMode},
	{name: "head in pieces", run: piecesMode},
	{name: "long head", run: longHeadMode},
	{name: "WebSocket", run: webSocketMode},
	{name: "client leaves", run: leavingMode, sleeps: true},
	{name: "open before", run: beforeMode},
	{name: "framework", run: frameworkMode},
}

const each = 20 // requests of a mode, or rounds of it

// plainPaths are answered at once, by every application.
var plainPaths = []string{"/health", "/items/7", "/status/404", "/thread", "/items/8", "/status/503"}

// richPaths are what a framework adds; only web.py has them.
var richPaths = []string{"/depends", "/background"}

func keepAliveMode(c *caller) error {
	var errs []error
	for range 4 {
		errs = append(errs, c.on(func(w *wire) error {
			for i := range each / 2 {
				if err := c.exchange(w, "GET", plainPaths[i%len(plainPaths)]); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	return errors.Join(errs...)
}

// frameworkMode is keepAliveMode on what a framework adds.
func frameworkMode(c *caller) error {
	return c.on(func(w *wire) error {
		for i := range each {
			if err := c.exchange(w, "GET", richPaths[i%len(richPaths)]); err != nil {
				return err
			}
		}
		return nil
	})
}

func connectionEachMode(c *caller) error {
	for i := range each {
		err := c.on(func(w *wire) error { return c.exchange(w, "GET", plainPaths[i%len(plainPaths)], "Connection: close") })
		if err != nil {
			return err
		}
	}
	return nil
}

// pipelinedMode sends eight requests in one write.
func pipelinedMode(c *caller) error {
	return c.on(func(w *wire) error {
		for range each / 4 {
			var batch []*Asked
			var out []byte
			for i := range 8 {
				a := c.ask("GET", plainPaths[i%len(plainPaths)])
				batch, out = append(batch, a), append(out, c.head(a)...)
			}
			if err := w.send(batch[0], out); err != nil {
				return err
			}
			for _, a := range batch {
				if err := w.answer(a); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func chunkedMode(c *caller) error {
	return c.on(func(w *wire) error {
		for i := range each {
			body := [][]byte{chunk(filler(10)), chunk(filler(5000)), chunk(filler(1)), []byte("0\r\n\r\n")}
			if i%2 == 0 { // all in one write after the head
				body = [][]byte{bytes.Join(body, nil)}
			}
			if err := c.post(w, "/echo", body, "Transfer-Encoding: chunked"); err != nil {
				return err
			}
		}
		return nil
	})
}

func bigBodyMode(c *caller) error {
	const size = 3 << 20
	return c.on(func(w *wire) error {
		for range each / 4 {
			if err := c.post(w, "/echo", [][]byte{filler(size)}, fmt.Sprint("Content-Length: ", size)); err != nil {
				return err
			}
			if err := c.exchange(w, "GET", "/health"); err != nil {
				return err
			}
		}
		return nil
	})
}

// ignoredMode sends bodies that the application never asks for, on connections of their own: a
// server may close those.
func ignoredMode(c *caller) error {
	for range each / 2 {
		err := c.on(func(w *wire) error {
			return c.post(w, "/ignore", [][]byte{filler(3000)}, "Content-Length: 3000")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func bigAnswerMode(c *caller) error {
	return c.on(func(w *wire) error {
		for range each / 4 {
			if err := c.exchange(w, "GET", "/big"); err != nil {
				return err
			}
		}
		return nil
	})
}

func streamedMode(c *caller) error {
	return c.on(func(w *wire) error {
		for i := range each {
			path := []string{"/stream", "/events", "/health"}[i%3]
			if err := c.exchange(w, "GET", path); err != nil {
				return err
			}
		}
		return nil
	})
}

func expectMode(c *caller) error {
	return c.on(func(w *wire) error {
		for range each / 2 {
			a := c.ask("POST", "/echo")
			if err := w.send(a, c.head(a, "Expect: 100-continue", "Content-Length: 2000")); err != nil {
				return err
			}
			res, err := http.ReadResponse(w.r, nil)
			if err != nil || res.StatusCode != http.StatusContinue {
				return fmt.Errorf("%s: no interim answer: %v: %w", a.ID, res, err)
			}
			res.Body.Close() // it has none
			if _, err := w.Write(filler(2000)); err != nil {
				return err
			}
			if err := w.answer(a); err != nil {
				return err
			}
		}
		return nil
	})
}

// oldMode speaks HTTP/1.0, with and without keep-alive.
func oldMode(c *caller) error {
	old := func(w *wire, more string) (http.Header, error) {
		a := c.ask("GET", "/items/9")
		head := bytes.Replace(c.head(a, more), []byte("HTTP/1.1"), []byte("HTTP/1.0"), 1)
		if err := w.send(a, head); err != nil {
			return nil, err
		}
		return w.header(a)
	}
	for range each / 2 {
		if err := c.on(func(w *wire) error { _, err := old(w, "A: b"); return err }); err != nil {
			return err
		}
		err := c.on(func(w *wire) error {
			h, err := old(w, "Connection: keep-alive")
			if err != nil || w.gone || h.Get("Connection") == "" {
				return err // the server does not keep it
			}
			_, err = old(w, "Connection: keep-alive")
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func bodylessMode(c *caller) error {
	return c.on(func(w *wire) error {
		for i := range each * 2 {
			method, path := "GET", []string{"/items/1", "/status/204", "/health", "/status/304"}[i%4]
			if i%4 == 0 {
				method = "HEAD"
			}
			if err := c.exchange(w, method, path); err != nil {
				return err
			}
		}
		return nil
	})
}

// piecesMode sends a head in several writes, cut inside a line and between lines.
func piecesMode(c *caller) error {
	return c.on(func(w *wire) error {
		for i := range each {
			a := c.ask("GET", "/items/3")
			head := c.head(a, "Accept: */*")
			var pieces [][]byte
			for cut := 2 + i; len(head) > cut && len(pieces) < 3; {
				pieces, head = append(pieces, head[:cut]), head[cut:]
			}
			if err := w.inPieces(a, append(pieces, head), 2*time.Millisecond); err != nil {
				return err
			}
			if err := w.answer(a); err != nil {
				return err
			}
		}
		return nil
	})
}

// longHeadMode sends heads longer than what the agent captures of one read.
func longHeadMode(c *caller) error {
	return c.on(func(w *wire) error {
		for i := range each {
			cookie := "Cookie: session=" + string(filler(700+200*i))
			if i%2 == 0 {
				if err := c.exchange(w, "GET", "/items/4", cookie); err != nil {
					return err
				}
			} else if err := c.post(w, "/echo", [][]byte{filler(100)}, cookie, "Content-Length: 100"); err != nil {
				return err
			}
		}
		return nil
	})
}

// webSocketMode upgrades, sends three messages, and reads until the server closes. The request
// ends with the answer 101.
func webSocketMode(c *caller) error {
	for range each / 4 {
		err := c.on(func(w *wire) error {
			a := c.ask("GET", "/ws")
			head := c.head(a, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
			if err := w.send(a, head); err != nil {
				return err
			}
			res, err := http.ReadResponse(w.r, nil)
			if err != nil {
				return err
			}
			res.Body.Close() // it has none
			a.Status, a.End = res.StatusCode, ktime.Monotonic()
			for range 3 { // a masked text frame, the mask 0
				if _, err := w.Write([]byte("\x81\x85\x00\x00\x00\x00hello")); err != nil {
					return err
				}
			}
			frame := make([]byte, 7)
			for range 3 {
				if _, err := io.ReadFull(w.r, frame); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// leavingMode closes the connection while the application still works.
func leavingMode(c *caller) error {
	for range each / 2 {
		err := c.on(func(w *wire) error {
			a := c.ask("GET", "/slow")
			if err := w.send(a, c.head(a)); err != nil {
				return err
			}
			time.Sleep(5 * time.Millisecond)
			a.End = ktime.Monotonic()
			return nil
		})
		if err != nil {
			return err
		}
	}
	time.Sleep(100 * time.Millisecond) // for the application to be done with them
	return nil
}

// open makes the connections for beforeMode and uses each once.
func (c *caller) open() error {
	for range 4 {
		w, err := c.dial()
		if err != nil {
			return err
		}
		c.before = append(c.before, w)
		if _, err := fmt.Fprintf(w, "GET /health HTTP/1.1\r\nHost: %s\r\n\r\n", c.address); err != nil {
			return err
		}
		if err := w.answer(&Asked{Method: "GET"}); err != nil {
			return err
		}
		w.dialed = 0
	}
	return nil
}

func beforeMode(c *caller) error {
	for i := range each {
		w := c.before[i%len(c.before)]
		if err := w.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if err := c.exchange(w, "GET", plainPaths[i%len(plainPaths)]); err != nil {
			return err
		}
	}
	return nil
}
