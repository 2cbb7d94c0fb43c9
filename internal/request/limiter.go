package request

// anyio, and so Starlette and FastAPI, hand synchronous code to worker threads of their own, no more than 40 at
// once as a rule: a limiter has that many tokens. A context gets one, hands its work over, and gives the token back
// when it goes on; the longest waiting context goes on with it in the loop's next turn. Who waits for a token waits
// for a thread: loop_wait. It looks like a wait for any other semaphore, so it is one only where
//
//   - something that was no timer, no answer and nothing of its own ended it, and in the same step the context
//     handed work to a thread;
//   - all that while no token was free, as many being out as ever were together, and not fewer than 40.
//
// An application that sets its limiter to fewer is not believed: its waits stay unexplained.

const leastTokens = 40 // anyio's default

// limiter counts the tokens of an event loop's thread.
type limiter struct {
	out, sure int      // hand-overs that have not come back; those that a worker thread has taken on
	most      int      // ever sure together
	back      []uint32 // turns in which tokens came back that the next turn may go on with, ascending
	free      int64    // when one was last free
}

// handover is what a context has handed to a thread and waits for.
type handover struct {
	of   *limiter
	sure bool
	wait gap // of the context, right before it
}

// handsOver notes that n, which the loop's thread runs within the step that made it, is about to go to a thread:
// anyio sets a variable in it first. It is not sure before a thread enters it.
func (th *thread) handsOver(n *node) {
	p := th.current
	if p == nil || n.parent != p || len(n.steps) > 0 || n.bornOff || n.born < th.since || p.hands != nil {
		return
	}
	if th.limiter == nil {
		th.limiter = &limiter{}
	}
	p.hands = &handover{of: th.limiter, wait: p.wait}
	th.limiter.out++
}

// comesBack notes that n, which is about to run on the loop, has its work back, if it had handed some over.
func (th *thread) comesBack(n *node) {
	h := n.hands
	if h == nil {
		return
	}
	n.hands = nil
	h.of.out--
	if h.sure {
		h.of.sure--
		h.of.back = append(h.of.back, th.turn)
	}
}

// turned looks at the end of a turn whether a token was free in it.
func (u *limiter) turned(turn uint32, at int64) {
	if u == nil {
		return
	}
	for len(u.back) > 0 && u.back[0] != turn {
		u.back = u.back[1:]
	}
	if u.out+len(u.back) < u.most {
		u.free = at
	}
}

// takenOn notes that a worker thread runs n, and what had held up the context that made it.
func (l *live) takenOn(n *node, at int64) {
	if n.parent == nil || n.parent.hands == nil || n.parent.hands.sure {
		return
	}
	h := n.parent.hands
	u := h.of
	h.sure = true
	if u.sure++; u.sure > u.most {
		u.most, u.free = u.sure, at
	}
	if u.most >= leastTokens && h.wait.to > 0 && u.free <= h.wait.from {
		l.add(loopWait, h.wait.from, h.wait.to, "", nil)
	}
}
