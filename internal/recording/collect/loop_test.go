package collect

import (
	"fmt"
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

func TestEventLoop(t *testing.T) {
	c := New(10*sec, nil)
	if r := fill(c, 11); r.EventLoop != nil {
		t.Errorf("%+v: no event loop was seen", r.EventLoop)
	}
	c.Lag(request.Lag{Time: 9 * sec, Late: sec, N: 1})         // before
	c.Lag(request.Lag{Time: 10*sec + sec/20 - 1, N: 100})      // the last five of them in the stretch
	c.Lag(request.Lag{Time: 12 * sec, Late: 0.07 * sec, N: 1}) // late
	c.Block(request.Block{Start: 9.1 * sec, End: 9.2 * sec, Endpoint: "GET /a"}, "f (a.py)")
	c.Block(request.Block{Start: 9.9 * sec, End: 10.1 * sec, Endpoint: "GET /a", Asleep: 0.1 * sec}, "f (a.py)")
	c.Block(request.Block{Start: 11 * sec, End: 11.1 * sec, Endpoint: "GET /a"}, "f (a.py)")
	c.Block(request.Block{Start: 11 * sec, End: 11.1 * sec}, "")
	l := fill(c, 13).EventLoop
	if l.Lag.Count != 6 || !near(l.Lag.Sum, .07) || !near(l.Lag.Max, .07) {
		t.Errorf("lag %+v", l.Lag)
	}
	if len(l.Blocks) != 2 || l.Blocks[0].Endpoint != "" || l.Blocks[0].Count != 1 {
		t.Fatalf("blocks %+v", l.Blocks)
	}
	if b := l.Blocks[1]; b.Function != "f (a.py)" || b.Count != 2 || !near(b.Seconds, .3) || !near(b.Longest, .2) || !near(b.Asleep, .1) {
		t.Errorf("block %+v", b)
	}

	for i := range 2 * maxBlocks {
		c.Block(request.Block{Start: 12 * sec, End: 12.1 * sec}, fmt.Sprint("g", i))
	}
	l = fill(c, 13).EventLoop
	sum, others := 0.0, int64(0)
	for _, b := range l.Blocks {
		sum += b.Seconds
		if b.Function == otherFunctions {
			others = b.Count
		}
	}
	if len(l.Blocks) > maxBlocks+1 || others != maxBlocks+2 || !near(sum, .4+2*maxBlocks*.1) {
		t.Errorf("%d blocks, %g s, %d among the others: they are bounded and none is lost", len(l.Blocks), sum, others)
	}
}

func TestLoopAbsorbs(t *testing.T) {
	whole, part := New(0, nil), New(5*sec, nil)
	for _, c := range []*Collector{whole, part} {
		c.Lag(request.Lag{Time: 6 * sec, N: 3})
		c.Block(request.Block{Start: 6 * sec, End: 6.1 * sec}, "f")
	}
	whole.loop.absorb(&part.loop)
	if l := fill(whole, 7).EventLoop; l.Lag.Count != 6 || len(l.Blocks) != 1 || l.Blocks[0].Count != 2 {
		t.Errorf("%+v", l)
	}
}

func TestForwardDelay(t *testing.T) {
	c := New(0, nil)
	r := answered("GET /chat", 2)
	r.Forwards = []int64{sec / 1000, sec / 500}
	r.Calls = []*request.Call{{Peer: request.Peer{System: "ollama"}, Operation: "POST /api/chat", Sent: sec, LLM: &request.LLM{Operation: "chat", Stream: true, Tokens: []int64{1.5 * sec, 1.75 * sec}, Chunks: 2}}}
	c.Request(r)
	before := fill(c, 3)
	c.Request(r)
	m := before.Endpoints[0].LLM
	if m.ForwardDelay.Count != 2 || !near(m.ForwardDelay.Sum, .003) || !near(m.Generating, .25) {
		t.Errorf("%+v", m)
	}
	merged, err := recording.Merge(&recording.Recording{Endpoints: before.Endpoints, EventLoop: &recording.EventLoop{Blocks: []recording.LoopBlock{{Function: "f", Count: 1, Seconds: 1, Longest: 1, Queued: .5}}}},
		&recording.Recording{Endpoints: fill(c, 3).Endpoints, EventLoop: &recording.EventLoop{Blocks: []recording.LoopBlock{{Function: "f", Count: 2, Seconds: 3, Longest: 2, Asleep: 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	if m := merged.Endpoints[0].LLM; m.ForwardDelay.Count != 6 || !near(m.Generating, .75) {
		t.Errorf("merged: %+v", m)
	}
	if b := merged.EventLoop.Blocks; len(b) != 1 || b[0] != (recording.LoopBlock{Function: "f", Count: 3, Seconds: 4, Longest: 2, Asleep: 1, Queued: .5}) {
		t.Errorf("merged: %+v", b)
	}
}
