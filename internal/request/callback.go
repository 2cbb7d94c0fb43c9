package request

// A context that runs first may be a timer's, or a callback's that tells that what somebody awaited is done: a
// timer ends a sleep, such a callback a wait. What tells them apart is when in a turn of the loop they run:
//
//	uvloop   what sockets brought ─► timers ─► the idle handle's context: callbacks and tasks, inside of it
//	asyncio  callbacks and tasks ─► what sockets brought ─► timers
//
// Of asyncio's only what follows in the same turn tells: after a timer come timers alone. A turn that began with a
// sleep had no callback due.

// called reports whether n, which begins to run first, from inside a context, is surely no timer. Where it is not
// known as yet, what follows in the turn may tell.
func (t *Tracker) called(th *thread, n *node, outer uint64) bool {
	now, _ := th.thisRound()
	switch {
	case th.base == 0: // no event told
	case outer != th.base:
		return true
	case t.readsFirst(th) || now.slept || now.brought: // a timer
	case len(th.firsts) < maxFirsts:
		th.firsts = append(th.firsts, n)
	}
	return false
}

const maxFirsts = 4096 // of a turn; what later ones are stays unknown

// noTimer notes that what runs now was not called by a timer: neither was what ran before it in this turn.
func (th *thread) noTimer() {
	for _, n := range th.firsts {
		if len(n.steps) > 0 && n.steps[0].first {
			n.steps[0].called = true
		}
	}
	th.firsts = th.firsts[:0]
}

// brings notes that a socket brought something.
func (th *thread) brings() {
	now, _ := th.thisRound()
	now.brought = true
	if len(th.firsts) > 0 && th.firsts[len(th.firsts)-1] == th.current { // itself a callback of the socket's
		th.firsts = th.firsts[:len(th.firsts)-1]
	}
	th.noTimer()
}
