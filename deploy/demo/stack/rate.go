package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// The warm-up offers more and more load until the machine or the latency says that it is enough.
const (
	firstRate    = 4.0             // req/s
	rateFactor   = 1.6             // from step to step
	stepLength   = 3 * time.Second // of load at one rate
	enoughCPU    = 0.70            // of all cores
	kneeFactor   = 1.5             // p95 grown by this, and to …
	kneeLeast    = 4 * time.Second // … this: an answer that is generated takes a second or two by itself
	tailGrown    = stepLength / 2  // half as much again as can be done was asked for
	tailMost     = 2 * stepLength
	primeTime    = 10 * time.Second
	baselinePart = 0.6 // of the capacity found
	lastRate     = 2000.0
)

// observation is what one step of the warm-up saw.
type observation struct {
	rate float64 // offered, req/s
	busy float64 // share of all cores
	p95  time.Duration
	done float64       // answered, req/s
	tail time.Duration // that the last answer took after the load had ended: a queue that grew empties then
}

// prime asks the most popular questions, so that the caches are those of an API that has been in use for a while.
func (st *stack) prime(ctx context.Context) error {
	if !st.cfg.useCache {
		return nil
	}
	text, err := os.ReadFile(queriesFile(st.cfg))
	if err != nil {
		return err
	}
	var asked atomic.Int64
	begin := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(st.cfg.llmParallel)
	for line := range bytes.Lines(text) {
		if time.Since(begin) > primeTime || ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			asked.Add(1)
			return postJSON(ctx, "http://"+loopback(st.cfg.apiPort)+"/api/v1/chat", line)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	st.progress.say("%-12s %d popular questions asked (%.1fs)", "warm-up", asked.Load(), time.Since(begin).Seconds())
	return nil
}

// findRate returns the baseline's rate for this machine.
func (st *stack) findRate(ctx context.Context) (float64, error) {
	dir := filepath.Join(st.cfg.state, "warmup")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	// The first requests pay for imports, connections and prepared queries: they are not looked at.
	if _, err := st.observe(ctx, dir, firstRate); err != nil {
		return 0, err
	}
	var seen []observation
	for rate := firstRate; rate < lastRate; rate *= rateFactor {
		o, err := st.observe(ctx, dir, rate)
		if err != nil {
			return 0, err
		}
		seen = append(seen, o)
		if why := enough(seen); why != "" {
			capacity := capacity(seen)
			st.progress.say("%-12s at %.1f req/s %s: capacity about %.1f req/s", "warm-up", rate, why, capacity)
			return baselinePart * capacity, nil
		}
		st.progress.say("%-12s %.1f req/s: CPU %.0f %%, p95 %s", "warm-up", o.rate, 100*o.busy, o.p95)
	}
	return baselinePart * lastRate, nil
}

func (st *stack) observe(ctx context.Context, dir string, rate float64) (observation, error) {
	run := loadRun{scenario: "baseline", rate: rate, length: stepLength}
	prefix := filepath.Join(dir, "step")
	cpu, begin := startCPU(), time.Now()
	if err := st.runLoader(ctx, "warm-up", run.argv(st.cfg, prefix)); err != nil {
		return observation{}, err
	}
	busy, took := cpu.busy(), time.Since(begin)
	t, err := readTotals(prefix + "_stats.csv")
	return observation{rate: rate, busy: busy, p95: t.p95, done: float64(t.requests-t.failures) / stepLength.Seconds(), tail: took - stepLength}, err
}

// enough says in words why the last observation is the last one that is needed, or "".
func enough(seen []observation) string {
	first, last := seen[0], seen[len(seen)-1]
	switch {
	case last.busy >= enoughCPU:
		return fmt.Sprintf("the CPU is %.0f %% busy", 100*last.busy)
	case last.done < 0.8*last.rate-1:
		return fmt.Sprintf("only %.1f req/s are answered", last.done)
	case last.tail > min(first.tail+tailGrown, tailMost):
		return fmt.Sprintf("the last answer came %s after the last question", last.tail.Round(100*time.Millisecond))
	case last.p95 > kneeLeast && float64(last.p95) > kneeFactor*float64(first.p95):
		return fmt.Sprintf("p95 has grown from %s to %s", first.p95, last.p95)
	}
	return ""
}

// capacity is the rate at which the CPU would be enoughCPU busy, on the line between the last two observations, or the
// last rate but one when something else gave way first.
func capacity(seen []observation) float64 {
	last := seen[len(seen)-1]
	before := observation{}
	if len(seen) > 1 {
		before = seen[len(seen)-2]
	}
	if last.busy >= enoughCPU && last.busy > before.busy {
		part := (enoughCPU - before.busy) / (last.busy - before.busy)
		return before.rate + max(0.1, min(1, part))*(last.rate-before.rate)
	}
	if before.rate > 0 {
		return before.rate
	}
	return last.rate / 2
}

// cpuClock compares the machine's CPU counters over a time.
type cpuClock struct{ busyTicks, allTicks float64 }

func startCPU() cpuClock {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cpuClock{}
	}
	return parseCPU(string(text))
}

// parseCPU reads the first line of /proc/stat, see proc(5): idle and iowait are the fourth and fifth figure; the last
// two are guests' time, which is in user time already.
func parseCPU(stat string) cpuClock {
	line, _, _ := strings.Cut(stat, "\n")
	var c cpuClock
	for i, field := range strings.Fields(line) {
		ticks, err := strconv.ParseFloat(field, 64)
		if i == 0 || i > 8 || err != nil {
			continue
		}
		c.allTicks += ticks
		if i != 4 && i != 5 {
			c.busyTicks += ticks
		}
	}
	return c
}

// busy is the share of all cores that was used since the clock was started, 0 to 1.
func (c cpuClock) busy() float64 {
	now := startCPU()
	if now.allTicks <= c.allTicks {
		return 0
	}
	return (now.busyTicks - c.busyTicks) / (now.allTicks - c.allTicks)
}
