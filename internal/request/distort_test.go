package request

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/request/simulate"
)

// What a real system does to a stream in ways that the agent knows of.

// midway is what an agent sees that was attached at a time: nothing of before, and then the
// connections that were open.
func midway(events []event.Event, at int64) []event.Event {
	open := map[uint64]event.Event{}
	var out []event.Event
	for _, e := range events {
		if e.Time >= at {
			out = append(out, e)
			continue
		}
		switch e.Type {
		case event.Conn:
			e.Flags |= event.Midway
			e.Time, e.Context = at, 0
			open[e.Sock] = e
		case event.Close:
			delete(open, e.Sock)
		}
	}
	for _, sock := range sorted(open) {
		out = slices.Insert(out, 0, open[sock])
	}
	return out
}

// without leaves out the events of some types between two times, as a cheaper step does.
func without(events []event.Event, from, to int64, types ...event.Type) []event.Event {
	return slices.DeleteFunc(slices.Clone(events), func(e event.Event) bool {
		return e.Time >= from && e.Time < to && slices.Contains(types, e.Type)
	})
}

var (
	following = []event.Type{event.Enter, event.Loop, event.Switch, event.Sleep}
	births    = []event.Type{event.Copy, event.New, event.GRPCCall, event.GRPCStart}
)

// moments are two times of a run, ascending.
func moments(rng *rand.Rand, s *simulate.Run) (a, b int64) {
	a = s.Events[rng.IntN(len(s.Events))].Time
	b = s.Events[rng.IntN(len(s.Events))].Time
	return min(a, b), max(a, b)
}

// wrong describes the first call that is linked to a request that it is not of, or waited longer
// than it did, and "" where there is none.
func wrong(s *simulate.Run, f *facts) (link, wait *Call) {
	for _, r := range f.requests {
		for _, k := range r.Calls {
			truth := s.Calls[sent(k)]
			switch {
			case truth == nil || truth.Request != r.ID:
				link = k
			case !truth.Twin && k.PoolWait-k.PoolWaitUnsure > truth.Wait+truth.Lock+tolerance:
				wait = k
			}
		}
	}
	return link, wait
}

func allWhole(t *testing.T, seed uint64, f *facts) {
	t.Helper()
	for _, r := range f.requests {
		if why := broken(r); why != "" {
			t.Fatalf("seed %d, request %s: %s; %s", seed, r.ID, why, stages(r))
		}
	}
}

// The agent comes while requests are under way: those that began later are all told, and no call
// gets a request that it is not of, or a wait that was not.
func TestAttachedMidway(t *testing.T) {
	for seed := range uint64(*long) {
		s := simulate.New(seed, simulate.All)
		at, _ := moments(rngOf(seed), s)
		f, _ := follow(s, midway(s.Events, at))
		allWhole(t, seed, f)
		told := map[string]bool{}
		for _, r := range f.requests {
			told[r.ID] = true
		}
		for _, r := range s.Requests {
			if r.Read >= at && !told[r.ID] {
				t.Fatalf("seed %d: request %s was read at %d, the agent came at %d, and it is not told", seed, r.ID, r.Read, at)
			}
		}
		if link, wait := wrong(s, f); link != nil || wait != nil {
			t.Fatalf("seed %d, attached at %d: wrong link %+v, wrong wait %+v", seed, at, link, wait)
		}
	}
}

// The precision is lowered for a while: all requests are told, those that ran meanwhile say that
// they were not followed and claim no wait for a connection.
func TestStepsDuringTheRun(t *testing.T) {
	for name, c := range map[string]struct {
		to    Step
		types []event.Type
	}{"births only": {Linked, following}, "sockets only": {Apart, slices.Concat(following, births)}} {
		t.Run(name, func(t *testing.T) {
			links, wrongs := 0, 0
			for seed := range uint64(*long) {
				s := simulate.New(seed, simulate.All)
				from, to := moments(rngOf(seed), s)
				f := &facts{}
				tr := newTracker(f, s.Late)
				tr.Turn(c.to, from)
				tr.Turn(Followed, to)
				for _, e := range without(s.Events, from, to, c.types...) {
					tr.Feed(&e)
				}
				allWhole(t, seed, f)
				if len(f.requests) != len(s.Requests) {
					t.Fatalf("seed %d: %d requests of %d", seed, len(f.requests), len(s.Requests))
				}
				for _, r := range f.requests {
					if r.Followed && r.Read < to && r.Last >= from && from < to {
						t.Fatalf("seed %d: request %s ran from %d to %d and counts as followed", seed, r.ID, r.Read, r.Last)
					}
					for _, k := range r.Calls {
						links++
						truth := s.Calls[sent(k)]
						if truth == nil || truth.Request != r.ID {
							wrongs++
						}
						if !r.Followed && k.Sent >= from && k.PoolWait > 0 && !truth.Stream {
							t.Fatalf("seed %d: call %+v waited, though its request %s was not followed", seed, *k, r.ID)
						}
					}
				}
			}
			if wrongs*1000 > links {
				t.Errorf("%d of %d calls are linked to a request that they are not of", wrongs, links)
			}
			t.Logf("%d calls, %d linked wrongly", links, wrongs)
		})
	}
}

// Captured bytes are cut short: every request is told or its loss counted, and whole.
func TestTruncatedPayload(t *testing.T) {
	for seed := range uint64(*long) {
		s := simulate.New(seed, simulate.All)
		rng := rngOf(seed)
		events := slices.Clone(s.Events)
		for i := range events {
			if e := &events[i]; len(e.Head) > 0 && e.Type != event.Conn && rng.IntN(20) == 0 {
				e.Head = e.Head[:rng.IntN(len(e.Head))]
			}
		}
		f, tr := follow(s, events)
		gone(tr, s)
		allWhole(t, seed, f)
		if n := len(f.requests); n < len(s.Requests) && len(tr.Losses()) == 0 {
			t.Fatalf("seed %d: %d requests of %d, and no loss is counted", seed, n, len(s.Requests))
		}
	}
}

// When all processes are gone, nothing of them is remembered.
func TestNothingIsLeft(t *testing.T) {
	for seed := range uint64(*long) {
		s := simulate.New(seed, simulate.All)
		f := &facts{}
		tr := newTracker(f, s.Late)
		cut := s.Events[rngOf(seed).IntN(len(s.Events)):] // the rest is never heard of
		for i := range s.Events[:len(s.Events)-len(cut)] {
			tr.Feed(&s.Events[i])
		}
		gone(tr, s)
		if len(tr.in)+len(tr.out)+len(tr.threads)+len(tr.grpc)+len(tr.pools) != 0 {
			t.Fatalf("seed %d: %d inbound and %d outbound connections, %d threads, %d gRPC stubs and %d pools are left",
				seed, len(tr.in), len(tr.out), len(tr.threads), len(tr.grpc), len(tr.pools))
		}
		for e, n := range tr.Active() {
			if n != 0 {
				t.Fatalf("seed %d: %d requests of %s are still under way", seed, n, e)
			}
		}
		open := map[uint64]int{}
		for _, c := range f.connections {
			switch c.Change {
			case Opened:
				open[c.ID]++
			case Closed:
				open[c.ID]--
			}
		}
		for id, n := range open {
			if n != 0 {
				t.Fatalf("seed %d: connection %d was opened %d times more than closed", seed, id, n)
			}
		}
	}
}

// The same events give the same facts, and so they do in two portions.
func TestSameEventsSameFacts(t *testing.T) {
	for seed := range uint64(*long) {
		s := simulate.New(seed, simulate.All)
		again := simulate.New(seed, simulate.All)
		if !reflect.DeepEqual(s.Events, again.Events) {
			t.Fatalf("seed %d makes different runs", seed)
		}
		want, _ := follow(s, s.Events)
		got := &facts{}
		tr := newTracker(got, s.Late)
		var q Sequence
		half := rngOf(seed).IntN(len(s.Events))
		for _, part := range [][]event.Event{s.Events[:half], s.Events[half:]} {
			for i := range part {
				q.Push(&part[i])
			}
			if len(part) > 0 {
				q.Release(part[0].Time, tr.Feed)
			}
		}
		q.Release(1<<62, tr.Feed)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: in two portions of %d and %d events the facts differ", seed, half, len(s.Events)-half)
		}
	}
}

// BenchmarkTracker is what the heart costs for an event and for a request of a mixed load.
func BenchmarkTracker(b *testing.B) {
	for _, c := range []struct {
		name string
		with simulate.Traits
	}{{"pools", 0}, {"grpc", simulate.GRPC}, {"all", simulate.All}} {
		b.Run(c.name, func(b *testing.B) {
			var runs []*simulate.Run
			events, requests := 0, 0
			for seed := range uint64(50) {
				s := simulate.New(seed, c.with)
				runs = append(runs, s)
				events += len(s.Events)
				requests += len(s.Requests)
			}
			b.ReportAllocs()
			for b.Loop() {
				for _, s := range runs {
					tr := New(Options{
						Endpoint: func(_ uint32, _, path string) string { return path },
						Late:     func(uint32) bool { return s.Late },
					}, discard{})
					for i := range s.Events {
						tr.Feed(&s.Events[i])
					}
				}
			}
			ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
			b.ReportMetric(ns/float64(events), "ns/event")
			b.ReportMetric(ns/float64(requests), "ns/request")
			b.ReportMetric(float64(events)/float64(requests), "events/request")
		})
	}
}
