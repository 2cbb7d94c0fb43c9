package request

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/request/simulate"
)

// long is how many seeds each property is checked with; 5,000 take a few minutes.
var long = flag.Int("seeds", seeds(), "how many simulated runs each property is checked with")

// seeds is many with RAGSCOPE_LONG=1, as in make bench.
func seeds() int {
	if os.Getenv("RAGSCOPE_LONG") != "" {
		return 5000
	}
	return 150
}

const (
	us = 1_000
)

func follow(s *simulate.Run, events []event.Event) (*facts, *Tracker) {
	f := &facts{}
	tr := newTracker(f, s.Late)
	for i := range events {
		tr.Feed(&events[i])
	}
	return f, tr
}

// traits are the targets that the properties are checked on.
var traits = map[string]simulate.Traits{
	"pools": 0, "locks": simulate.Locks, "threads": simulate.Threads, "grpc": simulate.GRPC, "background": simulate.Background,
	"blocking": simulate.Blocking, "workers": simulate.Workers, "hasty": simulate.Hasty,
	"streams": simulate.Streams, "shared": simulate.Shared, "messages": simulate.Messages, "all": simulate.All,
}

// The simulated truth, told by complete events: every request and call is found and belongs to
// whom it should, every instant has its stage, waits are those that there were.
func TestSimulatedTruth(t *testing.T) {
	for name, with := range traits {
		t.Run(name, func(t *testing.T) {
			waits, missed := 0, 0
			for seed := range uint64(*long) {
				s := simulate.New(seed, with)
				f, tr := follow(s, s.Events)
				if why := differs(s, f, tr); why != "" {
					t.Fatalf("seed %d: %s", seed, why)
				}
				told, not := found(s, f)
				waits, missed = waits+told+not, missed+not
			}
			if waits < *long/2 {
				t.Errorf("only %d waits happened: the simulation says nothing", waits)
			}
			if most := waits / 50; missed > most || missed > 0 && with&simulate.Background == 0 {
				t.Errorf("%d of %d waits were not told in full, at most %d may be, and only where tasks outlive their requests", missed, waits, most)
			}
			t.Logf("%d of %d waits not told in full", missed, waits)
		})
	}
}

// found counts the waits that were told in full, as far as the turns of the loop let them be seen,
// and those that were not.
func found(s *simulate.Run, f *facts) (told, not int) {
	for _, r := range f.requests {
		for _, k := range r.Calls {
			switch truth := s.Calls[sent(k)]; {
			case truth.Wait == 0 || truth.Twin || truth.After:
			case truth.Wait-k.PoolWait > 2*s.Slowest+minStreamWait:
				not++
			default:
				told++
			}
		}
	}
	return told, not
}

func sent(k *Call) simulate.Sent { return simulate.Sent{Connection: k.Connection, At: k.Sent} }

// differs compares the facts of complete events with the truth.
func differs(s *simulate.Run, f *facts, tr *Tracker) string {
	l := slices.DeleteFunc(tr.Losses(), func(l Loss) bool { return l.Source == "grpc" }) // calls alike say so
	if len(l) > 0 {
		return fmt.Sprintf("losses %v", l)
	}
	if len(f.requests) != len(s.Requests) {
		return fmt.Sprintf("%d requests of %d", len(f.requests), len(s.Requests))
	}
	seen := map[simulate.Sent]bool{}
	for _, r := range f.requests {
		if why := requestDiffers(s, r, seen); why != "" {
			return fmt.Sprintf("request %s: %s; %s", r.ID, why, stages(r))
		}
	}
	for _, k := range f.calls {
		if why := callDiffers(s, k, "", seen); why != "" {
			return fmt.Sprintf("%s: call %+v without a request", why, *k)
		}
	}
	if len(seen) != len(s.Calls) {
		return fmt.Sprintf("%d calls of %d", len(seen), len(s.Calls))
	}
	if why := inItsOrder(f); why != "" {
		return why
	}
	return pooled(s, f.connections)
}

func requestDiffers(s *simulate.Run, r *Request, seen map[simulate.Sent]bool) string {
	want := s.Requests[r.ID]
	if why := broken(r); why != "" {
		return why
	}
	if r.Arrive != want.Arrive || r.Read != want.Read || r.Last != want.Last || len(r.Missing) > 0 || r.Status != 200 {
		return fmt.Sprintf("arrive %d read %d last %d missing %v, want %+v", r.Arrive, r.Read, r.Last, r.Missing, *want)
	}
	if r.CPU > r.Total() || r.CPU+r.OffCPU < want.CPU {
		return fmt.Sprintf("on a CPU for %d ns and off for %d, its tasks alone had %d of %d", r.CPU, r.OffCPU, want.CPU, r.Total())
	}
	if got := int64(r.sum(Unexplained) * 1e6); got > want.Idle+maxUnexplained && !lacksTwin(s, r) {
		return fmt.Sprintf("%d ns unexplained, it was idle for %d at most", got, want.Idle)
	}
	if !slices.Equal(r.Forwards, want.Forwards) {
		return fmt.Sprintf("tokens were passed on after %v ns, want %v", r.Forwards, want.Forwards)
	}
	for _, k := range r.Calls {
		if why := callDiffers(s, k, r.ID, seen); why != "" {
			return fmt.Sprintf("%s: call %+v", why, *k)
		}
	}
	return ""
}

// tolerance is for a wait, in ns: the loop's own work between the wake-up and the step.
const tolerance = 200 * us

// lacksTwin reports whether a call of the request is in no request's list since others are like it.
func lacksTwin(s *simulate.Run, r *Request) bool {
	listed := map[simulate.Sent]bool{}
	for _, k := range r.Calls {
		listed[sent(k)] = true
	}
	for at, k := range s.Calls {
		if k.Request == r.ID && k.Twin && !listed[at] {
			return true
		}
	}
	return false
}

// maxUnexplained is for a request beyond sleeps, locks and threads, in ns: waits for a stream that
// are too short to be told from the hand-over, and the moments between two steps.
const maxUnexplained = 2 * minStreamWait

// callDiffers looks at a call in a request's list, or in none where id is "".
func callDiffers(s *simulate.Run, k *Call, id string, seen map[simulate.Sent]bool) string {
	at := sent(k)
	truth := s.Calls[at]
	switch {
	case truth == nil:
		return "there was none"
	case seen[at]:
		return "told twice"
	case id != "" && truth.Request != id:
		return "it is of " + truth.Request
	case id == "" && k.Endpoint == "" && !truth.Twin && truth.Request != "":
		return "no orphan, it is of " + truth.Request
	case !k.Finished || k.FirstArrived < k.Sent || k.FirstRead < k.FirstArrived:
		return "impossible times"
	}
	seen[at] = true
	if why := streamDiffers(k, truth); why != "" {
		return why
	}
	if truth.After || truth.Twin {
		return ""
	}
	if k.PoolWaitUnsure < 0 || k.PoolWaitUnsure > k.PoolWait || k.PoolWait-k.PoolWaitUnsure > truth.Wait+truth.Lock+tolerance {
		return fmt.Sprintf("waited %d ns, %d of it unsure, truth %d", k.PoolWait, k.PoolWaitUnsure, truth.Wait)
	}
	return ""
}

// streamDiffers looks at what a language model answered.
func streamDiffers(k *Call, truth *simulate.Call) string {
	if len(truth.Tokens) == 0 {
		return ""
	}
	m := k.LLM
	if m == nil || !slices.Equal(m.Tokens, truth.Tokens) || m.OutputTokens != len(truth.Tokens) || m.InputTokens != 7 || !m.FromProtocol {
		return fmt.Sprintf("tokens %+v, truth %v", m, truth.Tokens)
	}
	if m.Tokens[0] < k.Sent || m.Tokens[0] != k.FirstArrived {
		return "its first token is not its first byte"
	}
	return ""
}

// inItsOrder checks that the calls of a connection end in the order in which they were sent, streams apart.
func inItsOrder(f *facts) string {
	last := map[uint64]*Call{}
	all := slices.Clone(f.calls)
	for _, r := range f.requests {
		all = append(all, r.Calls...)
	}
	slices.SortFunc(all, func(a, b *Call) int { return cmp.Compare(a.Sent, b.Sent) })
	for _, k := range all {
		if o := last[k.Connection]; o != nil && k.Stream == 0 && (o.LastRead > k.LastRead || o.LastArrived > k.LastArrived) {
			return fmt.Sprintf("call sent at %d ends before the one before it on connection %d", k.Sent, k.Connection)
		}
		last[k.Connection] = k
	}
	return ""
}

// pooled checks the changes told to the pools: a connection is busy and free by turns, and no
// more are open than the pool has.
func pooled(s *simulate.Run, changes []Connection) string {
	busy, open := map[uint64]bool{}, map[string]int{}
	for _, c := range changes {
		switch c.Change {
		case Opened:
			open[c.Peer.Address]++
		case Busy, Free:
			if c.Streams {
				continue
			}
			if busy[c.ID] == (c.Change == Busy) {
				return fmt.Sprintf("connection %d twice in change %d", c.ID, c.Change)
			}
			busy[c.ID] = c.Change == Busy
		}
	}
	made := map[string]int{}
	for _, p := range s.Pools {
		made[fmt.Sprintf("127.0.0.1:%d", p.Port)] += p.Made
	}
	for address, n := range made {
		if open[address] != n {
			return fmt.Sprintf("%d connections to %s, there were %d", open[address], address, n)
		}
	}
	for id, b := range busy {
		if b {
			return fmt.Sprintf("connection %d is still busy", id)
		}
	}
	return ""
}

func gone(tr *Tracker, s *simulate.Run) {
	for _, pid := range s.PIDs {
		tr.Gone(pid, s.End)
	}
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
			for seed := range uint64(*long) {
				s := simulate.New(seed, simulate.All)
				f, tr := follow(s, disturb(rand.New(rand.NewPCG(seed, 4)), s.Events))
				gone(tr, s)
				for _, r := range f.requests {
					if why := broken(r); why != "" {
						t.Fatalf("seed %d, request %s: %s", seed, r.ID, why)
					}
					for _, k := range r.Calls {
						if k.PoolWait == 0 {
							continue
						}
						claimed++
						if truth := s.Calls[sent(k)]; truth == nil || k.PoolWait > truth.Wait+2*1000*us {
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
	for seed := range uint64(*long) {
		s := simulate.New(seed, simulate.All)
		for i := range s.Events {
			s.Events[i].Time += int64(i) // no ties: their order is what the ring buffer says
		}
		want, _ := follow(s, s.Events)
		rng := rand.New(rand.NewPCG(seed, 5))
		type due struct {
			at int64
			e  event.Event
		}
		var queue []due
		for _, e := range s.Events {
			queue = append(queue, due{e.Time + rng.Int64N(Hold)*int64(rng.IntN(2)), e})
		}
		slices.SortFunc(queue, func(a, b due) int { return cmp.Compare(a.at, b.at) })
		got := &facts{}
		tr := newTracker(got, s.Late)
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

// Bursts of loss that the kernel side counts, as those of a full ring buffer: at most one wait in a
// thousand is invented or made longer, and no call of a request that counts as whole belongs to another.
func TestAnnouncedLossInventsNothing(t *testing.T) {
	claimed, missed, marked, requests, wrong, invented := 0, 0, 0, 0, 0, 0
	for seed := range uint64(*long) {
		s := simulate.New(seed, simulate.All)
		rng := rngOf(seed)
		bursts := gaps{}
		for range 1 + rng.IntN(3) {
			from := s.Events[rng.IntN(len(s.Events))].Time
			bursts = append(bursts, gap{from, from + rng.Int64N(3*1000*us)})
		}
		slices.SortFunc(bursts, func(a, b gap) int { return cmp.Compare(a.from, b.from) })
		share := rng.Float64()
		f := &facts{}
		tr := newTracker(f, s.Late)
		told := 0
		for i := range s.Events {
			e := &s.Events[i]
			for told < len(bursts) && bursts[told].from <= e.Time {
				tr.Lost(bursts[told].from, bursts[told].to)
				told++
			}
			if !bursts.within(e.Time, e.Time) || rng.Float64() > share {
				tr.Feed(e)
			}
		}
		gone(tr, s)
		for _, r := range f.requests {
			requests++
			if why := broken(r); why != "" {
				t.Fatalf("seed %d, request %s: %s", seed, r.ID, why)
			}
			if len(r.Missing) > 0 {
				marked++
			}
			want := s.Requests[r.ID]
			if len(r.Missing) == 0 && (want == nil || r.Last != want.Last || !allTold(s, r, f)) {
				t.Fatalf("seed %d: request %s counts as whole: %d calls, ends %d; truth %+v", seed, r.ID, len(r.Calls), r.Last, want)
			}
			for _, k := range r.Calls {
				truth := s.Calls[sent(k)]
				if truth == nil || truth.Request != r.ID {
					wrong++
					if len(r.Missing) == 0 {
						t.Fatalf("seed %d: call %+v of another request in %s, which counts as whole", seed, *k, r.ID)
					}
					continue
				}
				if !truth.Twin && k.PoolWait-k.PoolWaitUnsure > truth.Wait+truth.Lock+tolerance {
					invented++
					t.Logf("seed %d: call of %s at %d waited %d ns, truth %d; bursts %v", seed, r.ID, k.Sent, k.PoolWait, truth.Wait, bursts)
				}
				if k.PoolWait > 0 {
					claimed++
				} else if truth.Wait > 3*1000*us {
					missed++
				}
			}
		}
		if t.Failed() {
			return
		}
	}
	if invented*1000 > claimed {
		t.Errorf("%d of %d waits claimed were not there", invented, claimed)
	}
	t.Logf("%d requests, %d marked; %d waits claimed, %d above 3 ms not claimed, %d calls in a wrong, marked request", requests, marked, claimed, missed, wrong)
}

// allTold reports whether each call of a request is in its list or was handed out alone.
func allTold(s *simulate.Run, r *Request, f *facts) bool {
	told := map[simulate.Sent]bool{}
	for _, k := range append(slices.Clone(f.calls), r.Calls...) {
		told[sent(k)] = true
	}
	for at, k := range s.Calls {
		if k.Request == r.ID && !k.After && !k.Twin && !told[at] {
			return false
		}
	}
	return true
}
