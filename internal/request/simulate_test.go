package request

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// A simulated target: an asyncio server with one event loop, pools of connections to peers, and
// clients that keep their connections. It runs handlers made of small steps, emits the events that
// the kernel side would, and keeps the truth beside them.
//
// Contexts behave as CPython's: a task, a timer and a transport get a copy of the current one,
// and an address is reused as soon as its context is gone.

type simulation struct {
	rng     *rand.Rand
	late    bool // uvloop: a socket is read before its connection's context is entered
	now     int64
	events  []event.Event
	ready   []callback
	timers  schedule // asyncio timers, and what happens on sockets
	free    []uint64 // addresses of contexts that are gone
	next    uint64
	socks   uint64
	ctx     uint64 // current
	turn    int64  // when this turn of the loop began
	slowest int64  // the longest turn, in ns
	pools   []*simPool
	open    int // requests to come and under way
	truth   simTruth
}

type simTruth struct {
	calls    map[simSend]*simCall
	requests map[string]*simRequest
}

type simSend struct {
	sock uint64
	at   int64
}

type simCall struct {
	request string
	wait    int64
}

type simRequest struct {
	id                 string
	arrive, read, last int64
	cpu                int64 // of its own tasks
	calls              int
}

type callback struct {
	ctx    uint64
	done   bool   // the context is gone afterwards
	before func() // what happens outside any context; may be nil
	fn     func()
}

type pending struct {
	at  int64
	seq int
	fn  func() // makes a callback ready
}

type schedule []pending

func (s schedule) Len() int { return len(s) }
func (s schedule) Less(i, j int) bool {
	return s[i].at < s[j].at || s[i].at == s[j].at && s[i].seq < s[j].seq
}
func (s schedule) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(x any)   { *s = append(*s, x.(pending)) }
func (s *schedule) Pop() any     { o := *s; x := o[len(o)-1]; *s = o[:len(o)-1]; return x }

type simPool struct {
	size, made int
	port       uint16
	http       bool
	barging    bool // a waiter that is woken looks again, and may find it taken
	idle       []*simConn
	waiters    []*simTask
}

type simConn struct {
	pool *simPool
	sock uint64
	ctx  uint64 // of its transport

}

type simTask struct {
	s         *simulation
	req       *simRequest
	ctx       uint64
	steps     []simStep
	conn      *simConn
	phase     int
	waitSince int64
	waited    int64
	children  int
	parent    *simTask
	done      func()
}

type simStep struct {
	kind string // cpu, sleep, yield, call, gather
	d    int64
	pool *simPool
	n    int
}

const (
	simUS = 1_000
	simMS = 1_000_000
)

func simulate(seed uint64) *simulation {
	s := &simulation{
		rng: rand.New(rand.NewPCG(seed, 3)), next: 0x7f0000000000, socks: 1000,
		truth: simTruth{map[simSend]*simCall{}, map[string]*simRequest{}},
	}
	s.late = s.rng.IntN(2) == 0
	s.now, s.turn = 1e9, 1e9
	for i := range 1 + s.rng.IntN(2) {
		s.pools = append(s.pools, &simPool{
			size: 1 + s.rng.IntN(3), port: 6379 + uint16(i), http: s.rng.IntN(3) == 0, barging: s.rng.IntN(2) == 0,
		})
	}
	base := s.alloc()
	for range 2 + s.rng.IntN(6) {
		s.client(base)
	}
	for s.open > 0 {
		s.iterate()
	}
	slices.SortStableFunc(s.events, func(a, b event.Event) int { return cmp.Compare(a.Time, b.Time) })
	return s
}

func (s *simulation) alloc() uint64 {
	if n := len(s.free); n > 0 {
		a := s.free[n-1]
		s.free = s.free[:n-1]
		return a
	}
	s.next += 0x100
	return s.next
}

func (s *simulation) emit(e event.Event) {
	if e.Time == 0 {
		e.Time = s.now
	}
	e.PID, e.TID = apiPID, loopTID
	if e.Type != event.Switch {
		e.Context = s.ctx
	}
	s.events = append(s.events, e)
}

// spend is CPU time; the thread may lose its CPU meanwhile. Sometimes the clock stands still.
func (s *simulation) spend(d int64) {
	if s.rng.IntN(40) == 0 {
		s.now += d / 2
		off := s.now
		s.now += s.rng.Int64N(300 * simUS)
		s.emit(event.Event{Type: event.Switch, Flags: event.Preempted, Arrive: off})
		d -= d / 2
	}
	s.now += d
}

func (s *simulation) tick() { s.now += s.rng.Int64N(4) * simUS }

func (s *simulation) copied() uint64 {
	a := s.alloc()
	s.tick()
	s.emit(event.Event{Type: event.Copy, Other: a})
	return a
}

func (s *simulation) later(at int64, fn func()) {
	heap.Push(&s.timers, pending{at, len(s.events)*1000 + len(s.timers), fn})
}

// iterate is one turn of the loop.
func (s *simulation) iterate() {
	s.slowest = max(s.slowest, s.now-s.turn)
	s.turn = s.now
	s.ctx = 0
	s.emit(event.Event{Type: event.Loop})
	if len(s.ready) == 0 && len(s.timers) > 0 && s.timers[0].at > s.now {
		off := s.now
		s.now = s.timers[0].at + s.rng.Int64N(30*simUS)
		s.emit(event.Event{Type: event.Switch, Flags: event.Epoll, Arrive: off, Other: uint64(s.now)})
		s.turn = s.now
	}
	for len(s.timers) > 0 && s.timers[0].at <= s.now {
		heap.Pop(&s.timers).(pending).fn()
	}
	now := s.ready
	s.ready = nil
	for _, c := range now {
		if c.before != nil {
			c.before()
		}
		s.enter(c.ctx)
		c.fn()
		if c.done {
			s.free = append(s.free, c.ctx)
		}
		s.ctx = 0
	}
}

func (s *simulation) enter(ctx uint64) {
	s.tick()
	s.ctx = ctx
	s.emit(event.Event{Type: event.Enter, Other: ctx})
}

// read is a socket becoming readable at a time: its reader runs in ctx when the loop comes to it.
func (s *simulation) read(arrived int64, ctx uint64, recv event.Event, then func()) {
	s.later(arrived, func() {
		recv.Arrive = arrived
		moved := func() {
			s.tick()
			s.emit(recv)
		}
		if s.late {
			s.ready = append(s.ready, callback{ctx: ctx, before: moved, fn: then})
			return
		}
		s.ready = append(s.ready, callback{ctx: ctx, fn: func() { moved(); then() }})
	})
}

func transfer(what event.Type, flags event.Flags, sock uint64, text string) event.Event {
	return event.Event{Type: what, Flags: flags, Sock: sock, Len: uint32(len(text)), Head: []byte(text)}
}

// client is one keep-alive connection with a few requests.
func (s *simulation) client(base uint64) {
	s.socks++
	sock := s.socks
	n := 1 + s.rng.IntN(5)
	s.open += n
	at := s.now + s.rng.Int64N(20*simMS)
	s.later(at, func() {
		s.emit(event.Event{Type: event.Conn, Sock: sock, Flags: event.Inbound, Time: at, Head: make([]byte, 32)})
		s.ready = append(s.ready, callback{ctx: base, fn: func() {
			s.tick()
			s.emit(event.Event{Type: event.Accept, Sock: sock})
			ctx := s.copied()
			s.request(sock, ctx, at+s.rng.Int64N(200*simUS), n)
		}})
	})
}

// request is the next of n that the client sends, to arrive at a time.
func (s *simulation) request(sock, ctx uint64, arrive int64, n int) {
	if n == 0 {
		return
	}
	r := &simRequest{id: fmt.Sprintf("%d-%d", sock, n)}
	s.truth.requests[r.id] = r
	text := "GET /x HTTP/1.1\r\nX-Request-Id: " + r.id + "\r\n\r\n"
	arrive = max(arrive, s.now)
	s.read(arrive, ctx, transfer(event.Recv, event.Inbound, sock, text), func() {
		r.arrive, r.read = arrive, s.now
		t := &simTask{s: s, req: r, ctx: s.copied(), steps: s.handler(), done: func() {
			s.tick()
			s.emit(transfer(event.Send, event.Inbound, sock, ok))
			r.last = s.now
			s.open--
			s.request(sock, ctx, s.now+s.rng.Int64N(5*simMS), n-1)
		}}
		s.ready = append(s.ready, callback{ctx: t.ctx, fn: t.run})
	})
}

func (s *simulation) handler() (steps []simStep) {
	for range 1 + s.rng.IntN(5) {
		p := s.pools[s.rng.IntN(len(s.pools))]
		switch s.rng.IntN(8) {
		case 0:
			steps = append(steps, simStep{kind: "sleep", d: s.rng.Int64N(10 * simMS)})
		case 1:
			steps = append(steps, simStep{kind: "yield"})
		case 2:
			steps = append(steps, simStep{kind: "gather", pool: p, n: 2 + s.rng.IntN(4)})
		case 3:
			steps = append(steps, simStep{kind: "cpu", d: s.rng.Int64N(500 * simUS)})
		default:
			steps = append(steps, simStep{kind: "call", pool: p})
		}
	}
	return steps
}

func (t *simTask) cpu(d int64) {
	before := t.s.now
	t.s.spend(d)
	t.req.cpu += t.s.now - before
}

func (t *simTask) wake() { t.s.ready = append(t.s.ready, callback{ctx: t.ctx, fn: t.run}) }

// run is one step of the task: until it has to wait.
func (t *simTask) run() {
	s := t.s
	t.cpu(s.rng.Int64N(20 * simUS))
	for len(t.steps) > 0 {
		step := t.steps[0]
		switch step.kind {
		case "cpu":
			t.cpu(step.d)
		case "sleep":
			t.steps = t.steps[1:]
			ctx := s.copied()
			s.later(s.now+step.d, func() { s.ready = append(s.ready, callback{ctx: ctx, fn: t.wake, done: true}) })
			return
		case "yield":
			t.steps = t.steps[1:]
			t.wake()
			return
		case "gather":
			if t.phase == 0 {
				t.phase, t.children = 1, step.n
				for range step.n {
					c := &simTask{s: s, req: t.req, ctx: s.copied(), steps: []simStep{{kind: "call", pool: step.pool}}, parent: t}
					c.wake()
				}
				return
			}
			t.phase = 0
		case "call":
			if !t.call(step.pool) {
				return
			}
		}
		t.steps = t.steps[1:]
	}
	t.finish()
}

func (t *simTask) finish() {
	if p := t.parent; p != nil {
		if p.children--; p.children == 0 {
			p.wake()
		}
	}
	if t.done != nil {
		t.done()
	}
	t.s.free = append(t.s.free, t.ctx)
}

// call goes on with the call as far as it can, and reports whether it is over.
func (t *simTask) call(p *simPool) bool {
	s := t.s
	switch t.phase {
	case 0: // wants a connection
		t.waited = 0
		t.phase = 1
		fallthrough
	case 1:
		switch {
		case t.conn != nil: // handed over
		case len(p.idle) > 0:
			t.conn = p.idle[len(p.idle)-1]
			p.idle = p.idle[:len(p.idle)-1]
		case p.made < p.size:
			p.made++
			t.dial(p)
			return false
		default:
			if t.waitSince == 0 {
				t.waitSince = s.now
			}
			p.waiters = append(p.waiters, t)
			return false
		}
		if t.waitSince != 0 {
			t.waited, t.waitSince = s.now-t.waitSince, 0
		}
		fallthrough
	case 2:
		t.cpu(s.rng.Int64N(30 * simUS))
		t.send(p)
		t.phase = 3
		return false
	}
	// the answer was read: give the connection back
	t.phase = 0
	c := t.conn
	t.conn = nil
	if len(p.waiters) == 0 {
		p.idle = append(p.idle, c)
		return true
	}
	w := p.waiters[0]
	p.waiters = p.waiters[1:]
	if p.barging {
		p.idle = append(p.idle, c)
	} else {
		w.conn = c
	}
	w.wake()
	return true
}

func (t *simTask) dial(p *simPool) {
	s := t.s
	s.socks++
	c := &simConn{pool: p, sock: s.socks}
	s.emit(event.Event{Type: event.Conn, Sock: c.sock, RPort: p.port, Head: mapped(1)})
	ctx := s.copied() // of the writer callback
	s.later(s.now+100*simUS+s.rng.Int64N(300*simUS), func() {
		s.ready = append(s.ready, callback{ctx: ctx, done: true, fn: t.wake})
	})
	t.conn, t.phase = c, 2
}

// send asks the peer, which answers after a while.
func (t *simTask) send(p *simPool) {
	s, c := t.s, t.conn
	text, reply := command("GET", "k"), hit
	if p.http {
		text, reply = get("/points"), ok
	}
	if c.ctx == 0 {
		c.ctx = s.copied()
	}
	s.tick()
	s.now++ // two sends on a connection never share an instant
	s.emit(transfer(event.Send, 0, c.sock, text))
	s.truth.calls[simSend{c.sock, s.now}] = &simCall{t.req.id, t.waited}
	t.req.calls++
	t.waited = 0
	s.read(s.now+50*simUS+s.rng.Int64N(6*simMS), c.ctx, transfer(event.Recv, 0, c.sock, reply), t.wake)
}
