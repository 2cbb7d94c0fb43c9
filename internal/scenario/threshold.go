package scenario

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Threshold is a promise about a run's figures, such as "POST /api/v1/chat: p95 < 1s".
type Threshold struct {
	Text   string
	Where  string // "POST /api/v1/chat"; "": all tasks together
	Clock  Clock  // for latencies
	Metric string // quantile, mean, max, error_rate, limited_rate, rps, requests, failures
	Q      float64
	Op     string // < <= > >=
	Value  float64
}

// Clock says from where a latency is counted.
type Clock string

// The clocks. First token also counts from the intended send.
const (
	Response   Clock = "response"    // from the intended send
	Service    Clock = "service"     // from the actual send
	FirstToken Clock = "first_token" // intended send to the first token of a stream
)

// "POST /path [x]: service p95 <= 1.5s": the place, the clock, the metric, the comparison.
var thresholdForm = regexp.MustCompile(`^(?:([A-Z]+ .+?)\s*:\s+)?(?:(response|service|first_token)\s+)?([a-z_]+[0-9.]*)\s*(<=|>=|<|>)\s*([0-9.]+)\s*([a-zµ%/]*)$`)

// ParseThreshold reads one threshold, in ragscope's words or in k6's style.
func ParseThreshold(s string) (Threshold, error) {
	wrong := func(why string) error {
		return fmt.Errorf("threshold %q: %s; write for example 'POST /api/v1/chat: p95 < 1s', 'error_rate < 1%%' or 'rps > 20'", s, why)
	}
	text := s
	if ours, ok, err := fromK6(s); err != nil {
		return Threshold{}, wrong(err.Error())
	} else if ok {
		text = ours
	}
	m := thresholdForm.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return Threshold{}, wrong("not understood")
	}
	t := Threshold{Text: s, Where: m[1], Clock: Clock(m[2]), Metric: m[3], Op: m[4]}
	number, err := strconv.ParseFloat(m[5], 64)
	if err != nil {
		return Threshold{}, wrong(m[5] + " is not a number")
	}
	unit := m[6]
	if p, ok := strings.CutPrefix(t.Metric, "p"); ok {
		q, err := strconv.ParseFloat(p, 64)
		if err != nil || q <= 0 || q >= 100 {
			return Threshold{}, wrong("a percentile lies between p0 and p100")
		}
		t.Metric, t.Q = "quantile", q/100
	}
	switch t.Metric {
	case "quantile", "mean", "avg", "max":
		if t.Clock == "" {
			t.Clock = Response
		}
		if t.Metric == "avg" {
			t.Metric = "mean"
		}
		d, err := ParseDuration(m[5] + unit)
		if err != nil || unit == "" {
			return Threshold{}, wrong("a latency needs a unit, ms or s")
		}
		t.Value = d.Seconds()
		return t, nil
	case "error_rate", "limited_rate":
		if unit != "%" && unit != "" {
			return Threshold{}, wrong("a rate of errors is a percentage or a share between 0 and 1")
		}
		if unit == "%" {
			number /= 100
		}
	case "rps", "requests", "failures":
		if unit != "" && (t.Metric != "rps" || unit != "/s") {
			return Threshold{}, wrong(t.Metric + " takes no unit")
		}
	default:
		return Threshold{}, wrong("unknown figure " + t.Metric + "; known are p50 … p99.9, mean, max, error_rate, limited_rate, rps, requests, failures")
	}
	if t.Clock != "" {
		return Threshold{}, wrong("a clock goes with latencies only")
	}
	t.Value = number
	return t, nil
}

// Applies says whether a task belongs to the threshold's place.
func (t Threshold) Applies(method, name, pattern string) bool {
	return t.Where == "" || t.Where == method+" "+name || t.Where == method+" "+pattern
}

// Holds says whether the figure keeps the promise.
func (t Threshold) Holds(figure float64) bool {
	switch t.Op {
	case "<":
		return figure < t.Value
	case "<=":
		return figure <= t.Value
	case ">":
		return figure > t.Value
	default:
		return figure >= t.Value
	}
}
