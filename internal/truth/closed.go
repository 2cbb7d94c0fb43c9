package truth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Closed is a closed-loop HTTP/1.1 client of one thread: each keep-alive connection sends the
// next request when its answer is complete. It costs about 7 µs a request, so that on a small
// machine the target is what is measured, not the client.
type Closed struct {
	ep    int
	timer int
	conns map[int]*conn
	wires [][]byte
	sent  int
	buf   []byte
	rate  float64
	due   time.Time // when the next request may be sent, with a rate
	idle  []int     // connections that wait for their turn
}

type conn struct {
	start time.Time
	want  int // bytes of the answer that are still to come; 0: the head has not been seen
	head  []byte
}

// Window is what a client saw during one stretch of load.
type Window struct {
	Requests  int
	Seconds   float64
	Latencies []time.Duration // ascending
}

// Rate is the requests answered a second.
func (w Window) Rate() float64 { return float64(w.Requests) / w.Seconds }

// Quantile of the latency, in seconds.
func (w Window) Quantile(q float64) float64 {
	if len(w.Latencies) == 0 {
		return 0
	}
	return w.Latencies[int(q*float64(len(w.Latencies)-1))].Seconds()
}

// Wire is a request as it is sent.
func Wire(method, host, path, body string) []byte {
	if body == "" {
		return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", method, path, host)
	}
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", method, path, host, len(body), body)
}

// Dial opens n connections to an IPv4 address. The wires are sent in turn; rate is the most
// requests a second, 0 for as many as can be. The caller must Close it.
func Dial(address string, n int, rate float64, wires ...[]byte) (*Closed, error) {
	c := &Closed{conns: map[int]*conn{}, wires: wires, buf: make([]byte, 1<<16), rate: rate, ep: -1, timer: -1}
	if err := c.open(address, n); err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	return c, nil
}

func (c *Closed) open(address string, n int) (err error) {
	to, err := sockaddr(address)
	if err != nil {
		return err
	}
	if c.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if c.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return err
	}
	if err = c.watch(c.timer); err != nil {
		return err
	}
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		c.conns[fd] = &conn{}
		if err := errors.Join(unix.Connect(fd, to), unix.SetNonblock(fd, true), unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), c.watch(fd)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Closed) watch(fd int) error {
	return unix.EpollCtl(c.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// Close closes the connections.
func (c *Closed) Close() {
	for fd := range c.conns {
		unix.Close(fd)
	}
	for _, fd := range []int{c.timer, c.ep} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// Run sends for d and then waits for the answers that are still out.
func (c *Closed) Run(ctx context.Context, d time.Duration) (Window, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var w Window
	begin := time.Now()
	end, open := begin.Add(d), 0
	c.due, c.idle = begin, c.idle[:0]
	for fd := range c.conns {
		if c.rate > 0 {
			c.idle = append(c.idle, fd)
			continue
		}
		if err := c.send(fd, begin); err != nil {
			return w, err
		}
		open++
	}
	events := make([]unix.EpollEvent, 256)
	for {
		now := time.Now()
		sent, err := c.turn(now, end)
		if err != nil {
			return w, err
		}
		open += sent
		if open == 0 && !now.Before(end) {
			break
		}
		if now.After(end.Add(30*time.Second)) || ctx.Err() != nil {
			return w, fmt.Errorf("%d requests are not answered", open)
		}
		n, err := unix.EpollWait(c.ep, events, 1000)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return w, fmt.Errorf("wait for answers: %w", err)
		}
		for i := range max(n, 0) {
			fd := int(events[i].Fd)
			if fd == c.timer {
				_, _ = unix.Read(fd, c.buf[:8])
				continue
			}
			done, err := c.receive(fd)
			if err != nil {
				return w, err
			}
			if !done {
				continue
			}
			now := time.Now()
			w.Requests++
			w.Latencies = append(w.Latencies, now.Sub(c.conns[fd].start))
			switch {
			case c.rate > 0:
				open--
				c.idle = append(c.idle, fd)
			case now.Before(end):
				if err := c.send(fd, now); err != nil {
					return w, err
				}
			default:
				open--
			}
		}
	}
	w.Seconds = time.Since(begin).Seconds()
	slices.Sort(w.Latencies)
	return w, nil
}

// turn sends what is due, with a rate, and sets the timer to the next. It does not catch up: a
// closed loop that falls behind is as fast as its target.
func (c *Closed) turn(now, end time.Time) (sent int, err error) {
	if c.rate == 0 || !now.Before(end) {
		if c.rate > 0 { // wake at once when the last answers are there
			c.idle = c.idle[:0]
		}
		return 0, nil
	}
	if len(c.idle) == 0 {
		return 0, nil
	}
	gap := time.Duration(float64(time.Second) / c.rate)
	c.due = maxTime(c.due, now.Add(-50*gap))
	for len(c.idle) > 0 && !c.due.After(now) {
		fd := c.idle[0]
		c.idle = c.idle[1:]
		if err := c.send(fd, now); err != nil {
			return sent, err
		}
		sent++
		c.due = c.due.Add(gap)
	}
	if len(c.idle) > 0 {
		wait := max(c.due.Sub(now), time.Microsecond)
		spec := unix.ItimerSpec{Value: unix.NsecToTimespec(wait.Nanoseconds())}
		if err := unix.TimerfdSettime(c.timer, 0, &spec, nil); err != nil {
			return sent, fmt.Errorf("set timer: %w", err)
		}
	}
	return sent, nil
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (c *Closed) send(fd int, now time.Time) error {
	wire := c.wires[c.sent%len(c.wires)]
	c.sent++
	k := c.conns[fd]
	k.start, k.want, k.head = now, 0, k.head[:0]
	if n, err := unix.Write(fd, wire); err != nil || n < len(wire) {
		return fmt.Errorf("send a request: %d of %d bytes: %w", n, len(wire), err)
	}
	return nil
}

// receive reads once and says whether the answer is complete.
func (c *Closed) receive(fd int) (bool, error) {
	k := c.conns[fd]
	n, err := unix.Read(fd, c.buf)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("receive an answer: %w", err)
	}
	if n == 0 {
		return false, errors.New("the target closed a connection")
	}
	if k.want > 0 {
		k.want -= n
		return k.want <= 0, nil
	}
	b := c.buf[:n]
	if len(k.head) > 0 {
		k.head = append(k.head, b...)
		b = k.head
	}
	size, err := answerSize(b)
	if err != nil {
		return false, err
	}
	if size == 0 {
		if len(k.head) == 0 {
			k.head = append(k.head, b...)
		}
		return false, nil
	}
	k.want = size - len(b)
	return k.want <= 0, nil
}

var headEnd, contentLength = []byte("\r\n\r\n"), []byte("content-length:")

// answerSize is the length of a 200 answer, head included; 0 when the head is not complete.
func answerSize(b []byte) (int, error) {
	h := bytes.Index(b, headEnd)
	if h < 0 {
		return 0, nil
	}
	if len(b) < 12 || b[9] != '2' {
		return 0, fmt.Errorf("the target answers %.40q", b)
	}
	for line := range bytes.Lines(b[:h+2]) {
		if len(line) > len(contentLength) && bytes.EqualFold(line[:len(contentLength)], contentLength) {
			n := 0
			for _, d := range bytes.TrimSpace(line[len(contentLength):]) {
				if d < '0' || d > '9' {
					return 0, fmt.Errorf("the target answers with %.60q", line)
				}
				n = n*10 + int(d-'0')
			}
			return h + 4 + n, nil
		}
	}
	return 0, fmt.Errorf("the target answers without a content length: %.200q", b[:h])
}
