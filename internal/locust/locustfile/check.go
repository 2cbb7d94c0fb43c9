package locustfile

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// check is what an answer must be.
type check struct {
	status   []int
	contains string
	has      []any
	json     yaml.MapSlice
	time     string
}

func (k check) yaml() yaml.MapSlice {
	out := yaml.MapSlice{}
	add := func(key string, v any, there bool) {
		if there {
			out = append(out, yaml.MapItem{Key: key, Value: v})
		}
	}
	add("status", k.status, len(k.status) > 0)
	add("contains", k.contains, k.contains != "")
	add("has", k.has, len(k.has) > 0)
	add("json", k.json, len(k.json) > 0)
	add("time", k.time, k.time != "")
	return out
}

// content says whether the check looks at more than the status.
func (k check) content() bool {
	return k.contains != "" || len(k.has)+len(k.json) > 0 || k.time != ""
}

func (k check) empty() bool { return len(k.status) == 0 && !k.content() }

// and demands both; false when a scenario cannot.
func (k check) and(o check) (check, bool) {
	if len(k.status) > 0 && len(o.status) > 0 && !slices.Equal(k.status, o.status) || k.contains != "" && o.contains != "" && k.contains != o.contains || k.time != "" && o.time != "" {
		return k, false
	}
	if len(k.status) == 0 {
		k.status = o.status
	}
	k.contains += o.contains
	k.time += o.time
	k.has = append(slices.Clone(k.has), o.has...)
	k.json = merge(slices.Clone(k.json), o.json)
	return k, true
}

// outcome is what the body of a catch_response block demands.
type outcome struct {
	check
	fails   bool // always
	succeed bool // success() is called
}

func (c *converter) outcome(body []node, s *scope) (out outcome) {
	for _, n := range body {
		switch {
		case n.is("Return"):
			return out
		case n.is("Expr") && strings.HasSuffix(n.at("value").called(), ".failure"):
			out.fails = true
			return out
		case n.is("Expr") && strings.HasSuffix(n.at("value").called(), ".success"):
			out.succeed = true
		case n.is("If"):
			c.add(&out, c.choose(n, s), n)
		case n.is("Try"):
			c.attempt(&out, n, s)
		default:
			c.statement(n, s)
		}
	}
	return out
}

func (c *converter) add(to *outcome, o outcome, n node) {
	both, ok := to.and(o.check)
	if !ok {
		c.lost(c.head(n), "this check cannot stand beside the others")
		return
	}
	to.check, to.succeed = both, to.succeed || o.succeed
}

// attempt translates try: …json()… except: failure().
func (c *converter) attempt(to *outcome, n node, s *scope) {
	in := c.outcome(n.list("body"), s)
	fails := false
	for _, h := range n.list("handlers") {
		fails = fails || c.outcome(h.list("body"), s).fails
	}
	if fails && contains(n["body"], "json") && len(in.has)+len(in.json) == 0 {
		in.has = []any{"@this"} // any JSON
	}
	c.add(to, in, n)
}

// choose translates an if between success() and failure().
func (c *converter) choose(n node, s *scope) outcome {
	test := n.at("test")
	yes, no := c.outcome(n.list("body"), s), c.outcome(n.list("orelse"), s)
	var want check
	ok := true
	switch {
	case yes.fails && no.fails:
		return outcome{fails: true}
	case yes.fails:
		if want, ok = c.demand(test, false, s); ok {
			want, ok = want.and(no.check)
		}
	case no.fails:
		if want, ok = c.demand(test, true, s); ok {
			want, ok = want.and(yes.check)
		}
	case yes.empty() && no.empty():
		if got, known := c.demand(test, true, s); yes.succeed && known && len(got.status) > 0 && slices.Max(got.status) >= 400 {
			c.note(test, "taken as: status 200 is good, too")
			want.status = slices.Compact(append([]int{200}, got.status...))
		}
	case len(no.status) > 0 && !no.content() && yes.empty(): // 200: good; elif 429: good; else: bad
		if want, ok = c.demand(test, true, s); ok && !want.content() && len(want.status) > 0 {
			want.status = append(want.status, no.status...)
		} else {
			ok = false
		}
	case no.empty() && c.fine(test, s):
		want = yes.check
	default:
		ok = false
	}
	if !ok {
		c.lost(test, "a check that is not understood")
	}
	return outcome{check: want, succeed: yes.succeed || no.succeed}
}

// demand is what must hold so that a condition is met, or is not.
func (c *converter) demand(n node, met bool, s *scope) (check, bool) {
	switch n.kind() {
	case "BoolOp":
		return c.demandAll(n, met, s)
	case "UnaryOp":
		if n.at("op").is("Not") {
			return c.demand(n.at("operand"), !met, s)
		}
	case "Compare":
		if len(n.list("ops")) == 1 {
			return c.compare(n.at("left"), first(n.list("ops")).kind(), first(n.list("comparators")), met, s)
		}
	}
	if !met {
		return check{}, false
	}
	if n.is("Attribute") && n.text("attr") == "ok" && c.isResponse(n.at("value"), s) {
		return check{}, true
	}
	if n.called() == "len" {
		return c.field(first(n.list("args")), ".0", s)
	}
	return c.field(n, "", s)
}

func (c *converter) demandAll(n node, met bool, s *scope) (check, bool) {
	if n.at("op").is("And") != met { // one of them is enough
		var all []check
		for _, v := range n.list("values") {
			k, ok := c.demand(v, met, s)
			if !ok {
				return k, false
			}
			all = append(all, k)
		}
		return either(all)
	}
	out, ok := check{}, true
	for _, v := range n.list("values") {
		k, known := c.demand(v, met, s)
		if ok = ok && known; ok {
			out, ok = out.and(k)
		}
	}
	return out, ok
}

// either demands one of several statuses, or one of several fields.
func either(all []check) (check, bool) {
	var out check
	var paths []any
	for _, k := range all {
		switch {
		case len(k.status) > 0 && !k.content():
			out.status = append(out.status, k.status...)
		case len(k.has) == 1 && len(k.status)+len(k.json) == 0 && k.contains+k.time == "":
			paths = append(paths, k.has[0])
		default:
			return out, false
		}
	}
	if len(paths) > 0 {
		out.has = []any{paths}
	}
	return out, len(paths) == 0 || len(out.status) == 0
}

// field demands that a field of the JSON answer is there.
func (c *converter) field(n node, suffix string, s *scope) (check, bool) {
	v, ok := c.quiet(n, s)
	if !ok || v.kind != answer {
		return check{}, false
	}
	path := strings.Join(v.path, ".")
	switch {
	case path == "" && suffix != "":
		path = strings.TrimPrefix(suffix, ".")
	case path == "":
		path = "@this"
	default:
		path += suffix
	}
	return check{has: []any{path}}, true
}

func (c *converter) isResponse(n node, s *scope) bool {
	v, ok := c.quiet(n, s)
	return ok && v.kind == response
}

var opposite = map[string]string{"Eq": "NotEq", "NotEq": "Eq", "In": "NotIn", "NotIn": "In", "Lt": "GtE", "GtE": "Lt", "Gt": "LtE", "LtE": "Gt", "Is": "IsNot", "IsNot": "Is"}

// compare is what must hold so that left op right is met, or is not.
func (c *converter) compare(left node, op string, right node, met bool, s *scope) (check, bool) {
	if !met {
		op = opposite[op]
	}
	r, known := c.quiet(right, s)
	switch {
	case left.is("Attribute") && left.text("attr") == "status_code" && c.isResponse(left.at("value"), s):
		return statusIs(op, r)
	case strings.HasSuffix(left.called(), ".elapsed.total_seconds") && (op == "Lt" || op == "LtE"):
		seconds, err := strconv.ParseFloat(plain(r.raw), 64)
		return check{time: pause(seconds)}, err == nil
	case left.called() == "len" && known && r.kind == constant:
		more := op == "Gt" && plain(r.raw) == "0" || op == "GtE" && plain(r.raw) == "1" || op == "NotEq" && plain(r.raw) == "0"
		if !more {
			return check{}, false
		}
		return c.field(first(left.list("args")), ".0", s)
	case op == "In" && known && (r.kind == bodyText || r.kind == answer):
		l, ok := c.quiet(left, s)
		if !ok || l.kind != constant {
			return check{}, false
		}
		if r.kind == bodyText {
			return check{contains: plain(l.raw)}, true
		}
		return check{has: []any{strings.Join(append(slices.Clone(r.path), escapePath(plain(l.raw))), ".")}}, true
	case op == "IsNot" && known && r.kind == constant && r.raw == nil:
		return c.field(left, "", s)
	case op == "Eq" || op == "Is":
		l, ok := c.quiet(left, s)
		y, constantly := r.yaml()
		if !ok || l.kind != answer || len(l.path) == 0 || !known || !constantly || r.kind != constant {
			return check{}, false
		}
		return check{json: yaml.MapSlice{{Key: strings.Join(l.path, "."), Value: y}}}, true
	}
	return check{}, false
}

func statusIs(op string, v value) (check, bool) {
	n, isNumber := v.raw.(json.Number)
	switch {
	case op == "Eq" && isNumber:
		code, err := strconv.Atoi(n.String())
		return check{status: []int{code}}, err == nil
	case (op == "Lt" || op == "LtE") && isNumber && (n == "400" || n == "399"):
		return check{}, true
	case op == "In" && v.kind == list:
		var k check
		for _, item := range v.list {
			code, err := strconv.Atoi(plain(item.raw))
			if err != nil {
				return k, false
			}
			k.status = append(k.status, code)
		}
		return k, len(k.status) > 0
	}
	return check{}, false
}

// fine says whether a condition is that an answer is good by its status.
func (c *converter) fine(test node, s *scope) bool {
	k, ok := c.demand(test, true, s)
	return ok && !k.content() && (len(k.status) == 0 || slices.Max(k.status) < 400)
}

func (c *converter) unfine(test node, s *scope) bool {
	k, ok := c.demand(test, false, s)
	return ok && !k.content() && (len(k.status) == 0 || slices.Max(k.status) < 400)
}
