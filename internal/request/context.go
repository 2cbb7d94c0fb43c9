package request

import "slices"

// A node is one execution context from its birth on: a contextvars.Context, or the thread of
// a worker without one. Addresses are reused at once, so nodes point to nodes, and only the
// newest birth of an address is found by it.
type node struct {
	parent *node
	live   *live    // the request that this context was made for; children inherit
	conn   *inbound // the inbound connection that it was made for, where it is no request's
	home   *inbound // the inbound connection that all this began with
	serves *inbound // whose request it answered last, where its making was not seen
	shared bool     // it answered on several connections
	kids   []*node
	steps  []step // the newest, bounded by maxSteps
	lastIO int64  // its last send or response, or that of what it made: what it wants next begins after this, if it waited for it
	ownIO  int64  // its own
	born   int64  // 0: it was there before us
	depth  int    // ancestors that it keeps

	bornIn  uint32   // the turn of the loop that made it
	bornOff bool     // a worker thread made it
	fired   int64    // when a callback that it had made before began, a timer as a rule
	firedIn uint32   // the turn of that
	kidTurn uint32   // the newest turn in which another of its children ran
	call    *started // of gRPC, that has no stream yet
	wait    gap      // that its current step ended, where another request's context or a thread's did
	hands   *handover
}

// A step is one stretch in which a thread ran a context without leaving it. end is 0 while
// it runs.
type step struct {
	by           *thread
	start, end   int64
	turn, endsIn uint32 // the loop's turn at start and end
	slept        int64  // when the loop had last gone to sleep, at start
	loop         bool   // on an event loop's thread, else on a worker thread
	first        bool   // the first step of its context: a timer, a callback or a new task
	called       bool   // of a first one: it was surely no timer
}

type contextKey struct {
	pid     uint32
	address uint64
}

const (
	maxSteps    = 512 // of one context; a pool wait looks back over a few
	maxKids     = 64  // of one context, for the same look back
	maxDepth    = 16  // ancestors searched: middleware, wait_for, gather and more fit
	maxChain    = 64  // ancestors kept
	maxContexts = 1 << 16
)

// contexts finds nodes by address.
type contexts struct {
	byKey map[contextKey]*node
	ring  []contextKey // in order of birth, to forget the oldest
	next  int
}

func newContexts() contexts {
	return contexts{byKey: map[contextKey]*node{}, ring: make([]contextKey, 0, 1024)}
}

// at returns the node of an address, making an unborn one where we did not see its birth.
func (c *contexts) at(pid uint32, address uint64) *node {
	if address == 0 {
		return nil
	}
	k := contextKey{pid, address}
	n := c.byKey[k]
	if n == nil {
		n = &node{}
		c.put(k, n)
	}
	return n
}

// birth gives the address a new node.
func (c *contexts) birth(pid uint32, address uint64, parent *node, t int64) *node {
	n := &node{born: t}
	if parent != nil {
		n.home = parent.home
	}
	c.put(contextKey{pid, address}, n)
	n.descend(parent)
	return n
}

// descend makes n a child of parent.
func (n *node) descend(parent *node) {
	// A timer that starts itself anew makes a chain without end; nobody looks back that far.
	if parent != nil && parent.depth < maxChain {
		n.parent, n.depth = parent, parent.depth+1
		if len(parent.kids) == maxKids {
			parent.kids = append(parent.kids[:0], parent.kids[maxKids/2:]...)
		}
		parent.kids = append(parent.kids, n)
	}
}

func (c *contexts) put(k contextKey, n *node) {
	if _, known := c.byKey[k]; !known {
		if len(c.ring) < maxContexts {
			c.ring = append(c.ring, k)
		} else {
			delete(c.byKey, c.ring[c.next])
			c.ring[c.next] = k
			c.next = (c.next + 1) % maxContexts
		}
	}
	c.byKey[k] = n
}

// keepBusy forgets the contexts that work for no request under way. It is called where the births of callbacks are
// no longer told: their addresses will be others' soon.
func (c *contexts) keepBusy() {
	c.noConnections()
	for k, n := range c.byKey {
		if l := n.owner(); l == nil || l.answered {
			delete(c.byKey, k)
		}
	}
}

// noConnections forgets which contexts serve a connection for all its requests, and whose they answered.
func (c *contexts) noConnections() {
	for _, n := range c.byKey {
		n.conn, n.home, n.serves = nil, nil, nil
	}
}

// owner returns the request that the context works for.
func (n *node) owner() *live {
	for depth := 0; n != nil && depth < maxDepth; depth++ {
		if n.live != nil {
			return n.live
		}
		if n.conn != nil {
			return n.conn.sole()
		}
		n = n.parent
	}
	return nil
}

// connection is the inbound connection that the context, or the nearest that made it, was made for.
func (n *node) connection() *inbound {
	for depth := 0; n != nil && n.live == nil && depth < maxDepth; depth++ {
		if n.conn != nil {
			return n.conn
		}
		n = n.parent
	}
	return nil
}

// top returns the outermost ancestor that belongs to the same request.
func (n *node) top() *node {
	for depth := 0; n.live == nil && n.parent != nil && depth < maxDepth; depth++ {
		n = n.parent
	}
	return n
}

// oldest returns the outermost ancestor that is kept.
func (n *node) oldest() *node {
	for depth := 0; n.parent != nil && depth < maxChain; depth++ {
		n = n.parent
	}
	return n
}

// detach takes n from the request and the context that it was made for: it turned out to work
// for others as well, as the context of a connection that one request opened and all use.
func (n *node) detach() {
	if p := n.parent; p != nil {
		p.kids = slices.DeleteFunc(p.kids, func(k *node) bool { return k == n })
	}
	n.parent, n.live, n.conn = nil, nil, nil
}

// stepOf returns the thread's newest step of the context. A context may run on two threads at
// once: anyio enters the one that it makes for a worker on the event loop first.
func (n *node) stepOf(th *thread) *step {
	for i := len(n.steps) - 1; i >= 0; i-- {
		if n.steps[i].by == th {
			return &n.steps[i]
		}
	}
	return nil
}

func (n *node) begin(s step) {
	s.first = len(n.steps) == 0
	if len(n.steps) == cap(n.steps) && len(n.steps) > keptSteps {
		n.tidy()
	}
	if len(n.steps) == maxSteps {
		n.steps = append(n.steps[:0], n.steps[maxSteps/2:]...)
	}
	n.steps = append(n.steps, s)
}

// keptSteps are kept of a context that works for no request: if it comes to serve one, only what
// follows is of interest. A server has such a context for each connection.
const keptSteps = 8

// tidy drops steps that no wait looks back to any more.
func (n *node) tidy() {
	old := len(n.steps) - keptSteps
	want := n.wants()
	if n.owner() == nil {
		want = n.steps[old].start
	}
	i := 0
	for i < old && n.steps[i].end != 0 && n.steps[i].end < want {
		i++
	}
	n.steps = append(n.steps[:0], n.steps[i:]...)
}

// handedOver is since when n waits for a worker thread, if it does: since the event loop made or
// left it; 0: unknown, or a thread had it already.
func (n *node) handedOver() int64 {
	if len(n.steps) == 0 {
		return n.born
	}
	if s := n.steps[len(n.steps)-1]; s.loop {
		return s.end
	}
	return 0
}

// didIO notes that the context sent or received something, here and in the ancestors that
// wait for it.
func (n *node) didIO(t int64) {
	if n != nil {
		n.ownIO = max(n.ownIO, t)
	}
	for depth := 0; n != nil && depth < maxDepth; depth++ {
		n.lastIO = max(n.lastIO, t)
		if n.live != nil {
			return
		}
		n = n.parent
	}
}
