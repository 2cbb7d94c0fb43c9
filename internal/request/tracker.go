package request

import (
	"slices"
	"strings"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// Options are what the heart needs to know of its surroundings, as pure functions.
type Options struct {
	// Endpoint names a request by its route template: "GET /items/{id}".
	Endpoint func(pid uint32, method, path string) string
	// Late reports whether the process reads a socket before it enters the connection's
	// context (uvloop), not after (asyncio).
	Late func(pid uint32) bool
	// EventLoop reports whether a thread of the process that polls with epoll and reads what clients
	// send is an event loop (asyncio), not one of a runtime's own; nil: always.
	EventLoop func(pid uint32) bool
}

// Sink takes the facts. Its calls come in the order in which things end; the values belong to
// the sink.
type Sink interface {
	Request(*Request)
	// Call is a finished call that is in no request's list: an orphan (Endpoint is "") or one
	// that outlived its request.
	Call(*Call)
	// Connection is a change of a pool.
	Connection(Connection)
	// Lag and Block tell of event loops.
	Lag(Lag)
	Block(Block)
}

// Change is what happened to a connection.
type Change uint8

// The changes of a connection, or of a stream where the pool's unit is streams.
const (
	Opened Change = iota
	Closed
	Busy     // a call has it
	Free     // its call is answered
	Waited   // a call had waited for it, from Time to End
	Limit    // the peer allows N streams
	Leaked   // a request that has ended likely never gave it back
	Returned // it was used again, so it was not leaked
	TimedOut // a context likely waited for one, from Time to End, and gave up
)

// Connection is a change of a pool, at a time (CLOCK_MONOTONIC, ns).
type Connection struct {
	Time, End int64
	Change    Change
	PID       uint32
	Peer      Peer
	ID        uint64
	Endpoint  string // who has it or waited for it; "" unknown
	Operation string // Busy, Free, Leaked: the call
	Unread    bool   // Leaked: its answer was never read to the end
	Streams   bool   // the unit is HTTP/2 streams
	N         int    // Limit
	Unsure    int64  // Waited: ns at its begin that may have been a wait for something else
	Watched   bool   // Busy: a wait for it would have been seen
	Made      Made   // Opened
}

// Tracker turns events into facts. Feed it events in time order, see Sequence.
type Tracker struct {
	opts     Options
	sink     Sink
	contexts contexts
	threads  map[uint32]*thread
	in       map[uint64]*inbound
	out      map[uint64]*outbound
	pools    map[poolKey]*connections
	empty    []poolKey        // pools that had no connection at some time, the oldest first
	grpc     map[uint32]*stub // by pid
	fronts   map[uint32]*front
	secured  map[uint64]*secured
	readable map[whose]bool     // a TLS connection of theirs was read
	habits   map[string]*habits // by endpoint
	locks    locks
	losses   map[[2]string]uint64
	counts   map[string]int64  // requests under way, by endpoint
	crowds   map[uint32]*crowd // … by pid
	gaps     gaps
	labels   labels
	starting map[uint32]bool     // processes that have begun before our eyes and do not serve yet
	works    map[contextKey]work // handed to executors, by the address of the item
	writers  map[uint64]*node    // who wrote last to a socket, where a later turn's context sends
	step     Step
	turns    []turn // to come
	closing  []closing
	sweeper  active
	orphans  uint64
}

// New makes a tracker that hands its facts to sink.
func New(opts Options, sink Sink) *Tracker {
	return &Tracker{
		opts: opts, sink: sink, contexts: newContexts(), threads: map[uint32]*thread{},
		in: map[uint64]*inbound{}, out: map[uint64]*outbound{}, pools: map[poolKey]*connections{},
		grpc: map[uint32]*stub{}, fronts: map[uint32]*front{}, writers: map[uint64]*node{}, works: map[contextKey]work{}, starting: map[uint32]bool{}, secured: map[uint64]*secured{}, readable: map[whose]bool{}, habits: map[string]*habits{}, locks: locks{}, losses: map[[2]string]uint64{}, counts: map[string]int64{}, crowds: map[uint32]*crowd{},
	}
}

// Feed takes the next event. It keeps nothing of e or of its bytes.
func (t *Tracker) Feed(e *event.Event) {
	t.Pass(e.Time)
	for len(t.turns) > 0 && t.turns[0].at <= e.Time {
		t.turnTo(t.turns[0].to)
		t.turns = t.turns[1:]
	}
	switch {
	case e.Type == event.Cipher:
		t.onCipher(e)
		return
	case e.Has(event.TLS) && (e.Type == event.Recv || e.Type == event.Send || e.Type == event.Frames):
		t.onPlain(e)
		return
	case e.Type == event.Close:
		t.endTLS(e)
	}
	t.feed(e)
}

func (t *Tracker) feed(e *event.Event) {
	switch e.Type {
	case event.Enter:
		t.onEnter(e)
	case event.Loop:
		t.onLoop(e)
	case event.Switch:
		t.onSwitch(e)
	case event.Sleep:
		t.onSleep(e)
	case event.Copy:
		t.onCopy(e)
	case event.New:
		t.onNew(e)
	case event.GRPCCall:
		t.onGRPCCall(e)
	case event.GRPCStart:
		t.onGRPCStart(e)
	case event.Queued:
		t.onQueued(e)
	case event.WorkPut:
		t.onWorkPut(e)
	case event.WorkGot:
		t.onWorkGot(e)
	case event.WorkDone:
		t.onWorkDone(e)
	case event.Sample:
		t.onSample(e)
	default:
		t.onSocket(e)
	}
}

func (t *Tracker) onSocket(e *event.Event) {
	if e.Type == event.Recv {
		t.thread(e).brings()
	}
	if e.Has(event.Inbound) || e.Type == event.Accept {
		switch e.Type {
		case event.Conn:
			t.onInboundConn(e)
		case event.Accept:
			t.onAccept(e)
		case event.Recv:
			t.onInboundRecv(e)
		case event.Send:
			t.onInboundSend(e)
		case event.Close:
			t.onInboundClose(e)
		case event.Frames:
			t.onInboundFrames(e)
		}
		return
	}
	switch e.Type {
	case event.Conn:
		t.onOutboundConn(e)
	case event.Opened:
		t.onOutboundOpened(e)
	case event.Recv:
		t.onOutboundRecv(e)
	case event.Send:
		t.onOutboundSend(e)
	case event.Frames:
		t.onFrames(e)
	case event.Close:
		t.onOutboundClose(e)
	}
}

// Step is what the events tell of execution contexts.
type Step uint8

// The steps, dearest first.
const (
	Followed Step = iota // births, and when a thread enters a context
	Ending               // the same, for the requests that are followed: those that begin now are not
	Linked               // births only
	Apart                // neither: what sends and receives is all that is known
)

// enters says whether the events tell when a thread enters a context.
func (s Step) enters() bool { return s <= Ending }

// Turn tells that the events from a time on (CLOCK_MONOTONIC, ns) are those of another step. Requests under way
// then were seen by halves, see Request.Followed.
func (t *Tracker) Turn(to Step, at int64) { t.turns = append(t.turns, turn{to, at}) }

type turn struct {
	to Step
	at int64
}

// turnTo is called when the events have come to the time of a turn.
func (t *Tracker) turnTo(to Step) {
	from := t.step
	t.step = to
	if from.enters() && to.enters() || from == to {
		return
	}
	unknown := from == Apart || to == Apart
	if unknown {
		clear(t.writers)
		clear(t.works)
		t.unsettle()
		t.contexts = newContexts() // what was born meanwhile was not seen, so no address can be trusted
	}
	if from.enters() {
		t.contexts.keepBusy()
	}
	for _, th := range t.threads {
		th.current, th.cuts, th.asleep, th.accepts = nil, nil, 0, nil
		th.turns.told, th.turns.start, th.limiter = false, 0, nil
		if unknown {
			th.reading, th.got = reading{}, nil
		}
	}
	for _, c := range t.in {
		for _, l := range c.queue {
			l.Followed = false
		}
		if c.h2 != nil {
			for _, l := range c.h2.streams {
				l.Followed, l.on = false, nil
			}
			for _, d := range c.h2.drafts {
				d.Followed, d.on = false, nil
			}
		}
		if l := c.open; l != nil {
			l.Followed, l.on = false, nil
		}
	}
}

// Following is how many requests under way are followed.
func (t *Tracker) Following() (n int) {
	for _, c := range t.in {
		if c.open != nil && c.open.Followed {
			n++
		}
		for _, l := range c.queue {
			if l.Followed {
				n++
			}
		}
	}
	return n
}

// Gone forgets a process that has ended; its open requests are handed out incomplete.
func (t *Tracker) Gone(pid uint32, at int64) {
	for _, id := range sortedBy(t.in, func(c *inbound) bool { return c.pid == pid }) {
		t.endTLS(&event.Event{Type: event.Close, Sock: id, Time: at, PID: pid, Flags: event.Inbound})
		t.endInbound(id, at)
	}
	for _, id := range sortedBy(t.out, func(c *outbound) bool { return c.pid == pid }) {
		t.endTLS(&event.Event{Type: event.Close, Sock: id, Time: at, PID: pid})
		t.closeOutbound(t.out[id], at, "its process ended")
	}
	for tid, th := range t.threads {
		if th.pid == pid {
			t.opened(th)
			delete(t.threads, tid)
		}
	}
	for k := range t.pools {
		if k.pid == pid {
			delete(t.pools, k)
		}
	}
	delete(t.grpc, pid)
	delete(t.fronts, pid)
	delete(t.starting, pid)
	delete(t.crowds, pid)
	delete(t.readable, whose{pid, "inbound"})
	delete(t.readable, whose{pid, "outbound"})
}

// Orphans returns how many finished calls belonged to no request, though calls were linked when they were made.
func (t *Tracker) Orphans() uint64 { return t.orphans }

func (t *Tracker) lose(source, reason string) { t.loseN(source, reason, 1) }

func (t *Tracker) loseN(source, reason string, n uint64) {
	t.losses[[2]string{source, reason}] += n
}

// Loss is a count of events that happened and were not understood.
type Loss struct {
	Source, Reason string
	Count          uint64
}

// Losses returns the counts since New, in a fixed order.
func (t *Tracker) Losses() []Loss {
	out := make([]Loss, 0, len(t.losses))
	for k, n := range t.losses {
		out = append(out, Loss{k[0], k[1], n})
	}
	slices.SortFunc(out, func(a, b Loss) int { return strings.Compare(a.Source+a.Reason, b.Source+b.Reason) })
	return out
}

// use reports that a call has, or gave back, a connection or stream.
func (t *Tracker) use(c *outbound, at int64, change Change, l *live, operation string) {
	k := c.changed(change, l, at)
	k.Operation = operation
	if change == Busy {
		k.Watched = l == nil && t.step == Followed || l != nil && l.Followed || k.Streams && t.step != Apart
	}
	t.sink.Connection(k)
}

// waitFor reports a wait for c, or one in vain, of which the first ns may have been for something else.
func (t *Tracker) waitFor(c *outbound, change Change, l *live, from, to, unsure int64) {
	k := c.changed(change, l, from)
	k.End, k.Unsure = to, unsure
	if d := l.drafted(); d != nil && len(d.held) < maxDraftWaits {
		d.held = append(d.held, k)
		return
	}
	t.sink.Connection(k)
}

// connection reports a change of c's pool.
func (t *Tracker) connection(c *outbound, at int64, change Change, l *live) {
	k := c.changed(change, l, at)
	if change == Opened {
		k.Made = c.made.until(at)
	}
	t.sink.Connection(k)
}

// changed is a change of c's pool on behalf of a request, or of none.
func (c *outbound) changed(change Change, l *live, at int64) Connection {
	k := Connection{Time: at, Change: change, PID: c.pid, Peer: c.peer, ID: c.id, Streams: c.channel != nil}
	if l != nil {
		k.Endpoint = l.Endpoint
	}
	return k
}
