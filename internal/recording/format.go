package recording

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// How figures are written for people, the same in evidence, reports and pages: three
// significant digits, decimal units, a thin space before the unit left to the typesetter.

// Seconds writes a duration given in seconds: "820 µs", "41.2 ms", "1.24 s", "3 min 20 s".
func Seconds(s float64) string {
	switch a := math.Abs(s); {
	case a == 0:
		return "0 s"
	case a < 0.9995e-3:
		return significant(s*1e6) + " µs"
	case a < 0.9995:
		return significant(s*1e3) + " ms"
	case a < 600:
		return significant(s) + " s"
	default:
		whole := int64(math.Round(s))
		if whole%60 == 0 {
			return fmt.Sprintf("%d min", whole/60)
		}
		return fmt.Sprintf("%d min %d s", whole/60, whole%60)
	}
}

// Bytes writes a size in bytes with decimal units: "512 B", "1.80 GB".
func Bytes(b float64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	i := 0
	for math.Abs(b) >= 999.5 && i < len(units)-1 {
		b /= 1000
		i++
	}
	return significant(b) + " " + units[i]
}

// Share writes a ratio of 0..1 as per cent: "62 %", "0.4 %", "< 0.01 %".
func Share(r float64) string {
	p := r * 100
	switch a := math.Abs(p); {
	case a == 0:
		return "0 %"
	case a < 0.01:
		return "< 0.01 %"
	case a < 1:
		return strconv.FormatFloat(p, 'f', 2, 64) + " %"
	case a < 10:
		return strconv.FormatFloat(p, 'f', 1, 64) + " %"
	default:
		return strconv.FormatFloat(p, 'f', 0, 64) + " %"
	}
}

// Rate writes events per second: "48.5 /s".
func Rate(perSecond float64) string { return significant(perSecond) + " /s" }

// Number writes a count with groups of three: "12,840".
func Number(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	var groups []string
	for len(s) > 3 {
		groups = append([]string{s[len(s)-3:]}, groups...)
		s = s[:len(s)-3]
	}
	return sign + strings.Join(append([]string{s}, groups...), ",")
}

// significant writes v with three significant digits, or all digits left of the point.
func significant(v float64) string {
	a := math.Abs(v)
	decimals := 2
	switch {
	case a == 0:
		return "0"
	case a >= 99.95:
		decimals = 0
	case a >= 9.995:
		decimals = 1
	case a < 0.1:
		decimals = 3
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}
