package collect

import (
	"cmp"
	"slices"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

// maxBlocks bounds the pairs of endpoint and function that blocks are told by; the rest is
// under otherFunctions.
const maxBlocks = 256

const otherFunctions = "_other"

// loop is what was seen of the event loops in a stretch.
type loop struct {
	lag    recording.Dist
	blocks map[[2]string]*recording.LoopBlock
}

// Lag adds what timers of an event loop saw. Those that were due before the stretch are not of it.
func (c *Collector) Lag(l request.Lag) {
	if n := min(int64(l.N), (l.Time-c.begin)/request.LagEvery+1); l.Time >= c.begin && n > 0 {
		c.loop.lag.ObserveN(float64(l.Late)/1e9, n)
	}
}

// Block adds a turn of an event loop that took long, with the function that held it up, "" where
// that is not known.
func (c *Collector) Block(b request.Block, function string) {
	if b.End < c.begin {
		return
	}
	seconds := float64(b.End-b.Start) / 1e9
	c.loop.add(recording.LoopBlock{
		Endpoint: b.Endpoint, Function: function, Count: 1, Seconds: seconds, Longest: seconds, Asleep: float64(b.Asleep) / 1e9, Queued: float64(b.Queued) / 1e9,
	})
}

func (l *loop) add(b recording.LoopBlock) {
	if l.blocks == nil {
		l.blocks = map[[2]string]*recording.LoopBlock{}
	}
	if l.blocks[[2]string{b.Endpoint, b.Function}] == nil && len(l.blocks) >= maxBlocks {
		b.Endpoint, b.Function = "", otherFunctions
	}
	sum := l.blocks[[2]string{b.Endpoint, b.Function}]
	if sum == nil {
		sum = &recording.LoopBlock{Endpoint: b.Endpoint, Function: b.Function}
		l.blocks[[2]string{b.Endpoint, b.Function}] = sum
	}
	sum.Count += b.Count
	sum.Seconds += b.Seconds
	sum.Asleep += b.Asleep
	sum.Queued += b.Queued
	sum.Longest = max(sum.Longest, b.Longest)
}

func (l *loop) absorb(o *loop) {
	l.lag.Merge(o.lag)
	for _, b := range o.blocks {
		l.add(*b)
	}
}

// recording is nil where no event loop was seen.
func (l *loop) recording() *recording.EventLoop {
	if l.lag.Count == 0 && len(l.blocks) == 0 {
		return nil
	}
	out := &recording.EventLoop{Lag: l.lag.Clone(), Blocks: []recording.LoopBlock{}}
	for _, b := range l.blocks {
		out.Blocks = append(out.Blocks, *b)
	}
	slices.SortFunc(out.Blocks, func(a, b recording.LoopBlock) int {
		return cmp.Or(cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Function, b.Function))
	})
	return out
}
