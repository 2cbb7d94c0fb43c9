package recording

import (
	"slices"
	"strings"
)

func (r *Recording) addSleeps(s *Sleeps) {
	if s == nil {
		return
	}
	if r.Sleeps == nil {
		r.Sleeps = &Sleeps{Kinds: []Sleep{}, Idle: []Sleep{}}
	}
	r.Sleeps.Kinds = mergeSleeps(r.Sleeps.Kinds, s.Kinds)
	r.Sleeps.Idle = mergeSleeps(r.Sleeps.Idle, s.Idle)
	r.Sleeps.PeriodSeconds = max(r.Sleeps.PeriodSeconds, s.PeriodSeconds)
}

// mergeSleeps adds up what is the same, in the order of the names.
func mergeSleeps(a, b []Sleep) []Sleep {
	out := slices.Clone(a)
	for _, s := range b {
		i, found := slices.BinarySearchFunc(out, s.What, func(x Sleep, what string) int { return strings.Compare(x.What, what) })
		if !found {
			out = slices.Insert(out, i, s)
			continue
		}
		out[i].Sleeps += s.Sleeps
		out[i].Seconds += s.Seconds
	}
	return out
}
