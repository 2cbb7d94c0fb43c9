package stack

import (
	"errors"
	"io"
	"math"
	"testing"
)

type closer struct{ closed int }

func (c *closer) Close() error { c.closed++; return nil }

func TestPrice(t *testing.T) {
	var p price
	c, begun := &closer{}, 0
	begin := func() (io.Closer, error) { begun++; return c, nil }
	p.see(0, 0, begin)
	p.see(20, 0.001, begin) // too few to tell
	if begun != 1 || p.seconds != 0 || c.closed != 0 {
		t.Fatalf("%+v, begun %d", p, begun)
	}
	if p.total(20) != 0 {
		t.Error("samples have a price before it is known")
	}
	p.see(80, 0.004, begin)
	if math.Abs(p.seconds-50e-6) > 1e-12 || c.closed != 1 {
		t.Errorf("%.1f µs a sample, want 50; closed %d times", p.seconds*1e6, c.closed)
	}
	if got := p.total(80); math.Abs(got-80*50e-6) > 1e-12 {
		t.Errorf("80 samples took %g s", got)
	}
	p.see(90, 0.004, begin)
	p.see(279, 0.004, begin)
	if begun != 1 {
		t.Error("run times are kept all the time")
	}
	p.see(280, 0.004, begin) // sooner than later on: the first ones are others
	p.see(380, 0.005, begin)
	if begun != 2 || c.closed != 2 || math.Abs(p.seconds-10e-6) > 1e-12 {
		t.Errorf("%.1f µs a sample, want 10; begun %d, closed %d times", p.seconds*1e6, begun, c.closed)
	}
	if got := p.total(180); math.Abs(got-80*50e-6-100*10e-6) > 1e-12 {
		t.Errorf("100 more, at another price: %g s", got)
	}
	p.see(2379, 0.005, begin)
	if begun != 2 {
		t.Error("run times are kept again before 2,000 samples")
	}
	p.see(9000, 0.005, func() (io.Closer, error) { return nil, errors.New("not allowed") })
	p.see(9001, 0.005, begin)
	if begun != 2 || math.Abs(p.seconds-10e-6) > 1e-12 {
		t.Error("a refusal is followed by another try at once, or forgets the price")
	}
}
