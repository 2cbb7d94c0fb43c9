package truth

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

func sleepCases() (cases []SleepSettings) {
	for _, loop := range []string{"uvloop", "asyncio"} {
		for _, workers := range []int{1, 2} {
			cases = append(cases, SleepSettings{Loop: loop, Workers: workers, Scale: 2})
		}
	}
	return cases
}

// sleeps holds off-CPU profiles to the truth.
func (b *benchRun) sleeps() error {
	var errs []error
	for _, c := range sleepCases() {
		if !strings.Contains(c.String(), *benchFilter) {
			continue
		}
		dir, err := os.MkdirTemp(b.dir, "sleeps")
		if err != nil {
			return err
		}
		f, err := RunSleeps(b.t.Context(), dir, c)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c, err))
			continue
		}
		b.r.Sleeps = renew(b.r.Sleeps, f, func(o *SleepFindings) bool { return o.SleepSettings == f.SleepSettings })
		for _, r := range f.Rows {
			b.progress("sleeps, %s: %s %.3f s of %.3f to %.3f s, elsewhere %.3f s", c, r.Path, r.Seen, r.Least, r.Most, r.Elsewhere)
		}
	}
	return errors.Join(errs...)
}
