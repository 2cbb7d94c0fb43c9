package truth

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// names counts the frames that have a name on the Python that Debian ships.
func (b *benchRun) names() error {
	var errs []error
	for _, c := range []NameSettings{
		{Loop: "uvloop"}, {Loop: "asyncio"}, {Loop: "uvloop", Hidden: true}, {Loop: "asyncio", Hidden: true}, {Loop: "uvloop", Raw: true}, {Loop: "asyncio", Raw: true},
		{Loop: "uvloop", Raw: true, Hidden: true}, {Loop: "asyncio", Raw: true, Hidden: true},
	} {
		if !strings.Contains(c.String(), *benchFilter) {
			continue
		}
		dir, err := os.MkdirTemp(b.dir, "names")
		if err != nil {
			return err
		}
		f, err := RunNames(b.t.Context(), dir, c, 20*time.Second)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c, err))
			continue
		}
		b.r.Names = renew(b.r.Names, f, func(o *NameFindings) bool { return o.NameSettings == f.NameSettings })
		for _, k := range f.Kinds {
			b.progress("names, %s, %s: %d stacks, %.2f %% whole, %d frames, %.1f %% named, %v, cut off at %v", c, k.Kind, k.Stacks, 100*k.whole(),
				k.Frames, 100*k.named(), k.Nameless, k.Cut)
		}
	}
	return errors.Join(errs...)
}
