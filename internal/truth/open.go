package truth

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Sent is one request of an open-model run.
type Sent struct {
	ID, Path string
	Status   int
	Seconds  float64 // from the send to the end of the answer
	Err      error
}

// Open sends requests at random instants (a Poisson process) of the given rate for d, whether
// or not earlier ones are answered, and returns all of them. path names the i-th; the same seed
// gives the same instants. Each carries an x-request-id that starts with prefix.
func Open(ctx context.Context, address, prefix string, rate float64, d time.Duration, seed uint64, path func(i int) string) []Sent {
	return Varying(ctx, address, prefix, func(time.Duration) float64 { return rate }, d, seed, path)
}

// Varying is Open with a rate that changes with the time since the begin.
func Varying(ctx context.Context, address, prefix string, rate func(time.Duration) float64, d time.Duration, seed uint64, path func(i int) string) []Sent {
	random := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	var wg sync.WaitGroup
	var out []Sent
	free := make(chan *keepAlive, 1024)
	begin := time.Now()
	var at time.Duration
	for i := 0; ; i++ {
		at += time.Duration(random.ExpFloat64() / rate(at) * float64(time.Second))
		if at > d || !sleepUntil(ctx, begin.Add(at)) {
			break
		}
		s := Sent{ID: fmt.Sprintf("%s-%d", prefix, i), Path: path(i)}
		wg.Add(1)
		go func() {
			defer wg.Done()
			s.get(ctx, address, free)
			mu.Lock()
			out = append(out, s)
			mu.Unlock()
		}()
	}
	wg.Wait()
	close(free)
	for c := range free {
		c.Close()
	}
	return out
}

// Together keeps n requests under way until count are answered, and returns all of them. path names
// the i-th; each carries an x-request-id that starts with prefix.
func Together(ctx context.Context, address, prefix string, n, count int, path func(i int) string) []Sent {
	out := make([]Sent, count)
	free := make(chan *keepAlive, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < count && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				out[i] = Sent{ID: fmt.Sprintf("%s-%d", prefix, i), Path: path(i)}
				out[i].get(ctx, address, free)
			}
		})
	}
	wg.Wait()
	close(free)
	for c := range free {
		c.Close()
	}
	return out
}

func sleepUntil(ctx context.Context, t time.Time) bool {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// keepAlive is a connection with its reader.
type keepAlive struct {
	net.Conn
	r        *bufio.Reader
	answered bool // something came after the newest request was sent
}

func newKeepAlive(c net.Conn) *keepAlive {
	k := &keepAlive{Conn: c}
	k.r = bufio.NewReader(k)
	return k
}

func (k *keepAlive) Read(b []byte) (int, error) {
	n, err := k.Conn.Read(b)
	k.answered = k.answered || n > 0
	return n, err
}

func (s *Sent) get(ctx context.Context, address string, free chan *keepAlive) {
	start := time.Now()
	defer func() { s.Seconds = time.Since(start).Seconds() }()
	var c *keepAlive
	select {
	case c = <-free:
		s.Err = s.exchange(c, address)
		if s.Err == nil || c.answered || errors.Is(s.Err, os.ErrDeadlineExceeded) {
			break
		}
		// The server closed it after the answer before, as uvicorn does after an exception: nobody has read
		// this request, and a client asks again on a new connection (RFC 9110, 9.2.2).
		c.Close()
		c = nil
	default:
	}
	if c == nil {
		var d net.Dialer
		n, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			s.Err = err
			return
		}
		c = newKeepAlive(n)
		s.Err = s.exchange(c, address)
	}
	if s.Err != nil {
		c.Close()
		return
	}
	select {
	case free <- c:
	default:
		c.Close()
	}
}

func (s *Sent) exchange(c *keepAlive, address string) error {
	c.answered = false
	if err := c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Request-Id: %s\r\n\r\n", s.Path, address, s.ID); err != nil {
		return err
	}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	s.Status = res.StatusCode
	_, err = io.Copy(io.Discard, res.Body)
	return err
}
