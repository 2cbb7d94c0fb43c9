package report

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ragscope/ragscope/internal/recording"
)

// maxBlocks is how many blocks of the event loop the report names.
const maxBlocks = 15

// eventLoop adds how well the target's event loops kept up, and what held them up.
func (b *builder) eventLoop(s *Section) {
	s.heading("Event loop")
	l := b.whole.EventLoop
	if l == nil || l.Lag.Count == 0 {
		s.text("Lag of the event loop: not measured, because the recordings hold none.")
		return
	}
	s.text(fmt.Sprintf("A timer of the event loop that is due every 10 ms was late by %s at p50, %s at p95, %s at p99 and %s at most.",
		quantile(l.Lag, .5), quantile(l.Lag, .95), quantile(l.Lag, .99), recording.Seconds(l.Lag.Max)))
	if len(l.Blocks) == 0 {
		s.text("Nothing held the loop for more than 50 ms.")
		return
	}
	t := &Table{Caption: "What held the event loop for more than 50 ms", Columns: columns("Function,Endpoint", "Times,In all,Longest,Asleep in a call,Without a CPU"),
		Note: "Meanwhile no other request of that worker moved. Function: the application's innermost one in most of the stacks sampled meanwhile. Asleep: a blocking client, time.sleep, a file. Without a CPU: it could run, and others had the CPUs."}
	blocks := slices.Clone(l.Blocks)
	slices.SortStableFunc(blocks, func(a, b recording.LoopBlock) int { return cmp.Compare(b.Seconds, a.Seconds) })
	for _, k := range blocks[:min(maxBlocks, len(blocks))] {
		t.row(plain(k.Culprit(), cmp.Or(k.Endpoint, "–"), recording.Number(k.Count),
			recording.Seconds(k.Seconds), recording.Seconds(k.Longest), recording.Seconds(k.Asleep), recording.Seconds(k.Queued))...)
	}
	s.table(t)
}
