// Package memory watches how much memory the target's processes hold, what it consists of, and
// whether it grows.
//
// In: process ids, once a second; allocation stacks, where they are sampled; limits. Out: one
// recording.MemoryTick for all of them together with their CPU time, the readings of each process
// (Sampler), the kinds of memory that they hold (smaps), and, from many ticks, a growth rate with
// its confidence interval and a verdict in words (Judge, a pure function). The
// room below, census, counts what the containers of a Python process hold.
//
// It only reads /proc: it never stops, signals or traces a process. Counters are read once a
// second; the page tables, which must be walked under the target's memory lock, so seldom that
// they are locked for less than 0.02 % of the time.
package memory
