package truth

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// touched holds the bytes of page faults by endpoint to the truth, and prices their stacks.
func (b *benchRun) touched() error {
	var errs []error
	for _, loop := range []string{"uvloop", "asyncio"} {
		for _, workers := range []int{1, 2} {
			dir, err := os.MkdirTemp(b.dir, "touched")
			if err != nil {
				return err
			}
			f, err := RunTouched(b.t.Context(), dir, loop, workers, 100, 20*time.Second)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s, %d worker(s): %w", loop, workers, err))
				continue
			}
			b.r.Touched = renew(b.r.Touched, f, func(o *TouchedFindings) bool { return o.String() == f.String() })
			for _, r := range f.Rows {
				b.progress("touched, %s: %s: %.2f MB touched, %.2f grown, %.2f seen", f, r.Path, r.Touched/1e6, r.Grown/1e6, r.Seen/1e6)
			}
			b.progress("touched, %s: others %.2f MB, RSS grew by %.2f, losses %s", f, f.Others/1e6, f.RSS/1e6, lossesOf(f.Lost))
		}
	}
	allocate := Settings{App: "allocate", needs: "profiles", env: []string{"OPENBLAS_NUM_THREADS=1"}}
	for _, load := range []Workload{workloads[4], {Name: "1 MiB touched by each request", Settings: allocate, Wires: get("/map"), Conns: 16}} {
		if !strings.Contains("memory stacks of "+load.Name, *benchFilter) {
			continue
		}
		c, err := MeasureStacks(b.t.Context(), b.dir, load, 0, 20, 1500*time.Millisecond)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		b.r.StackCosts = renew(b.r.StackCosts, c, func(o *StackCost) bool { return o.Workload == c.Workload && o.Hz == c.Hz })
		b.progress("memory stacks of %s: %.1f a second, %.0f µs each, %.2f %% of the target's CPU; from outside %+.1f %%, %+.1f %% of a core for the agent", load.Name, c.Stacks, 1e6*c.Each, 100*c.Share, 100*c.Outside.Median, 100*c.Added.Median)
	}
	return errors.Join(errs...)
}
