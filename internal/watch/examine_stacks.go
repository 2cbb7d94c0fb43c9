package watch

import (
	"context"
	"log/slog"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/stack"
)

// stackFindings loads the stack sampler as a watcher does, which takes some seconds in the kernel's verifier.
func stackFindings(k *kernel.Kernel, log *slog.Logger) []Finding {
	s := stack.NewSampler(stack.Options{Logger: log, Shared: stack.Shared{Maps: k.Maps(), Switches: k.Switches()}})
	defer func() {
		if err := s.Close(); err != nil {
			log.Debug("close the stack sampler", "error", err)
		}
	}()
	if err := s.Start(context.Background()); err != nil {
		return []Finding{{"stacks", Degraded, err.Error(), "without them: no flame graph, and no function is named that blocks an event loop", false}}
	}
	out := []Finding{{"stacks on the CPU", Works, "flame graph of CPU time", "", false}}
	for _, f := range []struct {
		what, figure, without string
		why                   error
	}{
		{"stacks off the CPU", "flame graph of sleeps", "sleeps of main threads are sampled where they begin, for the names of what blocks an event loop; there is no off-CPU flame graph", s.OffCPUWhy()},
		{"stacks of new memory", "flame graph of memory", "no allocations by endpoint, no memory hot spots", s.TouchedWhy()},
	} {
		if f.why != nil {
			out = append(out, Finding{f.what, Degraded, f.why.Error(), "without it: " + f.without, false})
			continue
		}
		out = append(out, Finding{f.what, Works, f.figure, "", false})
	}
	return out
}
