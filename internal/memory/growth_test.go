package memory

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
)

const mib = 1 << 20

// series makes one tick a second from f, which gets the second.
func series(n int, f func(t int) float64) []recording.MemoryTick {
	out := make([]recording.MemoryTick, n)
	for i := range out {
		out[i] = recording.MemoryTick{T: float64(i), RSS: uint64(math.Round(f(i)))}
	}
	return out
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name  string
		ticks []recording.MemoryTick
		want  string
	}{
		{"nothing", nil, TooShort},
		{"29 ticks", series(29, func(i int) float64 { return 100*mib + float64(i)*mib }), TooShort},
		{"flat", series(60, func(int) float64 { return 100 * mib }), Stable},
		{"straight line, a minute", series(60, func(i int) float64 { return 100*mib + float64(i)*mib }), Growing},
		{"straight line", series(90, func(i int) float64 { return 100*mib + float64(i)*mib }), LeakSuspected},
		{"shrinks", series(60, func(i int) float64 { return 500*mib - float64(i)*mib }), Stable},
		{"one step", series(60, func(i int) float64 {
			if i > 30 {
				return 101 * mib
			}
			return 100 * mib
		}), Stable},
		{"a large step at the end", series(60, func(i int) float64 {
			if i > 50 {
				return 200 * mib
			}
			return 100 * mib
		}), TooShort},
		{"warm-up, then flat", series(60, func(i int) float64 { return 100*mib + math.Min(float64(i), 10)*10*mib }), Stable},
		{"a cache that fills", series(90, func(i int) float64 { return 200*mib - 100*mib*math.Exp(-float64(i)/25) }), TooShort},
		{"steps of an arena every four seconds", series(120, func(i int) float64 { return 100*mib + float64(i/4)*mib }), LeakSuspected},
		{"a page now and then", series(60, func(i int) float64 { return 100*mib + float64(i/10)*4096 }), Stable},
		{"saw tooth", series(120, func(i int) float64 { return 100*mib + float64(i%7)*mib/2 }), Stable},
		{"a clock that stands", make([]recording.MemoryTick, 40), TooShort},
	} {
		g := Judge(c.ticks, nil)
		e := g.GrowthBytesPerSecond
		if g.Verdict != c.want {
			t.Errorf("%s: %q (%s; %+v), want %q", c.name, g.Verdict, g.Reason, e, c.want)
		}
		if e != nil && !(e.Low <= e.Estimate && e.Estimate <= e.High) {
			t.Errorf("%s: interval %+v is not one", c.name, *e)
		}
	}
}

func TestKnownSlope(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	g := Judge(series(300, func(i int) float64 { return 500*mib + 20e3*float64(i) + r.NormFloat64()*200e3 }), nil)
	e := g.GrowthBytesPerSecond
	if e == nil || math.Abs(e.Estimate-20e3) > 1e3 || e.Low > 20e3 || e.High < 20e3 {
		t.Errorf("%+v, want about 20 000 bytes per second", e)
	}
}

// noises are ways in which memory moves without a leak, around 500 MiB.
var noises = []struct {
	name string
	make func(r *rand.Rand) func() float64 // each call is the next second
}{
	{"white", func(r *rand.Rand) func() float64 { return func() float64 { return r.NormFloat64() * mib } }},
	{"AR(1) .5", func(r *rand.Rand) func() float64 { return ar1(r, .5) }},
	{"AR(1) .9", func(r *rand.Rand) func() float64 { return ar1(r, .9) }},
	{"AR(1) .97", func(r *rand.Rand) func() float64 { return ar1(r, .97) }},
	{"random walk", func(r *rand.Rand) func() float64 { return ar1(r, 1) }},
	{"blocks taken and given back", func(r *rand.Rand) func() float64 {
		held := 0.
		next := func() float64 {
			if r.Float64() < .3 {
				held += 4 * mib
			}
			if held > 0 && r.Float64() < .15 {
				held = 0
			}
			return held
		}
		for range 100 { // until the start is forgotten
			next()
		}
		return next
	}},
}

func ar1(r *rand.Rand, rho float64) func() float64 {
	v := 0.
	if rho < 1 {
		v = r.NormFloat64() * mib / math.Sqrt(1-rho*rho)
	}
	return func() float64 {
		v = rho*v + r.NormFloat64()*mib
		return v
	}
}

// With 95 % intervals 2.5 % of the series without a leak may be called one.
func TestFalseLeaksAreRare(t *testing.T) {
	const seeds = 500
	for _, n := range []int{30, 60, 120, 600} {
		for k, noise := range noises {
			leaks, covered, judged := 0, 0, 0
			for seed := range uint64(seeds) {
				next := noise.make(rand.New(rand.NewPCG(seed, uint64(n*100+k))))
				g := Judge(series(n, func(int) float64 { return 500*mib + next() }), nil)
				e := g.GrowthBytesPerSecond
				if g.Verdict == LeakSuspected {
					leaks++
				}
				if e == nil {
					continue // it took noise for a warm-up and says that too little is left
				}
				judged++
				if e.Low <= 0 && 0 <= e.High {
					covered++
				}
			}
			rate, cover := float64(leaks)/seeds, float64(covered)/float64(judged)
			t.Logf("%3d ticks, %-28s false leaks %.2f %%, interval holds the truth in %.1f %%", n, noise.name, 100*rate, 100*cover)
			if rate > .05 || n < minLeakTicks && rate > 0 {
				t.Errorf("%d ticks of %s: %.1f %% false leaks", n, noise.name, 100*rate)
			}
			if cover < .88 {
				t.Errorf("%d ticks of %s: interval holds the truth in only %.1f %%", n, noise.name, 100*cover)
			}
		}
	}
}

// The test of the test: ordinary least squares with Newey and West's variance, the usual
// remedy, calls a large part of random walks leaks. Were this rate small, the noises above
// would prove nothing.
func TestOrdinaryLeastSquaresWouldNotDo(t *testing.T) {
	const seeds, n = 500, 60
	leaks := 0
	for seed := range uint64(seeds) {
		next := ar1(rand.New(rand.NewPCG(seed, 3)), 1)
		x, y := make([]float64, n), make([]float64, n)
		for i := range x {
			x[i], y[i] = float64(i), next()
		}
		columns := [][]float64{ones(n), x}
		beta, inverse := leastSquares(y, columns)
		e := residuals(y, columns, beta)
		se := math.Sqrt(max(longRunVariance(e), variance(e)) * n / (n - 2) * inverse[1][1])
		if beta[1]-student975(n-2)*se > 0 {
			leaks++
		}
	}
	rate := float64(leaks) / seeds
	t.Logf("Newey and West alone: %.0f %% false leaks", 100*rate)
	if rate < .2 {
		t.Errorf("only %.1f %% false leaks", 100*rate)
	}
}

func TestLeaksAreFound(t *testing.T) {
	const seeds = 300
	for _, c := range []struct {
		name  string
		ticks int
		rate  float64 // bytes per second
		noise func(r *rand.Rand) func() float64
		want  float64 // share found
	}{
		{"200 kB/s in white noise", 90, 200e3, noises[0].make, .95},
		{"500 kB/s in correlated noise", 120, 500e3, noises[1].make, .95},
		{"1 MB/s over a random walk", 120, 1e6, noises[4].make, .95},
		{"50 kB/s in ten minutes", 600, 50e3, noises[1].make, .95},
	} {
		found := 0
		for seed := range uint64(seeds) {
			next := c.noise(rand.New(rand.NewPCG(seed, 7)))
			if g := Judge(series(c.ticks, func(i int) float64 { return 500*mib + c.rate*float64(i) + next() }), nil); g.Verdict == LeakSuspected {
				found++
			}
		}
		share := float64(found) / seeds
		t.Logf("%-30s found in %.1f %%", c.name, 100*share)
		if share < c.want {
			t.Errorf("%s: found in %.1f %%, want %.0f %%", c.name, 100*share, 100*c.want)
		}
	}
}

func TestStudent(t *testing.T) {
	for df, want := range map[float64]float64{20: 2.086, 27: 2.052, 60: 2.000, 1000: 1.962} {
		if got := student975(df); math.Abs(got-want) > .002 {
			t.Errorf("%v degrees of freedom: %.4f, want %.3f", df, got, want)
		}
	}
}
