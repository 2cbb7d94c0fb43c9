package request

import (
	"net/netip"
	"slices"

	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/protocol"
)

// outbound is a connection that the target made.
type outbound struct {
	id        uint64
	pid       uint32
	remote    netip.AddrPort
	peer      Peer
	made      creation
	opener    *live
	seen      int64  // last sign of life
	losses    int    // of the dialect, counted so far
	shaken    bool   // used for something else than its handshake
	taken     bool   // a call is out on it
	user      *live  // its last caller's request; nil: of no request
	operation string // its last call
	leaked    bool
	passed    passed
	midway    bool
	dialect   dialect
	channel   *channel // HTTP/2: many calls at a time
	pending   []*exchange
	back      back
	freeSince int64 // when its last answer was read; 0: never
	rests     int64 // since when it surely lies in its pool; 0: who read the answer may have it still
	lastUser  *node
	onThread  bool // its user is a worker thread, not an event loop
	extends   bool // with it the pool was larger than ever
}

// An exchange is one call on a connection, or one step of its handshake (call is nil).
type exchange struct {
	call    *Call
	live    *live // nil: an orphan
	node    *node
	apart   bool  // made while calls were not linked
	paused  bool  // its context stood still while its connection was given back
	answers int   // still to come
	from    int64 // since when the answer, or more of it, is awaited
	body    body
}

// A dialect turns the bytes of one connection into exchanges. It knows nothing of time,
// contexts or requests.
type dialect interface {
	system() string
	// sent returns what begins in this piece; none: the piece goes on with the newest exchange.
	sent(p protocol.Piece) []begun
	// received returns the answers that end in this piece, in order.
	received(p protocol.Piece) []answer
	lost() int
	// miss tells that transfers may be missing before the next one.
	miss()
	// forget is told that the answers still to come are given up.
	forget()
}

// begun is an operation that a piece starts.
type begun struct {
	operation string
	answers   int
	handshake bool
	body      body
}

// body follows what a message says beyond its frame; nil where nothing is wanted.
type body interface {
	sent(p protocol.Piece)
	received(p protocol.Piece, came arrival)
	result() *LLM
	miss() // transfers may be missing before the next one
}

// answer ends one of the awaited answers of the oldest exchange.
type answer struct {
	err     string
	lookups int
	hits    int
	more    bool // not the end: an answer of an exchange that goes on
}

// poolKey is the connections of one process to one address.
type poolKey struct {
	pid    uint32
	remote netip.AddrPort
}

func (t *Tracker) outbound(e *event.Event) *outbound {
	c := t.out[e.Sock]
	if c == nil {
		c = &outbound{id: e.Sock, pid: e.PID, midway: true, remote: netip.AddrPortFrom(netip.Addr{}, e.RPort)}
		t.addOutbound(c)
	}
	t.resumeOutbound(c, e.Time)
	return c
}

// resumeOutbound notes a sign of life. What was moved since the last one may be among lost events:
// then the parsers look for a message's beginning, and what an HTTP/2 header table holds is not
// known any more.
func (t *Tracker) resumeOutbound(c *outbound, at int64) {
	if c.seen != 0 && t.gaps.within(c.seen, at) {
		if c.dialect != nil {
			c.dialect.miss()
		}
		for _, x := range c.pending {
			if x.body != nil {
				x.body.miss()
			}
		}
		if c.channel != nil {
			t.missFrames(c, at, "answer in a gap of lost events")
		}
	}
	c.seen = at
	if c.dialect != nil {
		t.boundaries("outbound", "message boundary lost", c.dialect.lost(), &c.losses)
	}
}

func (t *Tracker) addOutbound(c *outbound) {
	t.makeRoom()
	t.out[c.id] = c
	k := poolKey{c.pid, c.remote}
	if t.pools[k] == nil {
		t.pools[k] = &connections{key: k, byID: map[uint64]*outbound{}, users: map[string]int{}, peaks: map[string]int{}}
	}
	t.pools[k].add(c)
}

// leavePool takes c out of its pool.
func (t *Tracker) leavePool(c *outbound, at int64) {
	p := t.connectionsOf(c)
	if c.shaken {
		p.left.Push(left{at, len(p.byID) == p.most}, keptLeft)
	}
	delete(p.byID, c.id)
	if c.leaked {
		p.leaked--
	}
	switch {
	case c.taken:
		p.gave(c, at)
	case c.shaken:
		p.lay(c, at)
	}
	if len(p.byID) == 0 {
		t.emptied(p)
	}
}

func (t *Tracker) onOutboundConn(e *event.Event) {
	if old := t.out[e.Sock]; old != nil { // told twice
		t.closeOutbound(old, e.Time, "connection closed without an answer")
	}
	_, remote := e.Addresses()
	c := &outbound{id: e.Sock, pid: e.PID, remote: remote, midway: e.Has(event.Midway), seen: e.Time}
	if !c.midway {
		c.made.dialed = e.Time
		c.opener = t.actor(e).owner()
		if c.opener != nil {
			c.made.asked = c.opener.lookup(t.thread(e))
		}
	}
	t.addOutbound(c)
}

func (t *Tracker) onOutboundSend(e *event.Event) {
	c := t.outbound(e)
	p := protocol.Piece{N: int(e.Len), Head: e.Head, Tail: e.Tail}
	if c.dialect == nil {
		if c.dialect = recognise(p, c.remote.Port(), c.midway); c.dialect == nil {
			t.lose("outbound", "protocol not recognised")
			c.dialect = silent{}
		}
	}
	t.giveUp(c, e.Time)
	started := c.dialect.sent(p)
	if len(started) == 0 {
		c.goOn(e, p)
		return
	}
	if c.peer.System == "" {
		c.peer = Peer{System: c.dialect.system(), Address: c.remote.String()}
		if c.peer.System != "" {
			t.connection(c, e.Time, Opened, nil)
		}
	}
	for i := range started {
		t.start(c, e, p, &started[i])
	}
}

// goOn is a piece that continues the newest exchange: a body after its head.
func (c *outbound) goOn(e *event.Event, p protocol.Piece) {
	if len(c.pending) == 0 {
		return
	}
	x := c.pending[len(c.pending)-1]
	if x.body != nil {
		x.body.sent(p)
	}
	if x.call != nil && x.call.FirstArrived == 0 {
		x.call.Sent, x.from = e.Time, e.Time
	}
}

func (t *Tracker) start(c *outbound, e *event.Event, p protocol.Piece, b *begun) {
	if len(c.pending) == maxPending {
		t.lose("outbound", "more than 1,024 answers awaited on a connection")
		c.pending = c.pending[1:]
	}
	x := &exchange{answers: b.answers, from: e.Time, body: b.body}
	c.pending = append(c.pending, x)
	if b.handshake {
		return
	}
	th := t.thread(e)
	n, l, basis := t.caller(th, e)
	x.node, x.live, x.apart = n, l, t.step == Apart
	x.call = &Call{
		Peer: c.peer, Operation: b.operation, Connection: c.id, LocalPort: e.LPort, PID: e.PID, Basis: basis,
		Intent: e.Time, Sent: e.Time,
	}
	th.goesOn(e.Time)
	t.acquire(c, x, th, e.Time)
	if b.body != nil {
		b.body.sent(p)
	}
	t.attach(x)
	t.take(c, x, th, e.Time)
	if l != nil {
		l.follows(n, t.connectionsOf(c), x.call.PoolWaitStart)
	}
	n.didIO(e.Time)
	t.split(th, e.Time)
}

const maxPending = 1024

// attach makes the call one of its request's.
func (t *Tracker) attach(x *exchange) {
	l := x.live
	if l == nil {
		return
	}
	x.call.Endpoint = l.Endpoint
	if l.answered {
		return
	}
	if len(l.Calls) == maxCalls {
		l.miss("more than 10,000 calls: later ones are not listed")
		return
	}
	l.Calls = append(l.Calls, x.call)
	l.awaiting = append(l.awaiting, x)
}

const maxCalls = 10_000 // of one request

// context is the context that sends or was current, nil where that is not known.
func (t *Tracker) context(e *event.Event) *node {
	if n := t.writers[e.Sock]; n != nil && e.Type != event.Recv {
		return n
	}
	if n := t.writers[nameless(e)]; n != nil && e.Type != event.Recv {
		delete(t.writers, nameless(e))
		t.writers[e.Sock] = n
		return n
	}
	if e.Has(event.Stale) {
		return nil
	}
	return t.contexts.at(e.PID, e.Context)
}

// onQueued notes who writes to a socket. The context is found now: when the bytes are sent, its task may have ended.
func (t *Tracker) onQueued(e *event.Event) {
	sock := e.Sock
	if sock == 0 {
		sock = nameless(e)
	}
	delete(t.writers, sock)
	if len(t.writers) >= 2*maxConnections { // their ends were not seen
		clear(t.writers)
	}
	if e.Has(event.Stale) {
		return
	}
	if n := t.contexts.at(e.PID, e.Context); n != nil {
		t.writers[sock] = n
	}
}

// nameless stands for a socket that was there before us and has no cookie until it first sends: its process and ports.
func nameless(e *event.Event) uint64 {
	return 1<<63 | uint64(e.PID)<<32 | uint64(e.LPort)<<16 | uint64(e.RPort)
}

// caller finds whose context is sending.
func (t *Tracker) caller(th *thread, e *event.Event) (*node, *live, string) {
	if e.Has(event.Stale) && e.Context != 0 {
		t.lose("context", "address used again: whose call it is is not known")
	}
	n := t.context(e)
	if o := th.actor(n); o != n {
		return o, o.owner(), "work"
	}
	if n != nil {
		if !t.trusted(n, e.Time) {
			t.lose("context", "address that may have been used again in a gap of lost events")
			return nil, nil, ""
		}
		return n, n.owner(), "context"
	}
	if l := th.serving; l != nil && !th.isLoop && !th.async {
		return l.reader, l, "thread"
	}
	return nil, nil, ""
}

func (t *Tracker) onOutboundRecv(e *event.Event) {
	c := t.out[e.Sock]
	if c == nil || e.Len == 0 {
		return
	}
	t.resumeOutbound(c, e.Time)
	p := protocol.Piece{N: int(e.Len), Head: e.Head, Tail: e.Tail}
	th := t.thread(e)
	if len(c.pending) == 0 && th.isLoop { // whom it wakes is not known
		now, _ := th.thisRound()
		now.foreign = true
	}
	if c.dialect == nil {
		return
	}
	if len(c.pending) > 0 {
		x := c.pending[0]
		x.arrive(e)
		t.receive(x, p, arrivals(x, e))
		if x.live != nil && !x.live.answered && (th.current == nil || th.isLoop) {
			t.lend(th, x.live, e.Time)
		}
		x.node.didIO(e.Time)
		switch {
		case !th.isLoop && !th.turns.serves: // a worker reads its own answers
		case t.late(e):
			th.replied = x
		default:
			t.contexts.at(e.PID, e.Context).readsFor(x, th.since)
		}
	}
	for _, a := range c.dialect.received(p) {
		t.answer(c, e, a)
	}
}

// readsFor notes that n reads an answer; it is no context of a request if that is another's, which
// has not gone on then with the step that began at a time.
func (n *node) readsFor(x *exchange, since int64) {
	if l := n.owner(); l != nil && x.call != nil && n != x.node && l != x.live {
		if l.resumedAt == since && l.ready == 0 {
			l.ready = l.wasReady
		}
		n.detach()
	}
}

func (x *exchange) lastArrival(e *event.Event) int64 {
	if e.Arrive > 0 && e.Arrive <= e.Time {
		return e.Arrive
	}
	return e.Time
}

// arrive notes a piece of the answer: when it came and when it was read.
func (x *exchange) arrive(e *event.Event) {
	at := max(x.lastArrival(e), x.from)
	if k := x.call; k != nil {
		if k.FirstArrived == 0 {
			k.FirstArrived, k.FirstRead = at, e.Time
		}
		k.LastArrived, k.LastRead = max(k.LastArrived, at), max(k.LastRead, e.Time)
	}
	if l := x.live; l != nil {
		l.add(upstream, x.from, at, x.call.Peer.System, x.call)
		l.arrived(at)
	}
	x.from = e.Time
}

func (t *Tracker) answer(c *outbound, e *event.Event, a answer) {
	if len(c.pending) == 0 {
		return // pushed by the server, or asked before we came
	}
	x := c.pending[0]
	if k := x.call; k != nil {
		if k.LastRead != e.Time { // it came in one piece with the answer before it
			x.arrive(e)
		}
		k.Lookups += a.lookups
		k.Hits += a.hits
		if a.err != "" {
			k.Error = a.err
		}
	}
	if a.more {
		return
	}
	if x.answers--; x.answers > 0 {
		return
	}
	c.pending = c.pending[1:]
	t.complete(x)
	if len(c.pending) == 0 {
		c.freeSince = e.Time
		t.thread(e).gives(c, t.connectionsOf(c), e.Time)
		t.giveBack(c, e.Time, x.live)
	}
}

// complete ends the call; one that is in no request's list is handed out alone.
func (t *Tracker) complete(x *exchange) {
	k := x.call
	if k == nil {
		return
	}
	k.Finished = true
	if x.body != nil {
		k.LLM = x.body.result()
	}
	if l := x.live; l != nil {
		l.awaiting = slices.DeleteFunc(l.awaiting, func(o *exchange) bool { return o == x })
		if !l.answered {
			return
		}
	} else if x.apart {
		t.lose("heart", "call not linked: made at the precision sockets")
	} else {
		t.orphans++
	}
	t.sink.Call(k)
}

func (t *Tracker) onOutboundClose(e *event.Event) {
	if c := t.out[e.Sock]; c != nil {
		t.closeOutbound(c, e.Time, "connection closed without an answer")
	}
}

// closeOutbound forgets the connection; calls that it still carries end with an error.
func (t *Tracker) closeOutbound(c *outbound, at int64, why string) {
	delete(t.out, c.id)
	delete(t.writers, c.id)
	t.leavePool(c, at)
	for _, x := range c.pending {
		if x.call == nil {
			continue
		}
		if x.call.FirstArrived == 0 {
			x.call.Error = why
			x.call.LastArrived, x.call.LastRead = at, at
			if x.live != nil {
				x.live.add(upstream, x.from, at, c.peer.System, x.call)
			}
		}
		t.complete(x)
	}
	if c.channel != nil {
		t.closeChannel(c, at, why)
	}
	if c.peer.System != "" {
		t.connection(c, at, Closed, nil)
	}
	if c.dialect != nil {
		t.boundaries("outbound", "message boundary lost", c.dialect.lost(), &c.losses)
	}
}
