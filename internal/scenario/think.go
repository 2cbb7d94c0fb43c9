package scenario

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Think is the pause of a user between two requests. The zero Think is no pause.
type Think struct {
	Min, Max    time.Duration // evenly spread between them
	Exponential time.Duration // above 0: the mean of an exponential distribution instead
}

// ParseThink reads "0s", "2s", "1s..3s" or "exponential(2s)".
func ParseThink(s string) (Think, error) {
	wrong := fmt.Errorf("%q is not a think time; write 0s, 2s, 1s..3s or exponential(2s)", s)
	if mean, ok := strings.CutPrefix(s, "exponential("); ok {
		mean, closed := strings.CutSuffix(mean, ")")
		d, err := ParseDuration(mean)
		if err != nil || !closed || d == 0 {
			return Think{}, wrong
		}
		return Think{Exponential: d}, nil
	}
	low, high, ranged := strings.Cut(s, "..")
	if !ranged {
		high = low
	}
	a, err1 := ParseDuration(low)
	b, err2 := ParseDuration(high)
	if err1 != nil || err2 != nil {
		return Think{}, wrong
	}
	if b < a {
		return Think{}, fmt.Errorf("%q: the first duration is above the second; turn them round", s)
	}
	return Think{Min: a, Max: b}, nil
}

// Draw returns one pause.
func (t Think) Draw(r *rand.Rand) time.Duration {
	switch {
	case t.Exponential > 0:
		return time.Duration(r.ExpFloat64() * float64(t.Exponential))
	case t.Max > t.Min:
		return t.Min + time.Duration(r.Int64N(int64(t.Max-t.Min)+1))
	}
	return t.Min
}

// String is the form that ParseThink reads: "1s..3s".
func (t Think) String() string {
	switch {
	case t.Exponential > 0:
		return fmt.Sprintf("exponential(%v)", t.Exponential)
	case t.Max > t.Min:
		return fmt.Sprintf("%v..%v", t.Min, t.Max)
	}
	return t.Min.String()
}
