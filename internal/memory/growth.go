package memory

import (
	"math"

	"github.com/ragscope/ragscope/internal/recording"
)

// What Growth says.
const (
	NoGrowth = "no growth"
	Grows    = "grows: possible leak"
	TooShort = "too short to tell"
)

const (
	minTicks = 30

	// A leak is claimed from this many readings on: in half a minute an API that has just been
	// put under load fills caches and buffers, and that looks like one.
	minLeakTicks = 60

	// The beginning is left out: imports, caches and connection pools fill there.
	warmUpShare  = .2
	warmUpAtMost = 60 // seconds

	// Growth below this in the whole window is the allocator's granularity.
	minGrowth = 16 * 4096 // bytes

	// Growth that the interval cannot rule out, as a share of the memory held, below which
	// the window is long enough to say that there is none.
	negligible = .05
)

// Growth estimates how fast resident memory grows, in bytes per second with a 95 % confidence
// interval, and gives the verdict. It is nil, "too short to tell" with fewer than 30 ticks.
//
// Readings of memory one second apart are far from independent: a block that was taken stays
// for a while, and without any leak the level may wander. Ordinary least squares calls half of
// such series leaks. So the line is fitted by feasible generalised least squares with
// first-order autocorrelated errors, after Perron and Yabu, "Estimating deterministic trends
// with an integrated or stationary noise component", J. Econometrics 151 (2009): the
// autocorrelation ρ of the residuals of ordinary least squares is corrected for its bias
// (Kendall 1954; with a trend −(2+4ρ)/n), set to 1 when it lies near 1, and both sides are
// differenced by it. "Near" is 2.5·n^−½: the paper's n^−½ is for long series, and with a minute
// of ticks lets 8 % of random walks pass for leaks (TestFalseLeaksAreRare). What correlation is left widens the interval by Newey and West's
// variance (Bartlett weights, lag 4(n/100)^(2/9)). With ρ = 1 the slope is the mean of the
// steps, and the interval that of a random walk's drift.
//
// "grows" needs the interval above zero at least 60 ticks, and growth that goes on: when the second half grows
// less than half as fast as the first, it may be a cache that fills, and the verdict is that the
// window is too short. So it is when the interval holds zero, but also growth that would
// matter.
func Growth(ticks []recording.MemoryTick) (*recording.Estimate, string) {
	if len(ticks) < minTicks {
		return nil, TooShort
	}
	enough := len(ticks) >= minLeakTicks
	ticks = afterWarmUp(ticks)
	x, y := make([]float64, len(ticks)), make([]float64, len(ticks))
	var mean float64
	for i, t := range ticks {
		x[i], y[i] = t.T, float64(t.RSS)
		mean += y[i] / float64(len(ticks))
	}
	span := x[len(x)-1] - x[0]
	if span <= 0 {
		return nil, TooShort // the clock of these ticks does not run
	}
	slope, margin := trend(x, y)
	e := &recording.Estimate{Estimate: slope, Low: slope - margin, High: slope + margin}
	switch {
	case e.Low > 0 && slope*span >= minGrowth:
		if !enough || slowsDown(x, y) {
			return e, TooShort
		}
		return e, Grows
	case e.High*span > max(negligible*mean, minGrowth):
		return e, TooShort
	}
	return e, NoGrowth
}

func afterWarmUp(ticks []recording.MemoryTick) []recording.MemoryTick {
	first, last := ticks[0].T, ticks[len(ticks)-1].T
	cut := first + min(warmUpShare*(last-first), warmUpAtMost)
	for i, t := range ticks {
		if t.T >= cut {
			return ticks[i:]
		}
	}
	return ticks
}

// slowsDown tells whether the second half grows less than half as fast as the first.
func slowsDown(x, y []float64) bool {
	h := len(x) / 2
	_, early := leastSquares(ones(h), x[:h], y[:h])
	_, late := leastSquares(ones(len(x)-h), x[h:], y[h:])
	return late < early/2
}

// trend returns the slope of y over x and the half width of its 95 % confidence interval.
func trend(x, y []float64) (slope, margin float64) {
	n := float64(len(x))
	a, b := leastSquares(ones(len(x)), x, y)
	rho := autocorrelation(residuals(ones(len(x)), x, y, a, b))
	rho = (n*rho + 2) / (n - 4) // ≥ 24 ticks are left after the warm-up
	if rho > 1-2.5/math.Sqrt(n) {
		rho = 1
	}
	rho = max(rho, -.99)

	// Both sides differenced by ρ; the first reading keeps the weight that it deserves
	// (Prais and Winsten), which with ρ = 1 is none.
	c, dx, dy := make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(x))
	w := math.Sqrt(1 - rho*rho)
	c[0], dx[0], dy[0] = w, w*x[0], w*y[0]
	for i := 1; i < len(x); i++ {
		c[i], dx[i], dy[i] = 1-rho, x[i]-rho*x[i-1], y[i]-rho*y[i-1]
	}
	if rho == 1 {
		return drift(dx[1:], dy[1:])
	}
	a, b = leastSquares(c, dx, dy)
	e := residuals(c, dx, dy, a, b)
	se := slopeError(c, dx, e)
	return b, student975(n-3) * se
}

// drift is the slope of a random walk with steps dy over the times dx.
func drift(dx, dy []float64) (slope, margin float64) {
	var sx, sy, sxx float64
	for i := range dx {
		sx += dx[i]
		sy += dy[i]
		sxx += dx[i] * dx[i]
	}
	slope = sy / sx
	e := make([]float64, len(dx))
	for i := range e {
		e[i] = dy[i] - slope*dx[i]
	}
	n := float64(len(dx))
	return slope, student975(n-2) * math.Sqrt(max(longRunVariance(e), variance(e))*n) / sx
}

// slopeError is the standard error of the slope in the regression on c and x: the usual one,
// widened by the correlation that is left in the residuals.
func slopeError(c, x, e []float64) float64 {
	var cc, cx, xx float64
	for i := range x {
		cc += c[i] * c[i]
		cx += c[i] * x[i]
		xx += x[i] * x[i]
	}
	n := float64(len(x))
	return math.Sqrt(max(longRunVariance(e), variance(e)) * n / (n - 2) * cc / (cc*xx - cx*cx))
}

func variance(e []float64) float64 {
	var s float64
	for _, v := range e {
		s += v * v
	}
	return s / float64(len(e))
}

// longRunVariance is Newey and West's (Econometrica 55, 1987).
func longRunVariance(e []float64) float64 {
	n := len(e)
	lags := int(4 * math.Pow(float64(n)/100, 2./9))
	v := variance(e)
	for l := 1; l <= lags && l < n; l++ {
		var g float64
		for i := l; i < n; i++ {
			g += e[i] * e[i-l]
		}
		v += 2 * (1 - float64(l)/float64(lags+1)) * g / float64(n)
	}
	return v
}

// autocorrelation is that of neighbours, 0 where there is no variation at all.
func autocorrelation(e []float64) float64 {
	var num, den float64
	for i := 1; i < len(e); i++ {
		num += e[i] * e[i-1]
		den += e[i-1] * e[i-1]
	}
	if den == 0 {
		return 0
	}
	return num / den
}

// leastSquares fits y = a·c + b·x.
func leastSquares(c, x, y []float64) (a, b float64) {
	var cc, cx, xx, cy, xy float64
	for i := range x {
		cc += c[i] * c[i]
		cx += c[i] * x[i]
		xx += x[i] * x[i]
		cy += c[i] * y[i]
		xy += x[i] * y[i]
	}
	det := cc*xx - cx*cx
	if det == 0 {
		return 0, 0
	}
	return (xx*cy - cx*xy) / det, (cc*xy - cx*cy) / det
}

func residuals(c, x, y []float64, a, b float64) []float64 {
	e := make([]float64, len(x))
	for i := range e {
		e[i] = y[i] - a*c[i] - b*x[i]
	}
	return e
}

func ones(n int) []float64 {
	c := make([]float64, n)
	for i := range c {
		c[i] = 1
	}
	return c
}

// student975 is the 97.5 % quantile of Student's t with df ≥ 20 degrees of freedom
// (Abramowitz and Stegun 26.7.5).
func student975(df float64) float64 {
	const z = 1.959964
	return z + (z*z*z+z)/(4*df) + (5*math.Pow(z, 5)+16*z*z*z+3*z)/(96*df*df)
}
