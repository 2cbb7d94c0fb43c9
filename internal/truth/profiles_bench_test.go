package truth

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
)

// profileCases give each mode and kind 2,000 samples. At 97 Hz that takes the longest, so not all of them.
func profileCases() (cases []profileCase) {
	for _, loop := range []string{"uvloop", "asyncio"} {
		for _, workers := range []int{1, 2} {
			for _, p := range []kernel.Precision{kernel.Full, kernel.Linked} {
				cases = append(cases, profileCase{ProfileSettings{Loop: loop, Workers: workers, Hz: 499, Seconds: 4.4}, everyCell(p)})
			}
		}
	}
	var few []ProfileCell
	for i, mode := range profileModes {
		few = append(few, ProfileCell{Precision: kernel.Linked, Mode: mode, Kind: profileKinds[i%len(profileKinds)]})
	}
	return append(cases, profileCase{ProfileSettings{Loop: "uvloop", Workers: 2, Hz: 97, Seconds: 22}, few})
}

type profileCase struct {
	ProfileSettings
	cells []ProfileCell
}

func (c profileCase) String() string {
	return c.ProfileSettings.String() + ", " + c.cells[0].Precision.String()
}

func (b *benchRun) profiles() error {
	var errs []error
	for _, c := range profileCases() {
		if !strings.Contains(c.String(), *benchFilter) {
			continue
		}
		dir, err := os.MkdirTemp(b.dir, "profiles")
		if err != nil {
			return err
		}
		f, err := RunProfiles(b.t.Context(), dir, c.ProfileSettings, c.cells)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c, err))
			continue
		}
		b.r.Profiles = renew(b.r.Profiles, f, func(o *Profiles) bool {
			return o.ProfileSettings == f.ProfileSettings && o.Cells[0].Precision == f.Cells[0].Precision
		})
		all := f.all(c.cells[0].Precision)
		worst, _ := f.worst(c.cells[0].Precision)
		b.progress("profiles, %s: %d samples, off %.1f points, at most %.1f in a cell", c, all.Samples, 100*all.off(), 100*worst.off())
	}
	for _, load := range []Workload{workloads[0], workloads[4]} {
		if !strings.Contains("stacks of "+load.Name, *benchFilter) {
			continue
		}
		c, err := MeasureStacks(b.t.Context(), b.dir, load, 97, 20, 1500*time.Millisecond)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		b.r.StackCosts = renew(b.r.StackCosts, c, func(o *StackCost) bool { return o.Workload == c.Workload && o.Hz == c.Hz })
		b.progress("stacks of %s: %.0f µs each, %.2f %% of the target's CPU, %+.1f %% of a core for the agent", load.Name, 1e6*c.Each, 100*c.Share, 100*c.Added.Median)
	}
	return errors.Join(errs...)
}
