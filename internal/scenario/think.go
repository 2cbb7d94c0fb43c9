package scenario

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Think is the pause of a user between two turns. The zero Think is no pause.
type Think struct {
	Min, Max    time.Duration // evenly spread between them
	Exponential time.Duration // above 0: the mean of an exponential distribution instead
	Pacing      time.Duration // above 0: from the start of a turn to the start of the next instead
}

// ParseThink reads "0s", "2s", "1s..3s", "exponential(2s)" or "pacing(5s)".
func ParseThink(s string) (Think, error) {
	wrong := fmt.Errorf("%q is not a think time; write 0s, 2s, 1s..3s, exponential(2s) or pacing(5s)", s)
	if kind, rest, ok := strings.Cut(s, "("); ok {
		inner, closed := strings.CutSuffix(rest, ")")
		d, err := ParseDuration(inner)
		if err != nil || !closed || d == 0 {
			return Think{}, wrong
		}
		switch kind {
		case "exponential":
			return Think{Exponential: d}, nil
		case "pacing":
			return Think{Pacing: d}, nil
		}
		return Think{}, wrong
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

// Draw returns one pause after a turn that took so long.
func (t Think) Draw(r *rand.Rand, took time.Duration) time.Duration {
	switch {
	case t.Pacing > 0:
		return max(t.Pacing-took, 0)
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
	case t.Pacing > 0:
		return fmt.Sprintf("pacing(%v)", t.Pacing)
	case t.Max > t.Min:
		return fmt.Sprintf("%v..%v", t.Min, t.Max)
	}
	return t.Min.String()
}
