package recording

import (
	"slices"
	"testing"
)

func TestAddSleepPlaces(t *testing.T) {
	place := func(function string, samples int64, seconds float64) SleepPlace {
		return SleepPlace{Function: function, What: WaitsForGIL, Samples: samples, Seconds: seconds}
	}
	others := func(samples int64, seconds float64) SleepPlace {
		return SleepPlace{Function: Others, Samples: samples, Seconds: seconds}
	}
	for name, c := range map[string]struct{ a, b, want []SleepPlace }{
		"nothing":                   {},
		"the same":                  {[]SleepPlace{place("a", 1, 1)}, []SleepPlace{place("a", 2, 2)}, []SleepPlace{place("a", 3, 3)}},
		"longest first":             {[]SleepPlace{place("a", 1, 1)}, []SleepPlace{place("b", 1, 2)}, []SleepPlace{place("b", 1, 2), place("a", 1, 1)}},
		"too many":                  {[]SleepPlace{place("a", 1, 1), place("b", 1, 2)}, []SleepPlace{place("c", 1, 3)}, []SleepPlace{place("c", 1, 3), place("b", 1, 2), others(1, 1)}},
		"others are one, and last":  {[]SleepPlace{place("a", 1, 1), others(9, 9)}, []SleepPlace{others(1, 1)}, []SleepPlace{place("a", 1, 1), others(10, 10)}},
		"of another kind of thread": {[]SleepPlace{place("a", 1, 1)}, []SleepPlace{{Function: "a", What: WaitsForGIL, Main: true, Samples: 1, Seconds: 2}}, []SleepPlace{{"a", WaitsForGIL, true, 1, 2}, place("a", 1, 1)}},
	} {
		if got := AddSleepPlaces(c.a, c.b, 2); !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
