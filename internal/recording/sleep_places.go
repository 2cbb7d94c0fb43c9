package recording

import (
	"cmp"
	"slices"
	"strings"
)

// Others stands for what was not told apart.
const Others = "_other"

// MaxSleepPlaces bounds the places of one endpoint in a recording.
const MaxSleepPlaces = 20

// Doing says in what the threads slept, for a sentence: "sleeps for a time".
func (p *SleepPlace) Doing() string { return strings.Trim(p.What, "[]") }

// ForGIL reports whether they waited for the GIL.
func (p *SleepPlace) ForGIL() bool { return p.What == WaitsForGIL }

// WaitsForGIL is what threads sleep in that wait for it, in the words of the off-CPU profile.
const WaitsForGIL = "[waits for the GIL]"

// AddSleepPlaces adds up what is the same place, the longest first. Those beyond so many become one, the last.
func AddSleepPlaces(a, b []SleepPlace, most int) (out []SleepPlace) {
	rest := SleepPlace{Function: Others}
	for _, p := range slices.Concat(a, b) {
		sum := &rest
		if p.Function != Others {
			sum = slot(&out, SleepPlace{Function: p.Function, What: p.What, Main: p.Main}, func(o SleepPlace) bool {
				return o.Function == p.Function && o.What == p.What && o.Main == p.Main
			})
		}
		sum.add(p)
	}
	slices.SortFunc(out, func(a, b SleepPlace) int {
		return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(a.Function, b.Function), cmp.Compare(a.What, b.What))
	})
	if len(out) > most {
		for _, p := range out[most:] {
			rest.add(p)
		}
		out = out[:most]
	}
	if rest.Samples > 0 {
		out = append(out, rest)
	}
	return out
}

func (p *SleepPlace) add(o SleepPlace) {
	p.Samples += o.Samples
	p.Seconds += o.Seconds
}
