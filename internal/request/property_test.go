package request

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

const seeds = 800

func follow(s *simulation, events []event.Event) (*facts, *Tracker) {
	f := &facts{}
	tr := newTracker(f, s.late)
	for i := range events {
		tr.Feed(&events[i])
	}
	return f, tr
}

// The simulated truth, told by complete events: every request and call is found and belongs to
// whom it should, every instant has its stage, waits are those that there were.
func TestSimulatedTruth(t *testing.T) {
	waits := 0
	for seed := range uint64(seeds) {
		s := simulate(seed)
		f, tr := follow(s, s.events)
		if l := tr.Losses(); len(l) > 0 {
			t.Fatalf("seed %d: losses %v", seed, l)
		}
		if len(f.requests) != len(s.truth.requests) || len(f.calls) > 0 {
			t.Fatalf("seed %d: %d requests of %d, %d calls without one", seed, len(f.requests), len(s.truth.requests), len(f.calls))
		}
		for _, r := range f.requests {
			want := s.truth.requests[r.ID]
			if why := broken(r); why != "" {
				t.Fatalf("seed %d, request %s: %s", seed, r.ID, why)
			}
			if r.Arrive != want.arrive || r.Last != want.last || len(r.Calls) != want.calls || len(r.Missing) > 0 {
				t.Fatalf("seed %d, request %s: arrive %d last %d calls %d missing %v, want %+v", seed, r.ID, r.Arrive, r.Last, len(r.Calls), r.Missing, *want)
			}
			if r.CPU > r.Total() || r.CPU+r.OffCPU < want.cpu {
				t.Fatalf("seed %d, request %s: on a CPU for %d ns and off for %d, its tasks alone had %d of %d", seed, r.ID, r.CPU, r.OffCPU, want.cpu, r.Total())
			}
			for _, k := range r.Calls {
				truth := s.truth.calls[simSend{k.Connection, k.Sent}]
				if truth == nil || truth.request != r.ID || !k.Finished || k.FirstArrived < k.Sent || k.FirstRead < k.FirstArrived {
					t.Fatalf("seed %d: call %+v in request %s, truth %+v", seed, *k, r.ID, truth)
				}
				if truth.wait > 0 {
					waits++
				}
				if miss := truth.wait - k.PoolWait; miss > 2*s.slowest || -miss > 100*simUS {
					t.Errorf("seed %d: call of %s at %d waited %d ns, truth %d", seed, r.ID, k.Sent, k.PoolWait, truth.wait)
				}
			}
		}
		if why := pooled(s, f.connections); why != "" {
			t.Fatalf("seed %d: %s", seed, why)
		}
		if t.Failed() {
			return
		}
	}
	if waits < seeds {
		t.Errorf("only %d waits happened: the simulation says nothing", waits)
	}
}

// pooled checks the changes told to the pools: a connection is busy and free by turns, and no
// more are open than the pool has.
func pooled(s *simulation, changes []Connection) string {
	busy, open := map[uint64]bool{}, map[string]int{}
	for _, c := range changes {
		switch c.Change {
		case Opened:
			open[c.Peer.Address]++
		case Busy, Free:
			if busy[c.ID] == (c.Change == Busy) {
				return fmt.Sprintf("connection %d twice in change %d", c.ID, c.Change)
			}
			busy[c.ID] = c.Change == Busy
		}
	}
	for _, p := range s.pools {
		if n := open[fmt.Sprintf("127.0.0.1:%d", p.port)]; n != p.made {
			return fmt.Sprintf("%d connections to port %d, there were %d", n, p.port, p.made)
		}
	}
	for id, b := range busy {
		if b {
			return fmt.Sprintf("connection %d is still busy", id)
		}
	}
	return ""
}

// A disturbance changes an event stream as a real system may.
type disturbance func(rng *rand.Rand, events []event.Event) []event.Event

func lose(share float64) disturbance {
	return func(rng *rand.Rand, events []event.Event) []event.Event {
		return slices.DeleteFunc(slices.Clone(events), func(event.Event) bool { return rng.Float64() < share })
	}
}

// shuffled moves events by up to a distance in their stream.
func shuffled(by int) disturbance {
	return func(rng *rand.Rand, events []event.Event) []event.Event {
		out := slices.Clone(events)
		for i := range out {
			j := min(len(out)-1, i+rng.IntN(by))
			out[i], out[j] = out[j], out[i]
		}
		return out
	}
}

func doubled(rng *rand.Rand, events []event.Event) []event.Event {
	var out []event.Event
	for _, e := range events {
		out = append(out, e)
		if rng.IntN(20) == 0 {
			out = append(out, e)
		}
	}
	return out
}

// Whatever happens to the stream, nothing panics and every request that comes out is whole.
func TestDisturbedStreams(t *testing.T) {
	for name, disturb := range map[string]disturbance{"1 % lost": lose(.01), "half lost": lose(.5), "shuffled": shuffled(8), "far shuffled": shuffled(300), "doubled": doubled} {
		t.Run(name, func(t *testing.T) {
			claimed, invented := 0, 0
			for seed := range uint64(seeds / 4) {
				s := simulate(seed)
				f, tr := follow(s, disturb(rand.New(rand.NewPCG(seed, 4)), s.events))
				tr.Gone(apiPID, s.now)
				for _, r := range f.requests {
					if why := broken(r); why != "" {
						t.Fatalf("seed %d, request %s: %s", seed, r.ID, why)
					}
					for _, k := range r.Calls {
						if k.PoolWait == 0 {
							continue
						}
						claimed++
						if truth := s.truth.calls[simSend{k.Connection, k.Sent}]; truth == nil || k.PoolWait > truth.wait+2*simMS {
							invented++
						}
					}
				}
				for e, n := range tr.Active() {
					if n != 0 {
						t.Fatalf("seed %d: %d requests of %s are still under way after the end", seed, n, e)
					}
				}
			}
			t.Logf("%d of %d waits claimed were not there or more than 2 ms too long", invented, claimed)
		})
	}
}

// The ring buffer's disorder leaves no trace behind Sequence.
func TestOrderIsRestored(t *testing.T) {
	for seed := range uint64(seeds / 10) {
		s := simulate(seed)
		for i := range s.events {
			s.events[i].Time += int64(i) // no ties: their order is what the ring buffer says
		}
		want, _ := follow(s, s.events)
		rng := rand.New(rand.NewPCG(seed, 5))
		type due struct {
			at int64
			e  event.Event
		}
		var queue []due
		for _, e := range s.events {
			queue = append(queue, due{e.Time + rng.Int64N(Hold)*int64(rng.IntN(2)), e})
		}
		slices.SortFunc(queue, func(a, b due) int { return cmp.Compare(a.at, b.at) })
		got := &facts{}
		tr := newTracker(got, s.late)
		var q Sequence
		for _, d := range queue {
			q.Push(&d.e)
			q.Release(d.at-Hold, tr.Feed)
		}
		q.Release(1<<62, tr.Feed)
		if len(got.requests) != len(want.requests) {
			t.Fatalf("seed %d: %d requests, in order %d", seed, len(got.requests), len(want.requests))
		}
		for i, r := range got.requests {
			if !reflect.DeepEqual(r.Spans, want.requests[i].Spans) {
				t.Fatalf("seed %d: request %s: %s\nin order: %s", seed, r.ID, stages(r), stages(want.requests[i]))
			}
		}
	}
}

func rngOf(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 6)) }

// Bursts of loss that the kernel side counts, as those of a full ring buffer: no wait is
// invented or made longer, and no call of a request that counts as whole belongs to another.
func TestAnnouncedLossInventsNothing(t *testing.T) {
	claimed, missed, marked, requests, wrong := 0, 0, 0, 0, 0
	for seed := range uint64(seeds) {
		s := simulate(seed)
		rng := rngOf(seed)
		bursts := gaps{}
		for range 1 + rng.IntN(3) {
			from := s.events[rng.IntN(len(s.events))].Time
			bursts = append(bursts, gap{from, from + rng.Int64N(3*simMS)})
		}
		slices.SortFunc(bursts, func(a, b gap) int { return cmp.Compare(a.from, b.from) })
		share := rng.Float64()
		f := &facts{}
		tr := newTracker(f, s.late)
		told := 0
		for i := range s.events {
			e := &s.events[i]
			for told < len(bursts) && bursts[told].from <= e.Time {
				tr.Lost(bursts[told].from, bursts[told].to)
				told++
			}
			if !bursts.within(e.Time, e.Time) || rng.Float64() > share {
				tr.Feed(e)
			}
		}
		tr.Gone(apiPID, s.now)
		for _, r := range f.requests {
			requests++
			if why := broken(r); why != "" {
				t.Fatalf("seed %d, request %s: %s", seed, r.ID, why)
			}
			if len(r.Missing) > 0 {
				marked++
			}
			want := s.truth.requests[r.ID]
			if len(r.Missing) == 0 && (want == nil || r.Last != want.last || len(r.Calls) != want.calls) {
				t.Fatalf("seed %d: request %s counts as whole: %d calls, ends %d; truth %+v", seed, r.ID, len(r.Calls), r.Last, want)
			}
			for _, k := range r.Calls {
				truth := s.truth.calls[simSend{k.Connection, k.Sent}]
				if truth == nil || truth.request != r.ID {
					wrong++
					if len(r.Missing) == 0 {
						t.Fatalf("seed %d: call %+v of another request in %s, which counts as whole", seed, *k, r.ID)
					}
					continue
				}
				if k.PoolWait > truth.wait+100*simUS {
					t.Errorf("seed %d: call of %s at %d waited %d ns, truth %d; bursts %v", seed, r.ID, k.Sent, k.PoolWait, truth.wait, bursts)
				}
				if k.PoolWait > 0 {
					claimed++
				} else if truth.wait > 3*simMS {
					missed++
				}
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d requests, %d marked; %d waits claimed, %d above 3 ms not claimed, %d calls in a wrong, marked request", requests, marked, claimed, missed, wrong)
}
