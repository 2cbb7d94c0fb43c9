package stack

import (
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/ragscope/ragscope/bpf"
	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/target"
)

// BenchmarkMoment is what telling whose context runs adds to a tick of the clock, by the kernel's own account of run
// times: with and without, while a Python thread computes. There is no unwinder behind it.
func BenchmarkMoment(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("SKIPPED, nothing was measured: needs root for BPF")
	}
	pid := startTarget(b)
	k, err := kernel.Load(slog.New(slog.DiscardHandler))
	if err != nil {
		b.Skipf("SKIPPED, nothing was measured: %v", err)
	}
	defer k.Close()
	c := clock{periodNS: uint64(time.Second) / 997}
	if err := loadObjects(bpf.LoadSample, &c.objects, k.Maps()); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.close() }()
	if err := c.watch(map[uint32]bool{uint32(pid): true}); err != nil {
		b.Fatal(err)
	}
	if err := c.start(); err != nil {
		b.Fatal(err)
	}
	stats, err := keepRunTimes()
	if err != nil {
		b.Fatal(err)
	}
	defer stats.Close()
	each := func() float64 {
		before, ticks := c.ran(), c.ticks()
		for c.ticks()-ticks < 500 {
			time.Sleep(10 * time.Millisecond)
		}
		return 1e9 * (c.ran() - before) / float64(c.ticks()-ticks)
	}
	python, err := target.InspectPython(pid)
	if err != nil {
		b.Fatal(err)
	}
	var without, with []float64
	for range 9 {
		without = append(without, each())
		if err := k.Watch(pid, python); err != nil {
			b.Fatal(err)
		}
		with = append(with, each())
		k.Unwatch(pid)
	}
	slices.Sort(without)
	slices.Sort(with)
	b.ReportMetric(without[4], "ns/tick-without")
	b.ReportMetric(with[4], "ns/tick-with")
	b.ReportMetric(0, "ns/op")
}
