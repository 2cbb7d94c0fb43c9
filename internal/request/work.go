package request

import "github.com/ragscope/ragscope/internal/kernel/event"

// An executor of concurrent.futures (loop.run_in_executor, asyncio.to_thread) gives its threads no context. Whose
// work a thread does is told by the item itself: who puts it in the executor's queue runs in its context then, and
// the thread that takes the same item works for it until it asks for the next one.

// work is an item that no thread has taken yet.
type work struct {
	by *node
	at int64
}

// maxWork bounds the items in the queues of executors.
const maxWork = 1 << 14

func (t *Tracker) onWorkPut(e *event.Event) {
	if len(t.works) >= maxWork {
		t.loseN("executor", "work that no thread took", uint64(len(t.works)))
		clear(t.works)
	}
	t.works[contextKey{e.PID, e.Other}] = work{t.actor(e), e.Time}
}

func (t *Tracker) onWorkGot(e *event.Event) {
	th := t.thread(e)
	t.pause(th, e.Time)
	th.got = nil
	k := contextKey{e.PID, e.Other}
	w, put := t.works[k]
	if !put {
		t.lose("executor", "work that was put before it was looked for")
		return
	}
	delete(t.works, k)
	th.got = &node{born: w.at, bornOff: true}
	if !t.gaps.within(w.at, e.Time) && t.trusted(w.by, e.Time) { // in a gap the item's address may be another's
		th.got.descend(w.by)
	}
	if t.step.enters() {
		t.run(th, th.got, 0, 0, e.Time)
	}
}

func (t *Tracker) onWorkDone(e *event.Event) {
	th := t.thread(e)
	th.leave(e.Time)
	t.pause(th, e.Time)
	th.got = nil
}

// actor is the context that a thread acts in, n being current: that of the work that it does, where n is not of the
// same request. A thread gets a context of its own at its first need, unseen, whose address may have been another's.
func (th *thread) actor(n *node) *node {
	if th.got != nil && n.owner() != th.got.owner() {
		return th.got
	}
	return n
}

// actor is the context that the thread of an event acts in.
func (t *Tracker) actor(e *event.Event) *node {
	var n *node
	if !e.Has(event.Stale) {
		n = t.contexts.at(e.PID, e.Context)
	}
	return t.thread(e).actor(n)
}
