package truth

import (
	"math"
	"slices"
)

func sum(v []float64) (s float64) {
	for _, x := range v {
		s += x
	}
	return s
}

// at is the quantile q of ascending values, between two of them in proportion; 0 of none.
func at(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	p := q * float64(len(sorted)-1)
	i := int(p)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (p-float64(i))*(sorted[i+1]-sorted[i])
}

// Quartiles of a sample.
type Quartiles struct {
	N      int     `json:"n"`
	Low    float64 `json:"q25"`
	Median float64 `json:"median"`
	High   float64 `json:"q75"`
}

func quartiles(v []float64) Quartiles {
	s := slices.Sorted(slices.Values(v))
	return Quartiles{len(s), at(s, 0.25), at(s, 0.5), at(s, 0.75)}
}

// correlation is Pearson's; 0 where one of both does not vary.
func correlation(a, b []float64) float64 {
	n := float64(len(a))
	if n == 0 {
		return 0
	}
	ma, mb := sum(a)/n, sum(b)/n
	var ab, aa, bb float64
	for i := range a {
		x, y := a[i]-ma, b[i]-mb
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

// meanWait is what queueing theory says of one connection, random arrivals of the given rate a
// second, and the given times that each holds it (Pollaczek and Khinchine): λ·E[S²]/(2(1−ρ)),
// which is M/D/1 when all holds are equal. ok is false when the queue has no steady state.
func meanWait(rate float64, holds []float64) (seconds, utilisation float64, ok bool) {
	if len(holds) == 0 {
		return 0, 0, false
	}
	var first, second float64
	for _, s := range holds {
		first += s
		second += s * s
	}
	n := float64(len(holds))
	utilisation = rate * first / n
	if utilisation >= 1 {
		return 0, utilisation, false
	}
	return rate * second / n / (2 * (1 - utilisation)), utilisation, true
}
