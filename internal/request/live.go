package request

import (
	"slices"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// live is a request that is not finished: the fact under construction and what its stages
// will be made of.
type live struct {
	Request
	conn      *inbound
	stream    uint32 // HTTP/2
	draft     *draft // it has no head yet
	front     *front // whose threads serve it
	unordered bool   // those may have gone on with others of its connection first
	reader    *node  // stands for it while a thread reads or parses for it
	bound     bool   // a context is known
	answered  bool
	parts     []part
	ready     int64 // since when what it awaits is there; 0: nothing is
	wasReady  int64 // ready, before it went on at
	resumedAt int64
	drained   int64 // when its client had taken what it made wait; 0: nobody was told yet
	woken     int64 // since when a worker thread is done for it; 0: none is
	lastEnd   int64 // of its last step
	lastTurn  uint32
	stepped   bool   // a context of its own has run
	hopTurn   uint32 // of the newest step of its connection's that followed on its own
	drainedIn uint32 // the loop's turn
	lastTID   *thread
	on        []*thread   // that run one of its contexts now
	awaiting  []*exchange // calls under way
	passing   passing     // tokens
	lent      *node       // a context that is its own only until it is answered
	pauses    []pause
	made      []made // calls, by pool
	fedIn     uint32 // the loop's turn in which bytes of its body were last read
}

// A part is an interval that claims a stage. Parts may overlap; the sweep decides.
type part struct {
	start, end int64
	stage      uint8 // index in Stages
	peer       string
	call       *Call // of upstream
}

// The indexes in Stages.
const (
	acceptQueue = iota
	receiveQueue
	onCPU
	runQueue
	gilWait
	blocked
	poolWait
	connect
	upstream
	loopWait
	send
	unexplained
)

// maxParts bounds a request's memory: a stream of 4,000 tokens makes about 16,000.
const maxParts = 1 << 16

func (l *live) add(stage uint8, start, end int64, peer string, call *Call) {
	if end <= start || l.answered {
		return
	}
	if len(l.parts) == maxParts {
		l.miss("more than 65,536 parts: later ones count as unexplained")
		return
	}
	l.parts = append(l.parts, part{start, end, stage, peer, call})
}

func (l *live) miss(why string) {
	for _, m := range l.Missing {
		if m == why {
			return
		}
	}
	l.Missing = append(l.Missing, why)
}

// runsOn and left keep the list of threads that run a context of this request.
func (l *live) runsOn(th *thread) {
	if !slices.Contains(l.on, th) {
		l.on = append(l.on, th)
	}
}

func (l *live) left(th *thread) {
	l.on = slices.DeleteFunc(l.on, func(o *thread) bool { return o == th })
}

// own makes n a context of this request.
func (l *live) own(n *node) {
	n.live, n.parent, n.conn = l, nil, nil
	l.bound = true
}

// resumed notes that one of its contexts runs again.
func (l *live) resumed(th *thread, at int64) {
	if l.woken != 0 && th.isLoop {
		if th.slept <= l.woken { // a loop that slept since then had nothing to go on with
			l.add(loopWait, l.woken, at, "", nil)
		}
		l.woken = 0
	}
	l.writable(th, at)
	if l.ready != 0 {
		l.add(loopWait, l.ready, at, "", nil)
		l.wasReady, l.resumedAt, l.ready = l.ready, at, 0
	}
}

// arrived notes that something it awaits is there.
func (l *live) arrived(at int64) {
	if l.ready == 0 || at < l.ready {
		l.ready = at
	}
}

// ran adds the thread's current step, which ends now, and what interrupted it.
func (l *live) ran(th *thread, at int64) {
	from := th.since
	if l.lastTID == th && th.isLoop && th.turn-max(l.lastTurn, l.hopTurn) <= 1 && l.lastEnd < from && th.slept < l.lastEnd {
		l.add(loopWait, l.lastEnd, from, "", nil) // it yielded, or waited for what the loop ran meanwhile
	}
	for _, c := range th.cuts {
		if c.off >= at {
			break
		}
		l.onCPU(from, c.off)
		l.offCPU(c)
		from = c.on
	}
	l.onCPU(from, at)
	l.lastEnd, l.lastTurn, l.lastTID = at, th.turn, th
}

// begun is the first step of a context of its own: from the read on it waited for the event loop, if
// that has not slept since.
func (l *live) begun(th *thread, at int64) {
	if l.stepped {
		return
	}
	l.stepped = true
	switch {
	case !th.isLoop:
	case l.draft != nil:
		l.draft.began, l.draft.slept = at, th.slept
	case th.slept < l.Read:
		l.add(loopWait, l.Read, at, "", nil)
	}
}

// hopped notes that another context of its connection runs in the turn after its own last step, or
// after such a one: a task of the server's, which the request waits for.
func (l *live) hopped(th *thread) {
	if l.lastTID == th && th.turn-max(l.lastTurn, l.hopTurn) <= 1 {
		l.hopTurn = th.turn
	}
}

func (l *live) onCPU(from, to int64) {
	l.add(onCPU, from, to, "", nil)
}

func (l *live) offCPU(c cut) {
	woken := c.woken
	if woken < c.off || woken > c.on {
		woken = c.on
	}
	switch {
	case c.pool:
	case c.kind&event.Preempted != 0:
		woken = c.off
	case c.kind&event.GIL != 0:
		l.add(gilWait, c.off, woken, "", nil)
	case c.toClient:
		l.add(send, c.off, woken, "", nil)
	default:
		l.add(blocked, c.off, woken, "", nil)
	}
	l.add(runQueue, woken, c.on, "", nil)
}
