package kernel

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// forked lets the peer fork n children, one after the other, each of which sends once to port.
func (p *peer) forked(t *testing.T, port, n int) (pids []int) {
	t.Helper()
	p.tell(t, "fork", port, n)
	for range n {
		pids = append(pids, p.pidTold(t))
	}
	p.answer(t) // done
	return pids
}

func (p *peer) pidTold(t *testing.T) (pid int) {
	t.Helper()
	if _, err := fmt.Sscan(p.answer(t), &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// A worker is seen from its fork on, whatever process the agent begins or ends to watch at that moment.
func TestChildrenSeenWhileOthersAreWatched(t *testing.T) {
	k := loaded(t)
	p := startPeer(t)
	if err := k.Watch(p.pid, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Unwatch(p.pid) })
	s, port := follow(t, k), sink(t, "")
	var children []int
	beside := 0 // children whose pid is of the same 64 as one that the agent is busy with
	for round := 0; round < 30 && beside < 60; round++ {
		ended := p.forked(t, port, 1)[0] // no other process gets its pid meanwhile
		stop := watchAgainAndAgain(t, k, ended)
		now := p.forked(t, port, 20)
		stop()
		for _, pid := range now {
			if pid/64 == ended/64 {
				beside++
			}
		}
		children = append(append(children, ended), now...)
	}
	if beside == 0 {
		t.Skip("SKIPPED: no child got a pid beside another's")
	}
	missing := func() []int {
		return slices.DeleteFunc(slices.Clone(children), func(pid int) bool { return s.count(pid, event.Send) == 1 })
	}
	p.exchange(t, "read", "write", 10, 10) // what comes before it in the ring buffer has been read then
	waitFor(t, "the parent's own transfer", func() bool { return s.count(p.pid, event.Send) == 1 })
	if m := missing(); len(m) > 0 {
		t.Errorf("%d of %d children are not seen, %d of them forked beside a pid that the agent was busy with: %v", len(m), len(children), beside, m)
	}
}

// watchAgainAndAgain watches and unwatches a process until stop is called.
func watchAgainAndAgain(t *testing.T, k *Kernel, pid int) (stop func()) {
	end, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-end:
				ended <- nil
				return
			default:
			}
			if err := k.Watch(pid, nil); err != nil {
				ended <- err
				return
			}
			k.Unwatch(pid)
		}
	}()
	return func() {
		close(end)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}

// Hosts with more than 32,768 pids have watched processes whose pids differ by a multiple of that.
func TestNoProcessSharesAnother(t *testing.T) {
	k := loaded(t)
	p := startPeer(t)
	if err := k.Watch(p.pid, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Unwatch(p.pid) })
	s := follow(t, k)
	p.tell(t, "fork_held", sink(t, ""))
	child := p.pidTold(t)
	for _, other := range []int{child + 1<<15, child + 1<<16, child + 1<<21} {
		if err := k.Watch(other, nil); err != nil {
			t.Fatal(err)
		}
		k.Unwatch(other)
	}
	p.tell(t, "go")
	p.answer(t) // done
	waitFor(t, "the child's transfer", func() bool { return s.count(child, event.Send) == 1 })
}
