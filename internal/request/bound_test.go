package request

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

func heapAfter(t *testing.T, fn func() any) (grown uint64) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	kept := fn()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(kept)
	return after.HeapAlloc - min(after.HeapAlloc, before.HeapAlloc)
}

type counted struct{ requests, calls int }

func (c *counted) Request(*Request)      { c.requests++ }
func (c *counted) Call(*Call)            { c.calls++ }
func (c *counted) Connection(Connection) {}
func (c *counted) Lag(Lag)               {}
func (c *counted) Block(Block)           {}

// Requests, connections without an end, threads and contexts without number: memory stays.
func TestMemoryIsBounded(t *testing.T) {
	const rounds = 80_000
	sink := &counted{}
	tr := New(Options{Endpoint: func(_ uint32, m, p string) string { return m }, Late: func(uint32) bool { return false }}, sink)
	feed := func(p *tape) {
		for i := range p.events {
			tr.Feed(&p.events[i])
		}
	}
	grown := heapAfter(t, func() any {
		feed(newTape().at(1).loop().known(1, 6379))
		for i := range uint64(rounds) {
			now := float64(i) + 2
			ctx := 0x1000 + i*0x100 // addresses never come back
			p := newTape().at(now).loop().enter(2).syn(10+i).accept(10+i).in(10+i, now, get(fmt.Sprint("/", i))).copied(ctx).enter(ctx).copied(ctx + 1)
			p.ask(1, command("GET", "k")).loop().at(now+0.3).enter(ctx+2).answer(1, now+0.2, hit).enter(ctx).reply(10+i, ok)
			p.on(uint32(1000 + i)).as(0).enter(ctx + 1).add(event.Event{Type: event.Sleep}) // a thread for each request
			feed(p)
		}
		return tr
	})
	if sink.requests != rounds {
		t.Errorf("%d requests of %d", sink.requests, rounds)
	}
	if len(tr.in) > maxConnections || len(tr.threads) > maxThreads || len(tr.contexts.byKey) > maxContexts {
		t.Errorf("%d connections, %d threads, %d contexts", len(tr.in), len(tr.threads), len(tr.contexts.byKey))
	}
	if n := loss(tr, "connection forgotten for lack of room"); n == 0 {
		t.Error("connections were forgotten and nobody counted")
	}
	t.Logf("%d MB after %d requests", grown>>20, rounds)
	if grown > 300<<20 {
		t.Errorf("%d MB are kept after %d requests", grown>>20, rounds)
	}
}

func loss(tr *Tracker, reason string) uint64 {
	for _, l := range tr.Losses() {
		if l.Reason == reason {
			return l.Count
		}
	}
	return 0
}

// A timer that starts itself anew copies each context from the one before, for ever.
func TestChainOfTimersIsBounded(t *testing.T) {
	tr := newTracker(&facts{}, false)
	addresses := [...]uint64{0x100, 0x200, 0x300}
	grown := heapAfter(t, func() any {
		for i := range int64(300_000) {
			now := addresses[i%3]
			tr.Feed(&event.Event{Type: event.Enter, Time: i * 1000, PID: 1, TID: 1, Other: now})
			tr.Feed(&event.Event{Type: event.Copy, Time: i*1000 + 1, PID: 1, TID: 1, Context: now, Other: addresses[(i+1)%3]})
		}
		return tr
	})
	if grown > 8<<20 {
		t.Errorf("%d MB are kept of a chain of timers", grown>>20)
	}
}

func TestOutboundConnectionsAreBounded(t *testing.T) {
	sink := &counted{}
	tr := New(Options{Endpoint: func(_ uint32, m, p string) string { return m }, Late: func(uint32) bool { return false }}, sink)
	for i := range uint64(maxConnections + 1000) {
		p := newTape().at(float64(i)+1).dial(i+1, 6379).ask(i+1, command("GET", "k"))
		for k := range p.events {
			tr.Feed(&p.events[k])
		}
	}
	if len(tr.out) > maxConnections {
		t.Errorf("%d connections", len(tr.out))
	}
	if forgotten := loss(tr, "connection forgotten for lack of room"); forgotten == 0 || sink.calls != int(forgotten) {
		t.Errorf("%d connections forgotten, %d of their calls told", forgotten, sink.calls)
	}
}

// A pool that is without a connection again and again is remembered, and others without number are not.
func TestEmptyPoolsAreRemembered(t *testing.T) {
	tr := newTracker(&facts{}, false)
	feed := func(p *tape) {
		for i := range p.events {
			tr.Feed(&p.events[i])
		}
	}
	p := newTape().at(1).loop()
	for i := range uint64(3 * maxEmpty) {
		p.at(2+float64(i)).dial(100+i, 6379).ask(100+i, command("GET", "k")).answer(100+i, 2+float64(i), hit).close(100 + i)
	}
	feed(p)
	if len(tr.pools) != 1 || len(tr.empty) != 1 {
		t.Errorf("%d pools, %d remembered", len(tr.pools), len(tr.empty))
	}
	for i := range uint16(3 * maxEmpty) {
		feed(newTape().at(1000+float64(i)).dial(1000+uint64(i), 7000+i).ask(1000+uint64(i), command("GET", "k")).close(1000 + uint64(i)))
	}
	if len(tr.pools) != maxEmpty || len(tr.empty) != maxEmpty {
		t.Errorf("%d pools, %d remembered", len(tr.pools), len(tr.empty))
	}
}
