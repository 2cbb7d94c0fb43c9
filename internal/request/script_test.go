package request

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// A tape is an event stream written by hand, so that a test reads as what happened. One thread
// of one process speaks until `on` says otherwise; `at` sets the clock, in milliseconds.
type tape struct {
	events []event.Event
	now    int64
	pid    uint32
	tid    uint32
	ctx    uint64 // the current context
}

const (
	apiPID  = 100
	loopTID = 100
)

func newTape() *tape { return &tape{pid: apiPID, tid: loopTID} }

func ms(v float64) int64 { return int64(v * 1e6) }

func (p *tape) at(v float64) *tape { p.now = ms(v); return p }

func (p *tape) on(tid uint32) *tape { p.tid = tid; return p }

// as sets the context that is current on the thread, without a trap.
func (p *tape) as(ctx uint64) *tape { p.ctx = ctx; return p }

func (p *tape) add(e event.Event) *tape {
	if e.Time == 0 {
		e.Time = p.now
	}
	e.PID, e.TID = p.pid, p.tid
	if e.Context == 0 {
		e.Context = p.ctx
	}
	p.events = append(p.events, e)
	return p
}

func (p *tape) loop() *tape { p.ctx = 0; return p.add(event.Event{Type: event.Loop}) }

// slept is the event loop's sleep in epoll, from a time in ms until now.
func (p *tape) slept(from float64) *tape {
	return p.add(event.Event{Type: event.Switch, Flags: event.Epoll, Arrive: ms(from), Other: uint64(p.now)})
}

// off is a stretch of the thread without a CPU, from a time in ms until now; woken in ms.
func (p *tape) off(from, woken float64, why event.Flags) *tape {
	return p.add(event.Event{Type: event.Switch, Flags: why, Arrive: ms(from), Other: uint64(ms(woken))})
}

func (p *tape) enter(ctx uint64) *tape {
	p.ctx = ctx
	return p.add(event.Event{Type: event.Enter, Other: ctx})
}

// copied is a context made from the current one.
func (p *tape) copied(child uint64) *tape { return p.add(event.Event{Type: event.Copy, Other: child}) }

// syn is an inbound connection that is established now; accept returned it at a time in ms.
func (p *tape) syn(sock uint64) *tape {
	return p.add(event.Event{Type: event.Conn, Sock: sock, Flags: event.Inbound, LPort: 8000, RPort: 50000, Head: make([]byte, 32)})
}

func (p *tape) accept(sock uint64) *tape { return p.add(event.Event{Type: event.Accept, Sock: sock}) }

// midway is an inbound connection that was open before we came.
func (p *tape) midway(sock uint64) *tape {
	return p.add(event.Event{Type: event.Conn, Sock: sock, Flags: event.Inbound | event.Midway, Head: make([]byte, 32)})
}

// in reads bytes of a client that arrived at a time in ms.
func (p *tape) in(sock uint64, arrived float64, text string) *tape {
	return p.piece(event.Recv, event.Inbound, sock, ms(arrived), text)
}

// reply writes bytes to a client.
func (p *tape) reply(sock uint64, text string) *tape {
	return p.piece(event.Send, event.Inbound, sock, 0, text)
}

func (p *tape) close(sock uint64) *tape { return p.add(event.Event{Type: event.Close, Sock: sock}) }

func (p *tape) hangUp(sock uint64) *tape {
	return p.add(event.Event{Type: event.Close, Sock: sock, Flags: event.Inbound})
}

func mapped(last byte) []byte {
	head := make([]byte, 32)
	for _, at := range []int{0, 16} {
		head[at+10], head[at+11] = 0xff, 0xff
		copy(head[at+12:], []byte{127, 0, 0, last})
	}
	return head
}

// dial is the target's own connect to a port.
func (p *tape) dial(sock uint64, port uint16) *tape {
	return p.add(event.Event{Type: event.Conn, Sock: sock, RPort: port, Head: mapped(1)})
}

// known is a connection of the target that was open before we came.
func (p *tape) known(sock uint64, port uint16) *tape {
	return p.add(event.Event{Type: event.Conn, Flags: event.Midway, Sock: sock, RPort: port, Head: mapped(1)})
}

// ask sends to a peer, from the current context.
func (p *tape) ask(sock uint64, text string) *tape { return p.piece(event.Send, 0, sock, 0, text) }

// answer reads bytes of a peer that arrived at a time in ms.
func (p *tape) answer(sock uint64, arrived float64, text string) *tape {
	return p.piece(event.Recv, 0, sock, ms(arrived), text)
}

// What the kernel side captures of a transfer (bpf/headers/event.h).
const headMax, tailMax = 1024, 256

func (p *tape) piece(what event.Type, flags event.Flags, sock uint64, arrived int64, text string) *tape {
	e := event.Event{Type: what, Flags: flags, Sock: sock, Arrive: arrived, Len: uint32(len(text))}
	limit := headMax
	if what == event.Send || flags == 0 {
		limit = headMax / 2
	}
	e.Head = []byte(text[:min(len(text), limit)])
	if rest := text[len(e.Head):]; rest != "" {
		e.Tail = []byte(rest[max(0, len(rest)-tailMax):])
	}
	return p.add(e)
}

// facts are what a tracker found.
type facts struct {
	requests    []*Request
	calls       []*Call // in no request's list
	connections []Connection
	lags        []Lag
	blocks      []Block
}

func (f *facts) Request(r *Request)      { f.requests = append(f.requests, r) }
func (f *facts) Call(k *Call)            { f.calls = append(f.calls, k) }
func (f *facts) Connection(k Connection) { f.connections = append(f.connections, k) }
func (f *facts) Lag(k Lag)               { f.lags = append(f.lags, k) }
func (f *facts) Block(k Block)           { f.blocks = append(f.blocks, k) }

// calling is the newest request of an endpoint, which has calls.
func (f *facts) calling(t *testing.T, endpoint string) (r *Request) {
	t.Helper()
	for _, x := range f.requests {
		if x.Endpoint == endpoint {
			r = x
		}
	}
	if r == nil || len(r.Calls) == 0 {
		t.Fatalf("requests %v", f.requests)
	}
	return r
}

func newTracker(f *facts, late bool) *Tracker {
	return New(Options{
		Endpoint: func(_ uint32, method, path string) string { return method + " " + path },
		Late:     func(uint32) bool { return late },
	}, f)
}

// play feeds a tape to a tracker.
func play(t *testing.T, p *tape) (*facts, *Tracker) {
	t.Helper()
	return playOn(t, p, false)
}

// playOn feeds it to one whose process is uvloop's if late.
func playOn(t *testing.T, p *tape, late bool) (*facts, *Tracker) {
	t.Helper()
	f := &facts{}
	tr := newTracker(f, late)
	for i := range p.events {
		tr.Feed(&p.events[i])
	}
	tr.Pass(1 << 62)
	for _, r := range f.requests {
		whole(t, r)
	}
	return f, tr
}

// whole checks what must hold for every request: its spans are disjoint and ascending, leave
// no gap, and so sum to the total.
func whole(t testing.TB, r *Request) {
	t.Helper()
	if why := broken(r); why != "" {
		t.Errorf("%s %s: %s; spans %v", r.ID, r.Endpoint, why, r.Spans)
	}
}

func broken(r *Request) string {
	if r.Total() < 0 {
		return fmt.Sprintf("total of %d ns", r.Total())
	}
	at := r.Start
	for _, s := range r.Spans {
		switch {
		case s.Start != at:
			return fmt.Sprintf("span begins at %d, the one before ended at %d", s.Start, at)
		case s.End <= s.Start:
			return fmt.Sprintf("span of %d ns", s.End-s.Start)
		case (s.Peer != "") != (s.Stage == PoolWait || s.Stage == Connect || s.Stage == Upstream):
			return fmt.Sprintf("stage %s with peer %q", s.Stage, s.Peer)
		}
		at = s.End
	}
	if at != r.Last {
		return fmt.Sprintf("spans end at %d, the request at %d", at, r.Last)
	}
	for _, k := range r.Calls {
		if k.PoolWait < 0 || k.Connect < 0 || k.FirstArrived > k.LastArrived {
			return fmt.Sprintf("call with impossible times: %+v", *k)
		}
	}
	return ""
}

// sum is a request's time in a stage, in milliseconds.
func (r *Request) sum(stage string) float64 {
	var ns int64
	for _, s := range r.Spans {
		if s.Stage == stage {
			ns += s.End - s.Start
		}
	}
	return float64(ns) / 1e6
}

// stages writes a request's spans as "receive_queue 1, on_cpu 2": stage and milliseconds.
func stages(r *Request) string {
	out := ""
	for i, s := range r.Spans {
		if i > 0 {
			out += ", "
		}
		out += s.Stage
		if s.Peer != "" {
			out += " " + s.Peer
		}
		out += fmt.Sprintf(" %g", float64(s.End-s.Start)/1e6)
	}
	return out
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: api\r\n\r\n" }

func command(words ...string) string {
	out := fmt.Sprintf("*%d\r\n", len(words))
	for _, w := range words {
		out += fmt.Sprintf("$%d\r\n%s\r\n", len(w), w)
	}
	return out
}

const hit, miss = "$1\r\n1\r\n", "$-1\r\n"

func slicesByTime(events []event.Event) {
	slices.SortStableFunc(events, func(a, b event.Event) int { return cmp.Compare(a.Time, b.Time) })
}
