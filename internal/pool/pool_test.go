package pool

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

var redis = request.Peer{System: "redis", Address: "10.0.0.1:6379"}

// A story is a list of changes, times in seconds.
type story struct {
	peer    request.Peer
	pid     uint32
	streams bool
	changes []request.Connection
}

func newStory() *story { return &story{peer: redis, pid: 1} }

func ns(s float64) int64 { return int64(math.Round(s * 1e9)) }

func (s *story) add(at float64, c request.Connection) *story {
	c.Time, c.Peer, c.PID, c.Streams = ns(at), s.peer, s.pid, s.streams
	s.changes = append(s.changes, c)
	return s
}

func (s *story) opened(at float64, id uint64) *story {
	return s.add(at, request.Connection{Change: request.Opened, ID: id, Made: request.Made{TCP: 6e5, Total: 1e6}})
}
func (s *story) closed(at float64, id uint64) *story {
	return s.add(at, request.Connection{Change: request.Closed, ID: id})
}
func (s *story) busy(at float64, id uint64, endpoint string) *story {
	return s.add(at, request.Connection{Change: request.Busy, ID: id, Endpoint: endpoint, Watched: true})
}
func (s *story) free(at float64, id uint64, endpoint string) *story {
	return s.add(at, request.Connection{Change: request.Free, ID: id, Endpoint: endpoint})
}
func (s *story) waited(from, to float64, id uint64, endpoint string) *story {
	return s.add(from, request.Connection{Change: request.Waited, End: ns(to), ID: id, Endpoint: endpoint})
}
func (s *story) limit(at float64, id uint64, n int) *story {
	return s.add(at, request.Connection{Change: request.Limit, ID: id, N: n})
}

func (s *story) tell(p *Pools) *Pools {
	for _, c := range s.changes {
		p.Apply(c)
	}
	return p
}

func (s *story) pool(t *testing.T, end float64) recording.Pool {
	t.Helper()
	r := s.tell(New(0)).Recording(ns(end))
	if len(r) != 1 {
		t.Fatalf("%d pools", len(r))
	}
	return r[0]
}

func ticks(r recording.Pool) string {
	out := ""
	for _, t := range r.Timeline {
		out += fmt.Sprintf("%d/%d/%d ", t.Open, t.InUse, t.Waiting)
	}
	return out
}

func TestSizes(t *testing.T) {
	r := newStory().opened(0.1, 1).opened(0.2, 2).busy(0.3, 1, "a").busy(0.4, 2, "b").free(0.5, 1, "a").closed(0.6, 1).free(0.7, 2, "b").pool(t, 1)
	if r.OpenMax != 2 || r.InUseMax != 2 || r.Creates != 2 || r.Create.Count != 2 || r.Unit != "connections" || r.Peer != "redis" || r.Address != "10.0.0.1:6379" {
		t.Errorf("%+v", r)
	}
	if r.Limit != 0 || r.LimitBasis != "never reached" {
		t.Errorf("limit %d, %s: nobody waited", r.Limit, r.LimitBasis)
	}
}

func TestLimit(t *testing.T) {
	streams := func() *story { s := newStory(); s.streams = true; return s }
	second := func(s *story) *story { s.pid = 2; return s }
	tests := map[string]struct {
		story *story
		limit int
		basis string
	}{
		"somebody waited":          {newStory().opened(0, 1).opened(0, 2).busy(1, 1, "a").busy(1, 2, "a").free(2, 1, "a").waited(1.5, 2, 1, "b"), 2, "open while others waited"},
		"two processes":            {second(newStory().opened(0, 1)).opened(0, 2).busy(1, 1, "a").waited(1.5, 2, 1, "b"), 2, "open while others waited, 2 processes together"},
		"streams, the server says": {streams().opened(0, 1).limit(0, 1, 100).busy(1, 1, "a"), 100, "the server's MAX_CONCURRENT_STREAMS"},
		"two channels":             {streams().opened(0, 1).opened(0, 2).limit(0, 1, 100).limit(0, 2, 100), 200, "the server's MAX_CONCURRENT_STREAMS"},
		"streams, seen":            {streams().opened(0, 1).busy(1, 1, "a").busy(1, 1, "a").busy(1, 1, "a").waited(0.5, 1, 1, "b"), 3, "in use at most, while others waited"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := tt.story.pool(t, 3)
			if r.Limit != tt.limit || r.LimitBasis != tt.basis {
				t.Errorf("limit %d by %q, want %d by %q", r.Limit, r.LimitBasis, tt.limit, tt.basis)
			}
		})
	}
}

func TestWaits(t *testing.T) {
	r := newStory().opened(0, 1).busy(0.1, 1, "a").free(1, 1, "a").waited(0.5, 1, 1, "b").busy(1, 1, "b").free(2, 1, "b").
		waited(0.5, 2, 1, "b").busy(2, 1, "b").free(2.5, 1, "b").pool(t, 3)
	if len(r.Waits) != 2 || r.Waits[0].Endpoint != "a" || r.Waits[0].Acquisitions != 1 || r.Waits[0].Waited != 0 {
		t.Fatalf("waits %+v", r.Waits)
	}
	if w := r.Waits[1]; w.Acquisitions != 2 || w.Waited != 2 || math.Abs(w.Sum-2) > 1e-9 || math.Abs(w.Max-1.5) > 1e-9 {
		t.Errorf("waits %+v", w)
	}
	if r.WaitersMax != 2 {
		t.Errorf("%d waiters at once, want 2", r.WaitersMax)
	}
}

func TestHolders(t *testing.T) {
	streams := newStory()
	streams.streams = true
	tests := map[string]struct {
		story *story
		end   float64
		want  string
	}{
		"one after the other":    {newStory().opened(0, 1).busy(1, 1, "a").free(3, 1, "a").busy(4, 1, "b").free(5, 1, "b"), 6, "a 2 b 1 "},
		"still held":             {newStory().opened(0, 1).busy(1, 1, "a"), 6, "a 5 "},
		"held when it closed":    {newStory().opened(0, 1).busy(1, 1, "a").closed(3, 1), 6, "a 2 "},
		"release not seen":       {newStory().opened(0, 1).busy(1, 1, "a").busy(3, 1, "b").free(4, 1, "b"), 6, "a 2 b 1 "},
		"streams of two at once": {streams.opened(0, 1).busy(1, 1, "a").busy(3, 1, "b").free(4, 1, "a").free(6, 1, "b"), 9, "a 3 b 3 "},
		"released twice":         {newStory().opened(0, 1).busy(1, 1, "a").free(2, 1, "a").free(3, 1, "a"), 6, "a 1 "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			for _, h := range tt.story.pool(t, tt.end).Holders {
				got += fmt.Sprintf("%s %g ", h.Endpoint, math.Round(h.Seconds*1e6)/1e6)
			}
			if got != tt.want {
				t.Errorf("held %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTimeline(t *testing.T) {
	tests := map[string]struct {
		story *story
		end   float64
		want  string // open/in use/waiting for each second
	}{
		"the largest of each second":     {newStory().opened(0.1, 1).busy(0.2, 1, "a").free(0.3, 1, "a").opened(1.5, 2), 2.5, "1/1/0 2/0/0 2/0/0 "},
		"a quiet stretch, then the end":  {newStory().opened(0.1, 1).busy(0.2, 1, "a").closed(3.5, 1), 4.5, "1/1/0 1/1/0 1/1/0 1/1/0 0/0/0 "},
		"a quiet stretch, then more":     {newStory().opened(0.1, 1).opened(3.5, 2), 4.5, "1/0/0 1/0/0 1/0/0 2/0/0 2/0/0 "},
		"who waits over seconds":         {newStory().opened(0.1, 1).busy(0.2, 1, "a").waited(0.5, 2.5, 1, "b").waited(1.2, 1.4, 1, "b"), 3.5, "1/1/1 1/1/2 1/1/1 1/1/0 "},
		"a wait is told when it is over": {newStory().opened(0.1, 1).opened(3, 2).opened(3, 3).waited(0.5, 3, 1, "b"), 3.5, "1/0/1 1/0/1 1/0/1 3/0/1 "},
		"nothing":                        {newStory().opened(0.1, 1), 0.5, "1/0/0 "},
		"one follows the other":          {newStory().opened(0.1, 1).busy(0.2, 1, "a").waited(0.3, 0.5, 1, "b").waited(0.5, 0.7, 1, "c"), 0.9, "1/1/1 "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := ticks(tt.story.pool(t, tt.end)); got != tt.want {
				t.Errorf("timeline %s, want %s", got, tt.want)
			}
		})
	}
}

// A window that begins in the middle knows who has what, and nothing of the past.
func TestFrom(t *testing.T) {
	all := newStory().opened(0, 1).opened(0, 2).busy(1, 1, "a").waited(0.5, 1, 1, "a").tell(New(0))
	window := all.From(ns(5))
	later := newStory().free(6, 1, "a").busy(6.4, 2, "b").free(6.9, 2, "b")
	later.tell(all)
	later.tell(window)
	r := window.Recording(ns(8))[0]
	if r.OpenMax != 2 || r.InUseMax != 1 || r.Creates != 0 {
		t.Errorf("%+v", r)
	}
	if len(r.Holders) != 2 || math.Abs(r.Holders[0].Seconds-1) > 1e-9 || math.Abs(r.Holders[1].Seconds-.5) > 1e-9 {
		t.Errorf("holders %+v: a had it for one second of the window", r.Holders)
	}
	if len(r.Waits) != 1 || r.Waits[0].Endpoint != "b" || r.Waits[0].Waited != 0 {
		t.Errorf("waits %+v", r.Waits)
	}
	if got := ticks(r); got != "2/1/0 2/1/0 2/0/0 2/0/0 " {
		t.Errorf("timeline %s", got)
	}
	whole := all.Recording(ns(8))[0]
	if whole.Holders[0].Endpoint != "a" || math.Abs(whole.Holders[0].Seconds-5) > 1e-9 {
		t.Errorf("holders of the whole run %+v: the window must not share state with it", whole.Holders)
	}
}

func TestNow(t *testing.T) {
	p := newStory().opened(0, 1).busy(1, 1, "a").waited(8.5, 9.5, 1, "b").tell(New(0))
	s := p.Now(ns(10))
	if len(s) != 1 || s[0].Open != 1 || s[0].InUse != 1 || s[0].Pending != 1 || s[0].Limit != 1 || s[0].Creates != 1 {
		t.Errorf("%+v", s)
	}
}

// Whatever order and whatever losses: no figure is negative, nothing exceeds what is open.
func TestAnyStory(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 1))
		p := New(ns(100))
		s := newStory()
		s.streams = seed%2 == 0
		for range 300 {
			at, id, e := 99+rng.Float64()*10, uint64(rng.IntN(5)), string(rune('a'+rng.IntN(3)))
			switch rng.IntN(6) {
			case 0:
				s.opened(at, id)
			case 1:
				s.closed(at, id)
			case 2:
				s.busy(at, id, e)
			case 3:
				s.free(at, id, e)
			case 4:
				s.waited(at, at+rng.Float64(), id, e)
			case 5:
				s.limit(at, id, rng.IntN(9))
			}
			if rng.IntN(50) == 0 {
				s.tell(p)
				s.changes = nil
				p = p.From(ns(at))
			}
		}
		s.tell(p)
		for _, r := range p.Recording(ns(115)) {
			if r.OpenMax < 0 || r.InUseMax < 0 || r.WaitersMax < 0 || !s.streams && r.InUseMax > r.OpenMax {
				t.Fatalf("seed %d: %+v", seed, r)
			}
			for _, k := range r.Timeline {
				if k.Open < 0 || k.InUse < 0 || k.Waiting < 0 || k.Open > r.OpenMax || k.InUse > r.InUseMax {
					t.Fatalf("seed %d: tick %+v of %+v", seed, k, r)
				}
			}
			for _, h := range r.Holders {
				if h.Seconds < 0 {
					t.Fatalf("seed %d: %+v", seed, h)
				}
			}
		}
	}
}

func TestManyConnections(t *testing.T) {
	p := New(0)
	for id := range uint64(maxConns + 5) {
		p.Apply(request.Connection{Change: request.Opened, Peer: redis, ID: id})
	}
	if r := p.Recording(1)[0]; r.OpenMax != maxConns || r.Extra["dropped"] != int64(5) {
		t.Errorf("open %d, dropped %v", r.OpenMax, r.Extra)
	}
}

// However many waits there were, who waits now is known, and so is who did in each second.
func TestManyWaits(t *testing.T) {
	p := New(0)
	s := newStory().opened(0, 1)
	const n, each = maxWaiting + maxWaiting/2 + 7, 1e-4 // s
	for i := range n {                                  // two at a time
		s.waited(float64(i)*each, float64(i+2)*each, 1, "a")
	}
	end := n * each
	s.waited(end-1.2, end-0.5, 1, "b") // and a third
	s.tell(p)
	q := p.byKey[key{peer: redis}]
	if kept := len(q.waiting.kept); kept > maxWaiting || len(q.waiting.by) != 20 {
		t.Errorf("%d waits are kept, %d seconds are folded", kept, len(q.waiting.by))
	}
	if now := p.Now(ns(end))[0]; now.Pending != 3 {
		t.Errorf("%d wait", now.Pending)
	}
	r := p.Recording(ns(end))[0]
	if r.WaitersMax != 3 || r.Waits[0].Waited != n || len(r.Extra) > 0 {
		t.Errorf("at most %d waited, %d in all, %v", r.WaitersMax, r.Waits[0].Waited, r.Extra)
	}
	for _, tick := range r.Timeline {
		if want := 2; tick.Waiting < want || tick.Waiting > want+1 || tick.Waiting > want && tick.T < math.Floor(end-1.2) {
			t.Errorf("second %g: %d waited", tick.T, tick.Waiting)
		}
	}
}

func TestUnsureWaits(t *testing.T) {
	s := newStory().opened(0, 1).waited(1, 2, 1, "a").waited(2, 2.5, 1, "a").waited(1, 2, 1, "b")
	s.changes[1].Unsure = ns(.25)
	s.changes[2].Unsure = ns(.5)
	r := s.pool(t, 3)
	if a, b := r.Waits[0], r.Waits[1]; a.Unsure != .75 || a.Sum != 1.5 || b.Unsure != 0 {
		t.Errorf("%g of %g s unsure, want 0.75 of 1.5; %g of b", a.Unsure, a.Sum, b.Unsure)
	}
}
