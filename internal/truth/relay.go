package truth

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"regexp"
	"sync"

	"github.com/ragscope/ragscope/internal/ktime"
)

// Relay passes the bytes between an application and a peer on, and notes the tokens that it sees
// in what the application sends. A token names the request that makes the call and the call's
// number in it (see app/clients.py), so what crosses the wire tells whose each call is, on
// whichever connection or stream, and no clock or order has to be trusted for it.
type Relay struct {
	Address string // for the application

	peer     string
	http2    bool
	listener net.Listener
	wg       sync.WaitGroup
	mu       sync.Mutex
	open     map[net.Conn]bool
	crossed  []*Crossing
}

// Crossing is a token on its way to the peer. Times are seconds on CLOCK_MONOTONIC.
type Crossing struct {
	Owner  string // number of the request, "x" for work of no request
	Call   string // number of the call in it
	Port   int    // of the application's end
	Stream uint32 // HTTP/2
	Time   float64
}

var tokens = regexp.MustCompile(`tk(\d+|x)n(\d+)z`)

// longestToken bounds what is kept of one read for a token cut in two by the next.
const longestToken = 24

// NewRelay listens on loopback and relays to peer. The caller must Close it.
func NewRelay(peer string, http2 bool) (*Relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Relay{Address: l.Addr().String(), peer: peer, http2: http2, listener: l, open: map[net.Conn]bool{}}
	r.wg.Go(r.accept)
	return r, nil
}

// Close ends all connections and returns when nothing of it runs.
func (r *Relay) Close() {
	r.listener.Close()
	r.mu.Lock()
	for c := range r.open {
		c.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}

// Crossed returns the tokens that have crossed, in their order.
func (r *Relay) Crossed() []Crossing {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Crossing, len(r.crossed))
	for i, c := range r.crossed {
		out[i] = *c
	}
	return out
}

func (r *Relay) accept() {
	for {
		down, err := r.listener.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", r.peer)
		if err != nil {
			down.Close()
			continue
		}
		r.mu.Lock()
		r.open[down], r.open[up] = true, true
		s := &side{relay: r}
		if a, ok := down.RemoteAddr().(*net.TCPAddr); ok {
			s.port = a.Port
		}
		r.mu.Unlock()
		r.wg.Go(func() { r.pass(up, down, s.sent) })
		r.wg.Go(func() { r.pass(down, up, func([]byte) {}) })
	}
}

// pass copies until one end is closed. look sees each piece before it is passed on.
func (r *Relay) pass(to, from net.Conn, look func([]byte)) {
	b := make([]byte, 1<<16)
	for {
		n, err := from.Read(b)
		look(b[:n])
		if n > 0 {
			if _, werr := to.Write(b[:n]); werr != nil {
				err = errors.Join(err, werr)
			}
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) {
			from.Close()
		}
		if c, ok := to.(*net.TCPConn); ok {
			_ = c.CloseWrite()
		}
		return
	}
}

// side is one connection of the application.
type side struct {
	relay   *Relay
	port    int    // of the application's end
	rest    []byte // HTTP/1 and others: the end of the piece before; HTTP/2: an incomplete frame
	greeted bool   // HTTP/2's preface has passed
	last    [2]string
}

func (s *side) sent(b []byte) {
	at := monotonic()
	b = append(s.rest, b...)
	if s.relay.http2 {
		s.rest = s.frames(b, at)
		return
	}
	end := s.find(b, 0, at)
	s.rest = append([]byte(nil), b[max(end, len(b)-longestToken):]...)
}

// find notes the tokens in b and returns where the last one ends. One that follows itself is the
// same call.
func (s *side) find(b []byte, stream uint32, at float64) (end int) {
	for _, m := range tokens.FindAllSubmatchIndex(b, -1) {
		end = m[1]
		c := &Crossing{Owner: string(b[m[2]:m[3]]), Call: string(b[m[4]:m[5]]), Port: s.port, Stream: stream, Time: at}
		if id := [2]string{c.Owner, c.Call}; id != s.last {
			s.last = id
			s.relay.mu.Lock()
			s.relay.crossed = append(s.relay.crossed, c)
			s.relay.mu.Unlock()
		}
	}
	return end
}

const preface = len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

// frames looks into the DATA frames of b and returns what is left of it.
func (s *side) frames(b []byte, at float64) []byte {
	if !s.greeted {
		if len(b) < preface {
			return b
		}
		b, s.greeted = b[preface:], true
	}
	for len(b) >= 9 {
		n := 9 + int(b[0])<<16 + int(b[1])<<8 + int(b[2])
		if len(b) < n {
			break
		}
		if b[3] == 0 { // DATA
			s.find(b[9:n], binary.BigEndian.Uint32(b[5:])&0x7fffffff, at)
		}
		b = b[n:]
	}
	return append([]byte(nil), b...)
}

// monotonic is the time that the agent and Python's time.monotonic use, in seconds.
func monotonic() float64 { return float64(ktime.Monotonic()) / 1e9 }
