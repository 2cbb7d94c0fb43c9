package memory

import "math"

// The warm-up is over where growth breaks: imports, caches and connection pools have filled, and
// what comes after grows clearly more slowly, or not at all.
const (
	// A break is believed when its t value is beyond this. It is the largest of many, one for each
	// place that it could be at, and has no Student distribution; with this bound the verdicts on
	// series without a leak stay as rare as the intervals promise (TestFalseLeaksAreRare).
	minBreak = 4

	slower     = 1.25 // times: before the break to after it
	maxBreaks  = 4    // a cache of exponential filling takes several
	breakPlace = 3    // readings at least on either side
)

// afterWarmUp leaves out the warm-up; it may leave less than can be judged.
func (s stretch) afterWarmUp() stretch {
	for range maxBreaks {
		at := s.slowing()
		if at == 0 {
			break
		}
		s = s.cut(at, s.len())
	}
	return s
}

// slowing returns the reading from which on growth is clearly slower, 0 where there is none. It is
// the place of the least squares of a line that bends there; whether it bends is tested as
// regress does, which holds for memory that wanders: Perron and Yabu, "Testing for shifts in trend
// with an integrated or stationary noise component", J. Business & Economic Statistics 27 (2009).
func (s stretch) slowing() int {
	n := s.len()
	if n < minTicks || span(s.axis()) <= 0 {
		return 0
	}
	x := normalised(s.axis())
	best := sharpestBend(x, s.apart(x))
	if best == 0 {
		return 0
	}
	columns := s.with(x, bend(x, best))
	beta, _ := leastSquares(s.bytes, columns)
	if beta == nil {
		return 0
	}
	k := len(beta) - 2
	before, after := beta[k], beta[k]+beta[k+1]
	if before < slower*max(after, 0) || (before-max(after, 0))*x[best] < minGrowth {
		return 0
	}
	if s.bytes[best]-s.bytes[0] < minGrowth { // what came and went with the requests is no warm-up
		return 0
	}
	if d, se := regress(s.bytes, columns...); d > -minBreak*se {
		return 0
	}
	return best
}

// sharpestBend is the place at which a line that bends there comes nearest to y, 0 where there is
// none. Of each place only sums over what follows are needed, so that all take one pass.
func sharpestBend(x, y []float64) int {
	n, mean := len(x), meanOf(y)
	var after struct{ n, x, xx, y, xy float64 } // sums over the readings from the place on
	all, best, most := after, 0, math.Inf(-1)
	for i := range x {
		v := y[i] - mean
		all.n, all.x, all.xx, all.xy = all.n+1, all.x+x[i], all.xx+x[i]*x[i], all.xy+x[i]*v
	}
	for at := n - 1; at >= breakPlace; at-- {
		v, c := y[at]-mean, x[at]
		after.n, after.x, after.xx = after.n+1, after.x+c, after.xx+c*c
		after.y, after.xy = after.y+v, after.xy+c*v
		if at >= n-breakPlace || c <= x[0] || c >= x[n-1] {
			continue
		}
		h := after.x - c*after.n // the sum of the bend
		beta := solve([][]float64{
			{all.n, all.x, h, 0},
			{all.x, all.xx, after.xx - c*after.x, all.xy},
			{h, after.xx - c*after.x, after.xx - 2*c*after.x + c*c*after.n, after.xy - c*after.y},
		})
		if beta == nil {
			continue
		}
		if explained := beta[1]*all.xy + beta[2]*(after.xy-c*after.y); explained > most {
			best, most = at, explained
		}
	}
	return best
}

// bend is 0 up to a place, and x from there on.
func bend(x []float64, at int) []float64 {
	out := make([]float64, len(x))
	for i := at; i < len(x); i++ {
		out[i] = x[i] - x[at]
	}
	return out
}
