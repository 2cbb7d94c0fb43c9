package simulate

import (
	"container/heap"
	"math/rand/v2"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// A process is one event loop, its threads and what they share. Contexts behave as CPython's: a
// task, a timer and a transport get a copy of the current one, and an address is reused as soon as
// its context is gone.
type process struct {
	run        *Run
	rng        *rand.Rand
	with       Traits
	pid        uint32
	late       bool
	now        int64
	ready      []callback
	timers     schedule // asyncio timers, and what happens on sockets and other threads
	planned    int
	free       []uint64 // addresses of contexts that are gone
	next       uint64
	socks      uint64
	ctx        uint64 // current
	base       uint64
	turn       int64 // when this turn of the loop began
	moved      int64 // when the bytes were read that the current callback is for
	open       int   // requests to come, and tasks and work under way
	pools      []*pool
	locks      []*lock
	workers    []worker
	channel    *channel
	model      *pool
	shared     *conn // all calls' that do not wait for each other
	sharedLast int64 // when the last of its answers comes
}

type callback struct {
	ctx    uint64
	done   bool   // the context is gone afterwards
	before func() // what happens outside any context; may be nil
	fn     func()
}

type planned struct {
	at  int64
	seq int
	fn  func() // makes a callback ready
}

type schedule []planned

func (s schedule) Len() int { return len(s) }
func (s schedule) Less(i, j int) bool {
	return s[i].at < s[j].at || s[i].at == s[j].at && s[i].seq < s[j].seq
}
func (s schedule) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(x any)   { *s = append(*s, x.(planned)) }
func (s *schedule) Pop() any     { o := *s; x := o[len(o)-1]; *s = o[:len(o)-1]; return x }

func newProcess(run *Run, rng *rand.Rand, with Traits, pid uint32) *process {
	p := &process{
		run: run, rng: rng, with: with, pid: pid, late: run.Late, next: 0x7f0000000000, socks: uint64(pid) * 1000,
		now: 1e9 + rng.Int64N(5*ms), workers: make([]worker, 1+rng.IntN(3)),
	}
	p.turn = p.now
	for i := range 1 + rng.IntN(2) {
		p.pools = append(p.pools, &pool{
			size: 1 + rng.IntN(3), port: 6379 + uint16(i), http: rng.IntN(3) == 0, barging: rng.IntN(2) == 0,
		})
		p.locks = append(p.locks, &lock{free: 1 + i*(1+rng.IntN(2))}) // a lock, and a semaphore
	}
	p.channel = &channel{limit: 1 + rng.IntN(4), inline: rng.IntN(3), streams: map[uint32]*rpc{}}
	p.model = &pool{size: 100, port: modelPort, model: true}
	p.base = p.alloc()
	run.PIDs = append(run.PIDs, pid)
	return p
}

// serve runs the loop until all clients have their answers and all tasks are done.
func (p *process) serve() {
	p.lasting()
	for range 2 + p.rng.IntN(6) {
		p.client()
	}
	for p.open > 0 {
		p.iterate()
	}
	for _, o := range p.pools {
		p.run.Pools = append(p.run.Pools, Pool{p.pid, o.port, o.made})
	}
	p.run.End = max(p.run.End, p.now)
}

func (p *process) alloc() uint64 {
	if n := len(p.free); n > 0 {
		a := p.free[n-1]
		p.free = p.free[:n-1]
		return a
	}
	p.next += 0x100
	return p.next
}

func (p *process) emit(e event.Event) {
	if e.Time == 0 {
		e.Time = p.now
	}
	e.PID = p.pid
	if e.TID == 0 {
		e.TID = p.pid
		if e.Type != event.Switch {
			e.Context = p.ctx
		}
	}
	p.run.Events = append(p.run.Events, e)
}

// spend is CPU time; the thread may lose its CPU, or the GIL, meanwhile. Sometimes the clock
// stands still.
func (p *process) spend(d int64) {
	why, odds := event.Preempted, 40
	if p.with&Threads != 0 && p.rng.IntN(3) == 0 {
		why, odds = event.GIL, 20
	}
	if p.rng.IntN(odds) == 0 {
		p.now += d / 2
		p.away(why, p.rng.Int64N(300*us))
		d -= d / 2
	}
	p.now += d
}

// away is a stretch of the loop's thread without a CPU.
func (p *process) away(why event.Flags, d int64) {
	off := p.now
	p.now += d
	woken := off
	if why&event.Preempted == 0 {
		woken += p.rng.Int64N(d + 1)
	}
	p.emit(event.Event{Type: event.Switch, Flags: why, Arrive: off, Other: uint64(woken)})
}

func (p *process) tick() { p.now += p.rng.Int64N(4) * us }

func (p *process) copied() uint64 {
	a := p.alloc()
	p.tick()
	p.emit(event.Event{Type: event.Copy, Other: a})
	return a
}

// later makes fn happen at a time, as soon as the loop looks.
func (p *process) later(at int64, fn func()) {
	p.planned++
	heap.Push(&p.timers, planned{at, p.planned, fn})
}

// iterate is one turn of the loop.
func (p *process) iterate() {
	p.run.Slowest = max(p.run.Slowest, p.now-p.turn)
	p.turn, p.ctx = p.now, 0
	p.emit(event.Event{Type: event.Loop})
	if len(p.ready) == 0 && len(p.timers) > 0 && p.timers[0].at > p.now {
		off := p.now
		p.now = p.timers[0].at + p.rng.Int64N(30*us)
		p.emit(event.Event{Type: event.Switch, Flags: event.Epoll, Arrive: off, Other: uint64(p.now)})
		p.turn = p.now
	}
	for len(p.timers) > 0 && p.timers[0].at <= p.now {
		heap.Pop(&p.timers).(planned).fn()
	}
	now := p.ready
	p.ready = nil
	for _, c := range now {
		if c.before != nil {
			c.before()
		}
		p.tick()
		p.ctx = c.ctx
		p.emit(event.Event{Type: event.Enter, Other: c.ctx})
		c.fn()
		if c.done {
			p.free = append(p.free, c.ctx)
		}
		p.ctx = 0
	}
}

func (p *process) soon(c callback) { p.ready = append(p.ready, c) }

// timer runs fn after d, in a context of its own.
func (p *process) timer(d int64, fn func()) {
	ctx := p.copied()
	p.later(p.now+d, func() { p.soon(callback{ctx: ctx, fn: fn, done: true}) })
}

// read is a socket becoming readable at a time: its reader runs in ctx when the loop comes to it.
func (p *process) read(arrived int64, ctx uint64, recv event.Event, then func()) {
	p.later(arrived, func() {
		recv.Arrive = arrived
		moved := func() {
			p.tick()
			p.emit(recv)
			p.moved = p.now
		}
		if p.late {
			p.soon(callback{ctx: ctx, before: moved, fn: then}) // fn follows at once
			return
		}
		p.soon(callback{ctx: ctx, fn: func() { moved(); then() }})
	})
}
