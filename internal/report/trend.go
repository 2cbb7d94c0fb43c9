package report

import (
	"math"

	"github.com/ragscope/ragscope/internal/recording"
)

// minPoints is the fewest readings from which a trend is told.
const minPoints = 10

// trend fits a straight line through the points by ordinary least squares and returns its
// slope with the 95 % confidence interval (slope ± t(0.975, n−2) · s/√Σ(x−x̄)²); nil when
// there are fewer than minPoints or all x are equal. Neighbouring readings resemble each
// other, which the interval does not know: it is a lower bound of the true uncertainty.
func trend(x, y []float64) *recording.Estimate {
	n := float64(len(x))
	if len(x) < minPoints {
		return nil
	}
	var mx, my float64
	for i := range x {
		mx += x[i] / n
		my += y[i] / n
	}
	var sxx, sxy float64
	for i := range x {
		sxx += (x[i] - mx) * (x[i] - mx)
		sxy += (x[i] - mx) * (y[i] - my)
	}
	if sxx == 0 {
		return nil
	}
	slope := sxy / sxx
	var rss float64
	for i := range x {
		r := y[i] - my - slope*(x[i]-mx)
		rss += r * r
	}
	half := student(len(x)-2) * math.Sqrt(rss/(n-2)/sxx)
	return &recording.Estimate{Estimate: slope, Low: slope - half, High: slope + half}
}

// student returns the 97.5 % quantile of Student's t with so many degrees of freedom (at
// least 3), by the expansion of Cornish and Fisher; within 0.005 of the tables from 8 on.
func student(freedom int) float64 {
	const z = 1.959964
	const z3, z5, z7 = z * z * z, z * z * z * z * z, z * z * z * z * z * z * z
	v := float64(freedom)
	return z + (z3+z)/(4*v) + (5*z5+16*z3+3*z)/(96*v*v) + (3*z7+19*z5+17*z3-15*z)/(384*v*v*v)
}

// latencyTrend is the slope of the p95 of a recording's seconds, in seconds per second.
func latencyTrend(r *recording.Recording) *recording.Estimate {
	var x, y []float64
	for _, t := range r.Timeline {
		if t.Requests > 0 {
			x, y = append(x, t.T), append(y, t.P95)
		}
	}
	return trend(x, y)
}

// direction says in a word where an estimate points; "no trend" when its interval holds 0.
func direction(e *recording.Estimate) string {
	switch {
	case e == nil:
		return missing
	case e.Low > 0:
		return "rising"
	case e.High < 0:
		return "falling"
	default:
		return "no trend"
	}
}
