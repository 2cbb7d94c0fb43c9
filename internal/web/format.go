package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

// nbsp keeps a number and its unit on one line.
const nbsp = "\u00a0"

// joined keeps a figure as reports write it on one line.
func joined(figure string) string { return strings.ReplaceAll(figure, " ", nbsp) }

// seconds writes a duration with three significant digits: "85.3 µs", "420 ms", "1.24 s".
func seconds(s float64) string {
	switch {
	case s == 0:
		return "0"
	case s < 120:
		return joined(recording.Seconds(s))
	}
	return digits(s/60) + nbsp + "min"
}

// span writes the length of a window: "60 s", "5 min", "3.5 h".
func span(s float64) string {
	switch {
	case s < 120:
		return strconv.FormatFloat(s, 'f', 0, 64) + nbsp + "s"
	case s < 7200:
		return strconv.FormatFloat(s/60, 'f', 0, 64) + nbsp + "min"
	}
	return strconv.FormatFloat(s/3600, 'f', 1, 64) + nbsp + "h"
}

// size writes a number of bytes: "1.24 GiB".
func size(b float64) string {
	sign := ""
	if b < 0 {
		sign, b = "−", -b
	}
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for b >= 1000 && i < len(units)-1 {
		b /= 1024
		i++
	}
	return sign + digits(b) + nbsp + units[i]
}

// count writes a number of things: "950", "12,300", "1.24 M".
func count(n int64) string {
	switch {
	case n < 0:
		return "−" + count(-n)
	case n < 10_000:
		return strconv.FormatInt(n, 10)
	case n < 1_000_000:
		return fmt.Sprintf("%d,%03d", n/1000, n%1000)
	}
	return digits(float64(n)/1e6) + nbsp + "M"
}

// percent writes a share of 1: "0.4 %", "12 %".
func percent(share float64) string { return joined(recording.Share(share)) }

// rate writes something per second.
func rate(perSecond float64) string { return digits(perSecond) }

// digits keeps three significant digits and no exponent.
func digits(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return "0"
	}
	places := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', min(max(places, 0), 3), 64)
}
