package diagnose

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ragscope/ragscope/internal/recording"
)

// maxNamed bounds the blocks of the event loop that evidence names.
const maxNamed = 3

// loopFacts says how late the event loops ran, and which functions held them up.
func loopFacts(rec *recording.Recording) (out []string) {
	l := rec.EventLoop
	if l == nil {
		return nil
	}
	if l.Lag.Max > 0 {
		out = append(out, fmt.Sprintf("A timer of the event loop fired late by %s at p95, %s at p99, %s at most.",
			recording.Seconds(l.Lag.Quantile(.95)), recording.Seconds(l.Lag.Quantile(.99)), recording.Seconds(l.Lag.Max)))
	}
	for _, b := range worstBlocks(l) {
		text := fmt.Sprintf("%s held the event loop %s for more than 50 ms, %s in all, %s at most", blamed(b), plural(b.Count, "time"), recording.Seconds(b.Seconds), recording.Seconds(b.Longest))
		if b.Endpoint != "" && b.Function != "" {
			text += ", on " + b.Endpoint
		}
		if b.Asleep > 0 {
			text += fmt.Sprintf("; %s of it asleep in a call", recording.Seconds(b.Asleep))
		}
		if b.Queued > 0 {
			text += fmt.Sprintf("; %s of it without a CPU", recording.Seconds(b.Queued))
		}
		out = append(out, text+".")
	}
	return out
}

// worstBlocks are those that took the most seconds.
func worstBlocks(l *recording.EventLoop) []recording.LoopBlock {
	blocks := slices.Clone(l.Blocks)
	slices.SortStableFunc(blocks, func(a, b recording.LoopBlock) int { return cmp.Compare(b.Seconds, a.Seconds) })
	return blocks[:min(maxNamed, len(blocks))]
}

func sleepsOnLoop(function string) string {
	return function + " calls something that sleeps on the event loop: await an asynchronous client instead, or run it in a thread (asyncio.to_thread). While it sleeps no other request of that worker moves."
}

func blamed(b recording.LoopBlock) string {
	return cmp.Or(b.Function, b.Endpoint, "Code of no request")
}

// loopAdvice is what to do about the worst block; "" where there is none.
func loopAdvice(rec *recording.Recording) string {
	if rec.EventLoop == nil || len(rec.EventLoop.Blocks) == 0 {
		return ""
	}
	b := worstBlocks(rec.EventLoop)[0]
	if b.Queued > b.Seconds/2 {
		return "For most of its longest turns the event loop could run and had no CPU: give the host more CPUs, or take other work off it. Meanwhile no other request of that worker moved."
	}
	if b.Asleep > b.Seconds/2 {
		return sleepsOnLoop(blamed(b))
	}
	return fmt.Sprintf("%s computes on the event loop: run it in a process pool, or in a thread if it releases the GIL, or do less of it. While it runs no other request of that worker moves.", blamed(b))
}
