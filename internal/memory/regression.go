package memory

import "math"

// regress fits y = Σ β·column by feasible generalised least squares with first-order
// autocorrelated errors, after Perron and Yabu, "Estimating deterministic trends with an
// integrated or stationary noise component", J. Econometrics 151 (2009). It returns the
// coefficient of the last column and its standard error.
//
// Readings of memory one second apart are far from independent: a block that was taken stays
// for a while, and without any leak the level may wander. Ordinary least squares calls half of
// such series leaks. So the autocorrelation ρ of the residuals of ordinary least squares is
// corrected for its bias (Kendall 1954: with k columns −(k+(k+2)ρ)/n), set to 1 when it lies near
// 1, and both sides are differenced by it. "Near" is 2.5·n^−½: the paper's n^−½ is for long
// series, and with a minute of ticks lets 8 % of random walks pass for leaks
// (TestFalseLeaksAreRare). What correlation is left widens the error by Newey and West's variance
// (Bartlett weights, lag 4(n/100)^(2/9)). With ρ = 1 the slope is that of the steps, and its
// error that of a random walk's drift.
func regress(y []float64, columns ...[]float64) (coefficient, standardError float64) {
	n, k := float64(len(y)), float64(len(columns))
	beta, _ := leastSquares(y, columns)
	rho := autocorrelation(residuals(y, columns, beta))
	rho = (n*rho + k) / (n - k - 2)
	if rho > 1-2.5/math.Sqrt(n) {
		rho = 1
	}
	rho = max(rho, -.99)

	dy, dx := difference(y, rho), make([][]float64, 0, len(columns))
	for _, c := range columns {
		if d := difference(c, rho); rho < 1 || !isZero(d) { // the constant has no steps
			dx = append(dx, d)
		}
	}
	beta, inverse := leastSquares(dy, dx)
	if beta == nil {
		return 0, math.Inf(1)
	}
	e := residuals(dy, dx, beta)
	m, last := float64(len(dy)), len(beta)-1
	return beta[last], math.Sqrt(max(longRunVariance(e), variance(e)) * m / (m - float64(len(dx))) * inverse[last][last])
}

// difference is x_i − ρ·x_(i−1); the first reading keeps the weight that it deserves (Prais and
// Winsten), which with ρ = 1 is none.
func difference(x []float64, rho float64) []float64 {
	out := make([]float64, 0, len(x))
	if rho < 1 {
		out = append(out, math.Sqrt(1-rho*rho)*x[0])
	}
	for i := 1; i < len(x); i++ {
		out = append(out, x[i]-rho*x[i-1])
	}
	return out
}

func isZero(x []float64) bool {
	for _, v := range x {
		if v != 0 {
			return false
		}
	}
	return true
}

// leastSquares solves the normal equations; inverse is that of XᵀX. Both are nil when the columns
// depend on each other.
func leastSquares(y []float64, columns [][]float64) (beta []float64, inverse [][]float64) {
	k := len(columns)
	a := make([][]float64, k) // XᵀX, Xᵀy, the unit matrix
	for i := range a {
		a[i] = make([]float64, 2*k+1)
		for j := range k {
			a[i][j] = dot(columns[i], columns[j])
		}
		a[i][k], a[i][k+1+i] = dot(columns[i], y), 1
	}
	if beta = solve(a); beta == nil {
		return nil, nil
	}
	for i := range a {
		inverse = append(inverse, a[i][k+1:])
	}
	return beta, inverse
}

// solve brings the left square of a to the unit matrix by Gauss and Jordan, without pivoting: it is
// positive definite. It returns the column behind that square, nil when the square is singular.
func solve(a [][]float64) (x []float64) {
	scale := 0.
	for i := range a {
		scale = max(scale, a[i][i])
	}
	for i := range a {
		if a[i][i] <= 1e-12*scale {
			return nil
		}
		for j := len(a[i]) - 1; j >= i; j-- {
			a[i][j] /= a[i][i]
		}
		for r := range a {
			if r == i {
				continue
			}
			for j := len(a[i]) - 1; j >= i; j-- {
				a[r][j] -= a[r][i] * a[i][j]
			}
		}
	}
	for i := range a {
		x = append(x, a[i][len(a)])
	}
	return x
}

func dot(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// residuals are all of y where the columns could not be fitted.
func residuals(y []float64, columns [][]float64, beta []float64) []float64 {
	e := make([]float64, len(y))
	copy(e, y)
	for k, b := range beta {
		for i, v := range columns[k] {
			e[i] -= b * v
		}
	}
	return e
}

func variance(e []float64) float64 { return dot(e, e) / float64(len(e)) }

// longRunVariance is Newey and West's (Econometrica 55, 1987).
func longRunVariance(e []float64) float64 {
	n := len(e)
	lags := int(4 * math.Pow(float64(n)/100, 2./9))
	v := variance(e)
	for l := 1; l <= lags && l < n; l++ {
		v += 2 * (1 - float64(l)/float64(lags+1)) * dot(e[l:], e[:n-l]) / float64(n)
	}
	return v
}

// autocorrelation is that of neighbours, 0 where there is no variation at all.
func autocorrelation(e []float64) float64 {
	before := dot(e[:len(e)-1], e[:len(e)-1])
	if before == 0 {
		return 0
	}
	return dot(e[1:], e[:len(e)-1]) / before
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
