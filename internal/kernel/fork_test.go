package kernel

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/target"
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

// Workers that are forked from one master have contexts and tasks at the same addresses.
func TestWorkersWithSameAddresses(t *testing.T) {
	const n = 20
	k := loaded(t)
	p := startPeer(t)
	s := follow(t, k)
	p.tell(t, "workers", sink(t, ""), n)
	var pids [2]int
	if _, err := fmt.Sscan(p.answer(t), &pids[0], &pids[1]); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		python, err := target.InspectPython(pid)
		if err != nil || python.Task == nil {
			t.Skipf("SKIPPED: the tasks of this Python are not known: %v", err)
		}
		if err := k.Watch(pid, python); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { k.Unwatch(pid) })
	}
	p.tell(t, "go")
	p.answer(t) // done
	waitFor(t, "the transfers of both", func() bool {
		return s.count(pids[0], event.Send) == n && s.count(pids[1], event.Send) == n
	})
	contexts, shared, stale := map[uint64]bool{}, 0, 0
	for i, pid := range pids {
		for _, e := range s.of(pid) {
			if e.Type != event.Send {
				continue
			}
			if e.Has(event.Stale) {
				stale++
			}
			if i == 0 {
				contexts[e.Context] = true
			} else if contexts[e.Context] {
				shared++
			}
		}
	}
	if shared == 0 {
		t.Skip("SKIPPED: the two workers have no address in common")
	}
	if stale > 0 {
		t.Errorf("%d of %d contexts of tasks that run are taken for contexts of tasks that have ended; %d are at an address of one of the other worker's", stale, 2*n, shared)
	}
}
