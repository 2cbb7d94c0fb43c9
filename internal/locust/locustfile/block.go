package locustfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// maxUnrolled bounds the requests that a loop becomes.
const maxUnrolled = 50

// block translates statements that are run one after the other.
func (c *converter) block(body []node, s *scope) {
	for i, n := range body {
		if n.is("Return") {
			if i < len(body)-1 {
				c.lost(body[i+1], "it stands behind a return")
			}
			return
		}
		c.statement(n, s)
		if returns(map[string]any(n)) && !c.lacks(n.at("test"), s) {
			before := len(s.steps)
			c.block(body[i+1:], s)
			c.depend(n, s.steps[:before], s.steps[before:])
			return
		}
	}
}

// returns says whether a statement may end its function.
func returns(n any) bool {
	switch n := n.(type) {
	case map[string]any:
		if n["_"] == "Return" {
			return true
		}
		for _, v := range n {
			if returns(v) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(n, returns)
	}
	return false
}

// depend reports requests behind a conditional return, unless they need what an answer before it
// brings: then they are not sent either when it brings nothing.
func (c *converter) depend(n node, before, after []*step) {
	for _, st := range after {
		text := fmt.Sprint(st.set, st.request)
		needs := slices.ContainsFunc(before, func(b *step) bool {
			return slices.ContainsFunc(b.save, func(v yaml.MapItem) bool { return strings.Contains(text, fmt.Sprintf("{{ .%v }}", v.Key)) })
		})
		if !needs {
			c.lost(c.head(n), "requests behind it are sent all the same: that they depend on a condition has no translation")
			return
		}
	}
}

func (c *converter) statement(n node, s *scope) {
	switch n.kind() {
	case "Assign", "AnnAssign":
		c.assign(n, s)
		return
	case "Expr":
		c.expression(n.at("value"), s)
		return
	case "With":
		c.with(n, s)
		return
	case "If":
		c.branch(n, s)
		return
	case "For":
		c.loop(n, s)
		return
	case "Try":
		c.block(n.list("body"), s)
		for _, h := range n.list("handlers") {
			if !c.harmless(h.list("body")) {
				c.lost(c.head(h), "what is done after an exception is not translated")
			}
		}
		return
	}
	if !c.harmlessStatement(n) {
		what, ok := map[string]string{"While": "a loop whose end is not known", "Raise": "an exception", "Assert": "an assertion"}[n.kind()]
		if !ok {
			what = "this kind of statement"
		}
		c.lost(n, "%s is not translated", what)
	}
}

func (c *converter) expression(n node, s *scope) {
	name := n.called()
	if m, ok := clientCall(n); ok {
		c.send(n, m, s)
		c.uncaught(n)
		return
	}
	switch {
	case c.harmlessStatement(node{"_": "Expr", "value": map[string]any(n)}), strings.HasSuffix(name, ".raise_for_status"), strings.HasSuffix(name, "random.seed"):
	case name == "time.sleep", name == "sleep", name == "gevent.sleep":
		c.sleep(n, s)
	case strings.HasSuffix(name, ".client.headers.update"):
		c.header(n, first(n.list("args")), s)
	case strings.HasPrefix(name, "self.") && s.user != nil && s.user.methods[strings.TrimPrefix(name, "self.")] != nil && len(n.list("args"))+len(n.list("keywords")) == 0 && s.depth < 5:
		s.depth++
		c.block(s.user.methods[strings.TrimPrefix(name, "self.")].list("body"), s)
		s.depth--
	case n.is("Await"), n.is("Yield"):
		c.lost(n, "not translated")
	default:
		if _, ok := c.quiet(n, s); !ok { // a value that nobody takes, such as response.json()
			c.lost(n, "this call is not translated")
		}
	}
}

// uncaught reports catch_response without with.
func (c *converter) uncaught(call node) {
	if k := call.keyword("catch_response"); k != nil && k["value"] == true {
		c.lost(call, "Locust does not count a request with catch_response that is not in a with statement")
	}
}

func (c *converter) sleep(n node, s *scope) {
	v, err := c.eval(first(n.list("args")), s)
	seconds, parseErr := strconv.ParseFloat(plain(v.raw), 64)
	switch {
	case err != nil || v.kind != constant || parseErr != nil:
		c.lost(n, "a pause that is not constant")
	case len(s.steps) == 0:
		c.lost(n, "a pause before the first request; make think_time longer")
	default:
		s.steps[len(s.steps)-1].think = pause(seconds)
	}
}

func pause(seconds float64) string { return time.Duration(seconds * float64(time.Second)).String() }

// header translates self.client.headers.update({…}).
func (c *converter) header(at, n node, s *scope) {
	v, err := c.eval(n, s)
	v = c.settle(v)
	y, ok := v.yaml()
	switch {
	case err != nil || !ok || v.kind != dict:
		c.lost(at, "the headers are not known")
	case !s.starting:
		c.lost(at, "headers of all requests can be changed in on_start only")
	default:
		s.user.headers = merge(s.user.headers, y.(yaml.MapSlice))
	}
}

func merge(a, b yaml.MapSlice) yaml.MapSlice {
	for _, item := range b {
		a = append(slices.DeleteFunc(a, func(i yaml.MapItem) bool { return i.Key == item.Key }), item)
	}
	return a
}

// assign translates name = value.
func (c *converter) assign(n node, s *scope) {
	name, v := assigned(n)
	if v == nil { // only a type
		return
	}
	if m, ok := clientCall(v); ok {
		if st, sent := c.send(v, m, s); sent && name != "" {
			s.bind(name, value{kind: response, step: st})
		}
		c.uncaught(v)
		return
	}
	if strings.HasSuffix(name, ".client.headers") {
		c.header(n, v, s)
		return
	}
	if target := first(n.list("targets")); target.is("Subscript") && strings.HasSuffix(target.at("value").dotted(), ".client.headers") {
		key := target.at("slice")
		c.header(n, node{"_": "Dict", "@": n["@"], "keys": []any{map[string]any(key)}, "values": []any{map[string]any(v)}}, s)
		return
	}
	got, err := c.eval(v, s)
	if name == "" || err != nil {
		if name != "" && !strings.HasPrefix(name, "self.") && !contains(v, "client") {
			delete(s.locals, name) // its uses are reported
			return
		}
		if err == nil {
			c.lost(n, "it gives a value to more than a name")
		} else {
			c.lost(n, "%v", err)
		}
		return
	}
	c.keep(name, got, s)
}

// with translates with self.client.get(…, catch_response=True) as response: …
func (c *converter) with(n node, s *scope) {
	item := first(n.list("items"))
	m, ok := clientCall(item.at("context_expr"))
	if !ok || len(n.list("items")) != 1 {
		c.lost(c.head(n), "with is understood for requests only")
		return
	}
	st, sent := c.send(item.at("context_expr"), m, s)
	if !sent {
		return
	}
	if name := item.at("optional_vars"); name != nil {
		s.bind(name.dotted(), value{kind: response, step: st})
	}
	if caught := item.at("context_expr").keyword("catch_response"); caught == nil || caught["value"] != true {
		c.block(n.list("body"), s)
		return
	}
	want := c.outcome(n.list("body"), s)
	if want.fails {
		c.lost(c.head(n), "the answer fails always")
		return
	}
	st.check = want.check
}

// branch translates the ifs whose condition is certain in a scenario.
func (c *converter) branch(n node, s *scope) {
	body, other := n.list("body"), n.list("orelse")
	if c.harmless([]node{n}) && !c.ends(body) && !c.ends(other) {
		return
	}
	switch test := n.at("test"); {
	case c.lacks(test, s) && c.ends(body) && c.harmless(body): // if not self.token: return
		c.block(other, s)
	case c.has(test, s) && c.harmless(other): // if self.token: …
		c.block(body, s)
	case c.fine(test, s) && c.harmless(other) && !c.sends(body): // if response.status_code == 200: self.token = …
		c.block(body, s)
	case c.unfine(test, s) && c.harmless(body):
		c.block(other, s)
	case c.sends(body) || c.sends(other):
		c.lost(c.head(n), "requests that depend on a condition are left out; write tasks with weights instead")
	default:
		c.lost(c.head(n), "the condition is not known")
	}
}

func (c *converter) ends(body []node) bool { return len(body) > 0 && body[len(body)-1].is("Return") }

func (c *converter) sends(body []node) bool {
	return slices.ContainsFunc(body, func(n node) bool { return calls(map[string]any(n)) })
}

// has says whether a condition is that a variable has a value: requests that need it are not sent
// without it anyway.
func (c *converter) has(test node, s *scope) bool {
	if test.is("Compare") && first(test.list("ops")).is("IsNot") {
		test = test.at("left")
	}
	v, ok := c.quiet(test, s)
	return ok && (v.kind == text && !drawn(v.text) || v.kind == constant && v.raw == true)
}

func (c *converter) lacks(test node, s *scope) bool {
	switch {
	case test.is("UnaryOp") && test.at("op").is("Not"):
		return c.has(test.at("operand"), s)
	case test.is("Compare") && first(test.list("ops")).is("Is"):
		return c.has(test.at("left"), s)
	}
	return false
}

// loop unrolls for _ in range(3) and for x in a list of constants.
func (c *converter) loop(n node, s *scope) {
	iter := n.at("iter")
	var items []value
	if iter.called() == "range" && len(iter.list("args")) == 1 {
		v, err := c.eval(iter.list("args")[0], s)
		count, parseErr := strconv.Atoi(plain(v.raw))
		if err == nil && parseErr == nil && count <= maxUnrolled {
			for i := range count {
				items = append(items, constantOf(number(i)))
			}
		}
	} else if v, ok := c.quiet(iter, s); ok && v.kind == list {
		items = v.list
	}
	target := n.at("target").dotted()
	if len(items) == 0 || len(items) > maxUnrolled || target == "" {
		if !c.harmless([]node{n}) {
			c.lost(c.head(n), "a loop over what is not known")
		}
		return
	}
	for _, item := range items {
		s.bind(target, item)
		c.block(n.list("body"), s)
	}
}

// calls says whether a request is sent anywhere below a node.
func calls(n any) bool {
	switch n := n.(type) {
	case map[string]any:
		if _, ok := clientCall(n); ok {
			return true
		}
		for _, v := range n {
			if calls(v) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(n, calls)
	}
	return false
}
