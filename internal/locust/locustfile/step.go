package locustfile

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// step is one request of a scenario.
type step struct {
	name    string
	request yaml.MapSlice
	set     yaml.MapSlice
	check   check
	save    yaml.MapSlice
	think   string
}

var clientMethods = []string{"get", "post", "put", "patch", "delete", "head", "options", "request"}

// clientCall returns the method of a call of self.client.
func clientCall(n node) (string, bool) {
	name := n.called()
	for _, client := range []string{"self.client.", "self.user.client.", "l.client.", "user.client."} {
		if m, ok := strings.CutPrefix(name, client); ok && slices.Contains(clientMethods, m) {
			return m, true
		}
	}
	return "", false
}

// send translates a call of self.client into a step of the task.
func (c *converter) send(n node, method string, s *scope) (*step, bool) {
	args := n.list("args")
	if method == "request" {
		m, err := c.eval(first(args), s)
		if err != nil || m.kind != constant {
			c.lost(n, "the method is not a constant")
			return nil, false
		}
		method, args = plain(m.raw), args[1:]
	}
	names := []string{"url", "data", "json"}
	if m := strings.ToLower(method); m == "get" || m == "head" || m == "options" || m == "delete" {
		names = names[:1]
	}
	given := map[string]node{}
	for i, a := range args {
		if i >= len(names) {
			c.lost(a, "an argument that is not understood")
			continue
		}
		given[names[i]] = a
	}
	for _, k := range n.list("keywords") {
		name := k.text("arg")
		if name == "path" {
			name = "url"
		}
		given[name] = k.at("value")
	}
	st := &step{request: yaml.MapSlice{{Key: "method", Value: strings.ToUpper(method)}}}
	path, ok := c.path(n, given["url"], s)
	if !ok {
		return nil, false
	}
	st.put("path", path)
	if !c.arguments(st, n, given, s) {
		return nil, false
	}
	c.label(st, given["name"], path, s)
	st.set, s.pending = s.pending, nil
	s.steps = append(s.steps, st)
	return st, true
}

func (st *step) put(key string, v any) {
	st.request = append(st.request, yaml.MapItem{Key: key, Value: v})
}

func first(list []node) node {
	if len(list) == 0 {
		return node{}
	}
	return list[0]
}

// path is a request's path with its query.
func (c *converter) path(call, n node, s *scope) (string, bool) {
	if n == nil {
		c.lost(call, "a request without a path")
		return "", false
	}
	v, err := c.evalText(n, s)
	if err != nil {
		c.lost(call, "the request is left out: %v", err)
		return "", false
	}
	path, _ := v.template()
	if host := s.user.host; host != "" && strings.HasPrefix(path, strings.TrimRight(host, "/")+"/") {
		path = strings.TrimPrefix(path, strings.TrimRight(host, "/"))
	}
	if strings.Contains(path, "://") {
		c.lost(call, "the request is left out: it goes to another host than the user's; write a user class with that host")
		return "", false
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if v.kind == constant { // requests escapes what may not stand in a URL
		path = strings.NewReplacer(" ", "%20", `"`, "%22", "<", "%3C", ">", "%3E").Replace(path)
	}
	return path, true
}

// evalText evaluates what must be text.
func (c *converter) evalText(n node, s *scope) (value, error) {
	v, err := c.eval(n, s)
	if err == nil {
		v = c.settle(v)
		if _, ok := v.template(); !ok {
			err = fmt.Errorf("%s is not a text that is known", c.source(n))
		}
	}
	return v, err
}

// ignored arguments change nothing of what is sent, or are read elsewhere.
var ignored = []string{"url", "name", "catch_response", "context"}

// arguments translates a call's arguments; false means that the request cannot be sent rightly.
func (c *converter) arguments(st *step, call node, given map[string]node, s *scope) bool {
	for _, k := range call.list("keywords") { // in their order, so that the result is always the same
		name := k.text("arg")
		switch {
		case slices.Contains(ignored, name) || slices.Contains([]string{"path", "data", "json", "headers", "params", "auth"}, name):
		case name == "verify" && k.at("value")["value"] == false:
			c.insecure = true
		case name == "allow_redirects" && k.at("value")["value"] == true, name == "stream" && k.at("value")["value"] == false:
		case name == "timeout":
			c.lost(k, "a limit for one request: write timeout: at the top of the scenario")
		case name == "files":
			c.lost(call, "the request is left out: uploads of files are not translated")
			return false
		default:
			c.lost(k, "an argument that is not understood")
		}
	}
	for _, name := range []string{"params", "headers", "auth", "data", "json"} {
		n := given[name]
		if n == nil || n.is("Constant") && n["value"] == nil {
			continue
		}
		v, err := c.eval(n, s)
		if err == nil {
			err = c.argument(st, name, c.settle(v))
		}
		if err != nil {
			c.lost(call, "the request is left out: %s: %v", name, err)
			return false
		}
	}
	return true
}

func (c *converter) argument(st *step, name string, v value) error {
	y, ok := v.yaml()
	unknown := fmt.Errorf("its value is not known")
	switch {
	case name == "data" && v.kind == jsonText:
		if y, ok = v.list[0].yaml(); !ok {
			return unknown
		}
		st.put("json", y)
	case !ok:
		return unknown
	case name == "json":
		st.put("json", y)
	case name == "data" && v.kind == dict:
		st.put("form", y)
	case name == "data":
		st.put("body", fmt.Sprint(y))
	case name == "auth" && v.kind == list && len(v.list) == 2 && v.list[0].kind == constant && v.list[1].kind == constant:
		pair := plain(v.list[0].raw) + ":" + plain(v.list[1].raw)
		st.header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	case name == "params" && v.kind == dict:
		st.put("query", y)
	case name == "headers" && v.kind == dict:
		for _, h := range y.(yaml.MapSlice) {
			st.header(fmt.Sprint(h.Key), h.Value)
		}
	default:
		return unknown
	}
	return nil
}

func (st *step) header(name string, v any) {
	for i := range st.request {
		if st.request[i].Key == "headers" {
			st.request[i].Value = append(st.request[i].Value.(yaml.MapSlice), yaml.MapItem{Key: name, Value: v})
			return
		}
	}
	st.put("headers", yaml.MapSlice{{Key: name, Value: v}})
}

// label names the step as Locust does: by name=, else by path and query.
func (c *converter) label(st *step, n node, path string, s *scope) {
	if n != nil {
		v, err := c.eval(n, s)
		if err == nil && v.kind == constant && v.raw != nil {
			st.name = plain(v.raw)
			return
		}
		if err != nil || v.kind != constant {
			c.note(n, "names are constant in a scenario: counted by the path instead")
		}
	}
	st.name = path
	if before, _, templated := strings.Cut(path, "{{"); templated {
		st.name = "" // the path's pattern
		if strings.Contains(before, "?") {
			st.name, _, _ = strings.Cut(before, "?")
		}
		return
	}
	for _, item := range st.request {
		if q, ok := item.Value.(yaml.MapSlice); ok && item.Key == "query" {
			st.name += queryText(q, path)
		}
	}
}

// queryText is a constant query as it stands in the name that Locust gives; "" when it is not
// constant.
func queryText(q yaml.MapSlice, path string) string {
	var pairs []string
	for _, item := range q {
		values, isList := item.Value.([]any)
		if !isList {
			values = []any{item.Value}
		}
		for _, v := range values {
			if strings.Contains(fmt.Sprint(v), "{{") {
				return ""
			}
			pairs = append(pairs, url.QueryEscape(fmt.Sprint(item.Key))+"="+url.QueryEscape(fmt.Sprint(v)))
		}
	}
	return map[bool]string{false: "?", true: "&"}[strings.Contains(path, "?")] + strings.Join(pairs, "&")
}

// yaml is the step as it stands in the scenario file.
func (st *step) yaml() yaml.MapSlice {
	out := yaml.MapSlice{}
	add := func(key string, v any, there bool) {
		if there {
			out = append(out, yaml.MapItem{Key: key, Value: v})
		}
	}
	add("name", st.name, st.name != "")
	add("set", st.set, len(st.set) > 0)
	add("request", st.request, true)
	check := st.check.yaml()
	add("check", check, len(check) > 0)
	add("save", st.save, len(st.save) > 0)
	add("think_time", st.think, st.think != "")
	return out
}
