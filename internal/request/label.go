package request

import (
	"cmp"
	"slices"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// A label says whose code ran where a stack was taken. It is found when the event of that instant is fed, in order
// with all others, so that the births and ends of contexts are known as they were then; the stack itself comes later
// and asks by thread and time.

// The words for stacks of no request. They are a closed set; README says what each means.
const (
	InEventLoop    = "(event loop)"
	InConnection   = "(connection)"
	BackgroundTask = "(background task)"
	StartingUp     = "(startup)"
	OtherThread    = "(other thread)"
	NotLinked      = "(not linked)"
)

type label struct {
	at       int64
	pid, tid uint32
	live     *live  // it has a name at last when its head is known
	node     *node  // the context that ran for no request, which may turn out to be one's
	word     string // while live is nil
	queued   bool   // the connection had brought another request since
}

// labels are ascending by time.
type labels struct {
	kept []label
	head int // of kept: those before it are gone
}

const (
	maxLabels = 1 << 16        // 10 s of 64 busy CPUs at 97 Hz
	keepLabel = 10_000_000_000 // ns: stacks come out of the kernel a quarter of a second after, and are asked for a second after that
	// reach is how long after its label a stack may be dated, in ns: the unwinder reads the clock a few µs after the
	// program that asked for it, the rest is for an interrupt between both.
	reach = 1_000_000
)

func (s *labels) add(l label) {
	for s.head < len(s.kept) && (l.at-s.kept[s.head].at > keepLabel || len(s.kept)-s.head >= maxLabels) {
		s.kept[s.head] = label{}
		s.head++
	}
	if s.head > len(s.kept)/2 {
		n := copy(s.kept, s.kept[s.head:])
		clear(s.kept[n:])
		s.kept, s.head = s.kept[:n], 0
	}
	i := len(s.kept)
	for i > s.head && s.kept[i-1].at > l.at { // one that came late
		i--
	}
	s.kept = slices.Insert(s.kept, i, l)
}

// before is the newest label of a thread that is not after a time, nil where there is none within reach.
func (s *labels) before(pid, tid uint32, at int64) *label {
	kept := s.kept[s.head:]
	after, _ := slices.BinarySearchFunc(kept, at+1, func(l label, at int64) int { return cmp.Compare(l.at, at) })
	for i := after - 1; i >= 0 && kept[i].at > at-reach; i-- {
		if l := &kept[i]; l.tid == tid && l.pid == pid {
			return l
		}
	}
	return nil
}

// claim gives the labels of contexts that have turned out to be l's to it.
func (s *labels) claim(l *live) {
	for i := len(s.kept) - 1; i >= s.head && s.kept[i].at >= l.Read; i-- {
		if k := &s.kept[i]; k.live == nil && k.node != nil && k.node.owner() == l {
			k.live = l
		}
	}
}

func (t *Tracker) onSample(e *event.Event) {
	th := t.thread(e)
	l := label{at: e.Time, pid: e.PID, tid: e.TID}
	l.live, l.node = t.charged(th, e)
	if l.live == nil {
		l.word = t.word(th, e, l.node)
	} else {
		l.queued = len(l.live.conn.queue) > 0
	}
	t.labels.add(l)
}

// charged is the request that a thread works for where a stack is taken of it, else the context that it runs,
// nil where that is not known either.
func (t *Tracker) charged(th *thread, e *event.Event) (*live, *node) {
	own := e.Context == 0 || e.Has(event.Base)
	switch {
	case e.Has(event.NoThread):
		return nil, nil
	case e.Has(event.Foreign):
		return th.serves(e.Time), nil
	case t.step == Apart:
		if own && !th.polling() {
			return th.serves(e.Time), nil
		}
		return t.apart(e, own)
	case own && !th.polling():
		if l := th.serves(e.Time); l != nil {
			return l, nil
		}
	case own:
		return th.current.owner(), nil // what it moves bytes for
	}
	var n *node
	if !own && !e.Has(event.Stale) { // the thread's own was made unseen: it may lie where a request's has been
		n = t.contexts.at(e.PID, e.Context)
	}
	if n = th.actor(n); n == nil {
		n = th.got
	}
	if l := n.owner(); l != nil {
		if t.trusted(n, e.Time) {
			return l, nil
		}
		return nil, nil
	}
	return th.current.owner(), n
}

// apart is what charged says of an event loop where no context is linked to another: the one that sends the answer to a
// request has worked for it since that was read. What it has others do is not known to be the request's.
func (t *Tracker) apart(e *event.Event, own bool) (*live, *node) {
	if own || e.Has(event.Stale) {
		return nil, nil
	}
	n := t.contexts.at(e.PID, e.Context)
	switch l := n.owner(); {
	case l == nil:
		return nil, n
	case l.lent == n && !l.answered:
		return l, nil
	}
	return nil, nil
}

// serves is the request that a thread without contexts has read and not answered. What polls with epoll meanwhile
// may go on with another's.
func (th *thread) serves(at int64) *live {
	if l := th.current.owner(); l != nil {
		return l
	}
	l := th.serving
	if l == nil {
		l = th.reading.live
	}
	if l == nil || l.answered || th.slept > l.Read || at < l.Read {
		return nil
	}
	return l
}

// polling reports whether the thread is an event loop's.
func (th *thread) polling() bool {
	return th.isLoop || th.turns.serves && (th.async || th.slept != 0)
}

// word is what is known of a thread that works for no request, n being the context that it runs.
func (t *Tracker) word(th *thread, e *event.Event, n *node) string {
	switch own := e.Context == 0 || e.Has(event.Base); {
	case t.starting[e.PID]:
		return StartingUp
	case e.Has(event.Foreign):
		return ""
	case e.Has(event.NoThread):
		return OtherThread
	case own && th.polling():
		return InEventLoop
	case own && th.got == nil:
		return OtherThread
	case n == nil, t.step == Apart, n.oldest().born == 0 && !t.step.enters():
		return NotLinked
	case n.connection() != nil:
		return InConnection
	default:
		return BackgroundTask
	}
}

// Starting tells that a process was seen from its start on: until it first waits in an event loop, or reads what a client
// sends, it starts up.
func (t *Tracker) Starting(pid uint32) {
	for _, th := range t.threads {
		if th.pid == pid && (th.slept != 0 || th.turns.serves) {
			return // it has come so far already
		}
	}
	if len(t.starting) < maxThreads {
		t.starting[pid] = true
	}
}

// EndpointAt says which endpoint's code the thread ran where a stack was taken at a time (CLOCK_MONOTONIC, ns), or in
// a word why it was none's; "" where nothing is known. Ask only for times that Feed has passed.
func (t *Tracker) EndpointAt(pid, tid uint32, at int64) string {
	endpoint, _ := t.RequestAt(pid, tid, at)
	return endpoint
}

// RequestAt is EndpointAt that also says when the request was read whose code ran, 0 where that is none.
func (t *Tracker) RequestAt(pid, tid uint32, at int64) (endpoint string, read int64) {
	l := t.labels.before(pid, tid, at)
	switch {
	case l == nil:
		t.lose("stacks", "stack whose context was not told")
		return "", 0
	case l.live == nil:
		return l.word, 0
	case l.live.Endpoint == "": // a stream's that was never told
		return InConnection, 0
	}
	return l.live.Endpoint, l.live.Read
}
