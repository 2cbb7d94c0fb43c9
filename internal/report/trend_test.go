package report

import (
	"math"
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
)

func TestTrend(t *testing.T) {
	var x, up, noise []float64
	for i := range 30 {
		x = append(x, float64(i))
		wobble := float64(i%3 - 1)
		up, noise = append(up, .5*float64(i)+wobble), append(noise, 10*wobble)
	}
	if e := trend(x, up); direction(e) != "rising" || math.Abs(e.Estimate-.5) > .02 || e.Low > .5 || e.High < .5 {
		t.Errorf("slope %+v, want 0.5 inside its interval", e)
	}
	if e := trend(x, noise); direction(e) != "no trend" {
		t.Errorf("noise: %+v is %s", e, direction(e))
	}
	for name, y := range map[string][]float64{"few": x[:minPoints-1], "same x": make([]float64, 20)} {
		if e := trend(y, y); e != nil || direction(e) != missing {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if e := latencyTrend(&recording.Recording{}); e != nil {
		t.Errorf("no timeline: %+v", e)
	}
}

// TestStudent compares with the usual table.
func TestStudent(t *testing.T) {
	for freedom, want := range map[int]float64{8: 2.306, 10: 2.228, 20: 2.086, 30: 2.042, 120: 1.980} {
		if got := student(freedom); math.Abs(got-want) > .005 {
			t.Errorf("%d degrees: %.4f, want %.3f", freedom, got, want)
		}
	}
}

func TestThinKeepsTheLargest(t *testing.T) {
	var points []point
	for i := range 1000 {
		points = append(points, point{float64(i), 1})
	}
	points[503].v = 99
	out := thin(points)
	largest := 0.0
	for _, q := range out {
		largest = math.Max(largest, q.v)
	}
	if len(out) > maxColumns || largest != 99 {
		t.Errorf("%d points, largest %v", len(out), largest)
	}
}
