package request

import (
	"math/rand/v2"
	"testing"
)

func TestSweep(t *testing.T) {
	first := &Call{LastArrived: 60}
	second := &Call{LastArrived: 90}
	tests := map[string]struct {
		start, last int64
		parts       []part
		want        string // in ns
		overlap     int64
	}{
		"nothing known":  {0, 10, nil, "unexplained 10", 0},
		"no time at all": {10, 10, []part{{0, 20, onCPU, "", nil}}, "", 0},
		"a gap between two parts": {0, 100, []part{{0, 20, receiveQueue, "", nil}, {50, 100, onCPU, "", nil}},
			"receive_queue 20, unexplained 30, on_cpu 50", 0},
		"a part hangs over both ends": {10, 20, []part{{0, 100, blocked, "", nil}}, "blocked 10", 0},
		"parts outside":               {10, 20, []part{{0, 10, onCPU, "", nil}, {20, 30, onCPU, "", nil}}, "unexplained 10", 0},
		"touching parts join":         {0, 30, []part{{0, 10, onCPU, "", nil}, {10, 30, onCPU, "", nil}}, "on_cpu 30", 0},
		"the earlier stage has it": {0, 100, []part{{0, 100, upstream, "redis", first}, {20, 40, onCPU, "", nil}, {30, 50, loopWait, "", nil}},
			"upstream redis 20, on_cpu 20, upstream redis 60", 0},
		"every stage above the next": {0, 12, []part{
			{0, 12, send, "", nil}, {0, 11, loopWait, "", nil}, {0, 10, upstream, "p", nil}, {0, 9, connect, "p", nil}, {0, 8, poolWait, "p", nil},
			{0, 7, blocked, "", nil}, {0, 6, gilWait, "", nil}, {0, 5, runQueue, "", nil}, {0, 4, onCPU, "", nil}, {0, 3, receiveQueue, "", nil}, {0, 2, acceptQueue, "", nil}},
			"accept_queue 2, receive_queue 1, on_cpu 1, run_queue 1, gil_wait 1, blocked 1, pool_wait p 1, connect p 1, upstream p 1, loop_wait 1, send 1", 0},
		"parallel calls: the one answered last has the time": {0, 100, []part{{10, 60, upstream, "redis", first}, {20, 90, upstream, "qdrant", second}},
			"unexplained 10, upstream redis 10, upstream qdrant 70, unexplained 10", 40},
		"parallel calls in pieces: known by the whole call": {0, 100, []part{{0, 30, upstream, "llm", second}, {0, 60, upstream, "redis", first}, {40, 90, upstream, "llm", second}},
			"upstream llm 30, upstream redis 10, upstream llm 50, unexplained 10", 50},
		"three at once": {0, 10, []part{{0, 10, upstream, "a", nil}, {0, 10, upstream, "b", nil}, {0, 10, upstream, "c", nil}},
			"upstream a 10", 20},
		"two waits at once": {0, 10, []part{{0, 5, poolWait, "a", nil}, {2, 10, poolWait, "b", nil}}, "pool_wait a 2, pool_wait b 8", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			spans, overlap := sweep(tt.start, tt.last, tt.parts)
			r := &Request{Start: tt.start, Last: tt.last, Spans: spans}
			whole(t, r)
			for i := range r.Spans { // stages prints milliseconds
				r.Spans[i].Start *= 1e6
				r.Spans[i].End *= 1e6
			}
			if got := stages(r); got != tt.want {
				t.Errorf("spans  %s\nwant   %s", got, tt.want)
			}
			if overlap != tt.overlap {
				t.Errorf("overlap %d, want %d", overlap, tt.overlap)
			}
		})
	}
}

// Whatever the parts are, every instant is in exactly one stage, and in the right one.
func TestSweepAnyParts(t *testing.T) {
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		start := rng.Int64N(20)
		last := start + rng.Int64N(60)
		parts := make([]part, rng.IntN(12))
		for i := range parts {
			from := rng.Int64N(90) - 10
			p := part{start: from, end: from + 1 + rng.Int64N(40), stage: uint8(rng.IntN(unexplained))}
			if hasPeer(p.stage) {
				p.peer = string(rune('a' + rng.IntN(3)))
			}
			parts[i] = p
		}
		spans, overlap := sweep(start, last, parts)
		r := &Request{Start: start, Last: last, Spans: spans}
		if why := broken(r); why != "" {
			t.Fatalf("seed %d: %s: %v of %v", seed, why, spans, parts)
		}
		if overlap < 0 {
			t.Fatalf("seed %d: overlap %d", seed, overlap)
		}
		for at := start; at < last; at++ {
			want := uint8(unexplained)
			for _, p := range parts {
				if p.start <= at && at < p.end {
					want = min(want, p.stage)
				}
			}
			for _, s := range spans {
				if s.Start <= at && at < s.End && s.Stage != Stages[want] {
					t.Fatalf("seed %d: %d is in %s, want %s: %v", seed, at, s.Stage, Stages[want], parts)
				}
			}
		}
	}
}
