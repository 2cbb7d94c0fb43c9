package scenario

import (
	"fmt"
	"regexp"
	"strings"
)

// k6's metrics that thresholds may name, with the clock that they count on here.
var k6Form = regexp.MustCompile(`^(http_req_duration|http_req_failed|http_reqs)(?:\{(.*)\})?\s*:\s*([^}]+)$`)

var (
	k6Label     = regexp.MustCompile(`^\s*([a-z_]+)\s*(?:=|:)\s*(?:"([^"]*)"|'([^']*)'|([^,"']*?))\s*(?:,|$)`)
	k6Condition = regexp.MustCompile(`^(p\(?[0-9.]+\)?|avg|med|max|rate|count)\s*(<=|>=|<|>)\s*([0-9.]+)\s*([a-zµ%/]*)$`)
)

// fromK6 turns a threshold in k6's style into one of ours:
//
//	http_req_duration{endpoint="POST /chat"}:p95<1s       POST /chat: p95 < 1s
//	http_req_duration{clock="service"}:p(95)<500          service p95 < 500ms
//	http_req_failed:rate<0.01                             error_rate < 0.01
//	http_reqs{endpoint="GET /health"}:rate>10             GET /health: rps > 10
//	http_reqs:count>100                                   requests > 100
//
// Labels are endpoint (or name: a task's method and name) and clock. A time without a unit is in
// milliseconds, as in k6. ok is false where the text is not of this style.
func fromK6(text string) (ours string, ok bool, err error) {
	m := k6Form.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return "", false, nil
	}
	metric, where, clock := m[1], "", ""
	for rest := m[2]; strings.TrimSpace(rest) != ""; {
		l := k6Label.FindStringSubmatch(rest)
		if l == nil {
			return "", true, fmt.Errorf(`the labels {%s} are not understood; write {endpoint="POST /chat", clock="service"}`, m[2])
		}
		rest = rest[len(l[0]):]
		value := l[2] + l[3] + l[4]
		switch l[1] {
		case "endpoint", "name":
			where = value + ": "
		case "clock":
			clock = value + " "
		default:
			return "", true, fmt.Errorf("unknown label %s; known are endpoint and clock", l[1])
		}
	}
	c := k6Condition.FindStringSubmatch(m[3])
	if c == nil {
		return "", true, fmt.Errorf("the condition %q is not understood; write for example p95<1s, p(95)<500, rate<0.01", m[3])
	}
	figure, unit := strings.NewReplacer("(", "", ")", "").Replace(c[1]), c[4]
	switch {
	case metric == "http_req_duration" && figure != "rate" && figure != "count":
		if figure == "med" {
			figure = "p50"
		}
		if unit == "" {
			unit = "ms"
		}
	case metric == "http_req_failed" && figure == "rate":
		figure = "error_rate"
	case metric == "http_reqs" && figure == "rate":
		figure = "rps"
	case metric == "http_reqs" && figure == "count":
		figure = "requests"
	default:
		return "", true, fmt.Errorf("%s has no %s", metric, figure)
	}
	return where + clock + figure + " " + c[2] + " " + c[3] + unit, true, nil
}
