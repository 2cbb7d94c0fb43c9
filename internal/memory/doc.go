// Package memory watches how much memory the target's processes hold, and judges whether it
// grows.
//
// In: process ids, once a second. Out: one recording.MemoryTick for all of them together with
// their CPU time, and, from many ticks, a growth rate with its confidence interval and a
// verdict in words (Growth, a pure function).
// It only reads /proc: it never stops, signals or traces a process, and never walks its page
// tables, which would hold the target's memory lock.
package memory
