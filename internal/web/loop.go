package web

import (
	"cmp"
	"sort"

	"github.com/ragscope/ragscope/internal/recording"
)

// maxBlocks is how many blocks of the event loop the page has room for.
const maxBlocks = 10

func loopOf(l *recording.EventLoop) loop {
	if l == nil || l.Lag.Count == 0 {
		return loop{}
	}
	v := loop{Late: percent(lateShare(l.Lag)), P95: seconds(l.Lag.Quantile(.95)), P99: seconds(l.Lag.Quantile(.99)), Max: seconds(l.Lag.Max),
		Tone: tone(l.Lag.Quantile(.99), .05, .2)}
	blocks := append([]recording.LoopBlock(nil), l.Blocks...)
	sort.SliceStable(blocks, func(i, j int) bool { return blocks[i].Seconds > blocks[j].Seconds })
	for _, b := range blocks[:min(maxBlocks, len(blocks))] {
		v.Blocks = append(v.Blocks, block{b.Culprit(), cmp.Or(b.Endpoint, "–"), count(b.Count),
			seconds(b.Seconds), seconds(b.Longest), seconds(b.Asleep), seconds(b.Queued)})
	}
	return v
}

// lateShare is the share of the timers that were late by more than 10 ms.
func lateShare(lag recording.Dist) float64 {
	var late int64
	for _, b := range lag.Bars() {
		if b.Upper > .01 {
			late += b.Count
		}
	}
	return ratio(late, lag.Count)
}
