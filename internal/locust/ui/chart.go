package ui

import (
	"math"
	"slices"

	"github.com/ragscope/ragscope/internal/load"
)

// chartSeconds is how far back the page's charts go; the report has the whole run.
const chartSeconds = 3600

// chart holds one point a second.
type chart struct {
	epoch  int // another one after each clear and reset
	first  int // number of the oldest point kept
	points []point

	response, service []float64 // ms, of this second
	failed            int
	since             float64 // seconds from the start of the run to the last point
}

type point struct {
	at         float64 // Unix seconds
	users      int
	rps, fails float64
	r50, r95   float64 // response clock, ms; NaN: nothing ended
	s50, s95   float64 // service clock
	heat       []int   // row, count, row, count …
}

func (c *chart) clear() { *c = chart{epoch: c.epoch + 1} }

func (c *chart) reset(p load.Progress) {
	c.clear()
	c.since = p.Elapsed.Seconds()
}

func (c *chart) add(samples []load.Sample) {
	for i := range samples {
		c.response = append(c.response, samples[i].Response().Seconds()*1000)
		c.service = append(c.service, samples[i].Service().Seconds()*1000)
		if samples[i].Failure.Failed() {
			c.failed++
		}
	}
}

func (c *chart) tick(p load.Progress) {
	passed := p.Elapsed.Seconds() - c.since
	if passed < .5 && !p.Last || passed <= 0 { // a point of less would be noise
		return
	}
	q := point{at: float64(p.Start.Add(p.Elapsed).UnixMilli()) / 1000, users: p.Users,
		rps: float64(len(c.response)) / passed, fails: float64(c.failed) / passed, heat: rows(c.response)}
	if passed < .5 { // the end
		q.rps, q.fails = math.NaN(), math.NaN()
	}
	q.r50, q.r95 = quantiles(c.response)
	q.s50, q.s95 = quantiles(c.service)
	c.points = append(c.points, q)
	if n := len(c.points) - chartSeconds; n > 0 {
		c.points = slices.Delete(c.points, 0, n)
		c.first += n
	}
	c.response, c.service, c.failed, c.since = c.response[:0], c.service[:0], 0, p.Elapsed.Seconds()
}

func quantiles(ms []float64) (p50, p95 float64) {
	n := len(ms)
	if n == 0 {
		return math.NaN(), math.NaN()
	}
	slices.Sort(ms)
	return ms[(n-1)/2], ms[(n-1)*95/100]
}

// The heatmap's rows: eight for each power of ten, from 0.1 ms to 100 s.
const (
	rowsPerDecade = 8
	lowestDecade  = -1
	allRows       = 6 * rowsPerDecade
)

// rows counts by row, which it lists ascending.
func rows(ms []float64) []int {
	var counts [allRows]int
	for _, v := range ms {
		row := math.Floor((math.Log10(max(v, 1e-9)) - lowestDecade) * rowsPerDecade)
		counts[int(min(max(row, 0), allRows-1))]++
	}
	out := []int{}
	for row, n := range counts {
		if n > 0 {
			out = append(out, row, n)
		}
	}
	return out
}

// columns is what the page's script draws: one list for each line, null where nothing was
// measured.
type columns struct {
	Epoch int        `json:"epoch"`
	From  int        `json:"from"` // number of the first point
	At    []float64  `json:"at"`
	Users []int      `json:"users"`
	RPS   []*float64 `json:"rps"`
	Fails []*float64 `json:"fails"`
	R50   []*float64 `json:"r50"`
	R95   []*float64 `json:"r95"`
	S50   []*float64 `json:"s50"`
	S95   []*float64 `json:"s95"`
	Heat  [][]int    `json:"heat"`
}

// from returns the points with that number and later ones; all, when the epoch is another one.
func (c *chart) from(epoch, number int) columns {
	if epoch != c.epoch || number < c.first {
		number = c.first
	}
	out := columns{Epoch: c.epoch, From: number}
	for _, q := range c.points[min(number-c.first, len(c.points)):] {
		out.At, out.Users, out.Heat = append(out.At, q.at), append(out.Users, q.users), append(out.Heat, q.heat)
		for _, l := range []struct {
			to *[]*float64
			v  float64
		}{{&out.RPS, q.rps}, {&out.Fails, q.fails}, {&out.R50, q.r50}, {&out.R95, q.r95}, {&out.S50, q.s50}, {&out.S95, q.s95}} {
			*l.to = append(*l.to, known(l.v))
		}
	}
	return out
}

func known(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	v = math.Round(v*1000) / 1000
	return &v
}

// lately is what was measured in the last seconds.
type lately struct{ seconds, requests float64 }

// recent adds the last five points up.
func (c *chart) recent() (out lately) {
	for _, q := range c.points[max(len(c.points)-5, 0):] {
		if !math.IsNaN(q.rps) {
			out.seconds++
			out.requests += q.rps
		}
	}
	return out
}
