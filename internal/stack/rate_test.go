package stack

import (
	"testing"
	"time"
)

func TestPeriods(t *testing.T) {
	var p periods
	p.set(0, 10)
	p.set(100, 20)
	p.set(200, 5)
	for time, want := range map[int64]int64{1: 10, 99: 10, 100: 20, 150: 20, 200: 5, 9999: 5} {
		if got := p.at(time); got != want {
			t.Errorf("at %d: %d, want %d", time, got, want)
		}
	}
	for i := range int64(100) {
		p.set(1000+i, i)
	}
	if len(p.since) != keepPeriods || p.now() != 99 || p.at(1098) != 98 {
		t.Errorf("%d are kept, now %d, at 1098 %d", len(p.since), p.now(), p.at(1098))
	}
	s := NewSampler(Options{Hz: 97})
	if s.Hz() != 97 || s.SetHz(98) == nil || s.SetHz(0) == nil {
		t.Errorf("%d Hz; more than asked for, or none, is allowed", s.Hz())
	}
	for _, hz := range []int{1, 11, 19, 23, 47, 97, 499, 997} {
		p.set(0, int64(time.Second)/int64(hz))
		if s.periods.set(2000, p.now()); s.Hz() != hz {
			t.Errorf("%d Hz are said to be %d", hz, s.Hz())
		}
	}
}
