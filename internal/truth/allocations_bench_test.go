package truth

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

func allocationCases() (cases []AllocationSettings) {
	for _, loop := range []string{"uvloop", "asyncio"} {
		for _, workers := range []int{1, 2} {
			fast := AllocationSettings{Loop: loop, Workers: workers, Seconds: 20}
			if loop == "asyncio" && workers > 1 {
				fast.Conns = 32 // uvicorn's shared socket leaves Nagle's algorithm on there: an answer takes 40 ms
			}
			cases = append(cases, fast,
				AllocationSettings{Loop: loop, Workers: workers, Rate: 200, Seconds: 40}) // of an idle process a tenth is little
		}
	}
	return cases
}

// allocations holds bytes by endpoint to the truth.
func (b *benchRun) allocations() error {
	var errs []error
	for _, c := range allocationCases() {
		if !strings.Contains(c.String(), *benchFilter) {
			continue
		}
		dir, err := os.MkdirTemp(b.dir, "allocations")
		if err != nil {
			return err
		}
		f, err := RunAllocations(b.t.Context(), dir, c)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c, err))
			continue
		}
		b.r.Allocations = renew(b.r.Allocations, f, func(o *AllocationFindings) bool { return o.AllocationSettings == f.AllocationSettings })
		for i, r := range f.Rows {
			known, said, windows := f.share(i)
			off, held := f.offByRequest(i)
			b.progress("allocations, %s: %s: share %.1f %%, said %.1f %%, in windows %.1f %%; by request off by %+.1f %% (%v) in %.1f requests; %.0f of %.0f kB in %.2f s watched, %+.1f %%",
				c, r.Path, 100*known, 100*said, 100*windows, 100*off, held, r.Requests, r.Seen/1e3, r.Watched/1e3, f.Said.WatchedSeconds, 100*f.off(i))
		}
		b.progress("allocations, %s: cost %.1f %%, predicted %.0f %%, %d calls at %.2f µs, others %v, losses %s", c, 100*f.Said.TargetRatio, 100*f.Said.PredictedRatio, f.Said.Calls, 1e6*f.Said.CallPrice, f.Others, lossesOf(f.Lost))
	}
	return errors.Join(errs...)
}
