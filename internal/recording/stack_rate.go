package recording

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// StackRateText says at which rates CPU stacks were sampled, "" where none were.
func (o *Overhead) StackRateText() string {
	if len(o.StackRates) == 1 {
		return fmt.Sprintf("%d Hz", o.StackRates[0].Hz)
	}
	var sum float64
	for _, r := range o.StackRates {
		sum += r.Seconds
	}
	var parts []string
	for _, r := range o.StackRates {
		parts = append(parts, fmt.Sprintf("%d Hz in %s of the time", r.Hz, Share(r.Seconds/sum)))
	}
	return strings.Join(parts, ", ")
}

// mergeStackRates adds up how long each rate held.
func mergeStackRates(a, b []StackRate) []StackRate {
	out := slices.Clone(a)
	for _, r := range b {
		i := slices.IndexFunc(out, func(o StackRate) bool { return o.Hz == r.Hz })
		if i < 0 {
			out = append(out, r)
			continue
		}
		out[i].Seconds += r.Seconds
	}
	slices.SortFunc(out, func(a, b StackRate) int { return cmp.Compare(b.Hz, a.Hz) })
	return out
}

// What of stacks is not measured, as NotMeasured tells it; the second goes on with the seconds.
const (
	CPUProfile   = "CPU flame graph"
	StacksBefore = "stacks in the first "
)
