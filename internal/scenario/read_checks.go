package scenario

import (
	"fmt"
	"net/http"
	"regexp"

	"github.com/tidwall/gjson"
)

func (r *reader) check(t *Task, n *node) {
	f := r.mapping(n, "check", checkFields)
	t.Check = Check{Contains: r.text(f["contains"], "contains"), Done: r.flag(f["done"], "done"), Status: r.statuses(f["status"])}
	if f["done"] != nil && t.Stream == NoStream {
		r.fail(f["done"], "done is for streams; add stream: sse to the request or remove it")
	}
	m := More{Regexp: r.regexp(f["regexp"], "regexp"), Time: r.duration(f["time"], "time")}
	if h := f["headers"]; h != nil {
		for _, h := range r.headerFields(h) {
			m.Headers = append(m.Headers, HeaderCheck{h.name, fmt.Sprint(h.value.scalar)})
		}
	}
	if f["has"] != nil {
		m.Has = r.paths(f["has"])
	}
	if j := f["json"]; j != nil {
		m.JSON = r.fieldChecks(j)
	}
	t.Keep.Header = len(m.Headers) > 0
	for _, name := range []string{"regexp", "has", "json"} {
		if f[name] == nil {
			continue
		}
		t.Keep.Body = true
		if t.Stream != NoStream {
			r.fail(f[name], "%s is not for streams, which are not kept; check them with contains and done", name)
		}
	}
	if t.Keep != (Keep{}) || m.Time > 0 {
		t.Check.More = &m
	}
}

func (r *reader) statuses(n *node) (out []int) {
	if n == nil {
		return nil
	}
	for _, item := range n.oneOrMore() {
		code := r.count(item, "status")
		if code < 100 || code > 599 {
			r.fail(item, "status %d is not an HTTP status; write one from 100 to 599, or a list of them", code)
		}
		out = append(out, code)
	}
	return out
}

// paths reads has: a path, or a list of paths and of lists of which one is enough.
func (r *reader) paths(n *node) (out [][]string) {
	if n.kind == scalarKind {
		return [][]string{r.texts(n, "has")}
	}
	for _, item := range n.items {
		out = append(out, r.texts(item, "has"))
	}
	if len(out) == 0 {
		r.fail(n, "has must be a path into the JSON answer, such as items.0.id, or a list of them, not %s", n.kind)
	}
	return out
}

func (r *reader) fieldChecks(n *node) (out []FieldCheck) {
	for _, f := range r.fields(n, "json must be a mapping of paths to the values they must have, such as {status: ok}") {
		want := r.jsonTemplate(f.value)
		text, constant := want.Constant()
		if !constant {
			r.fail(f.value, "the value of %s must be a constant; for fields that change, check has: [%s]", f.name, f.name)
			continue
		}
		out = append(out, FieldCheck{f.name, gjson.Parse(text)})
	}
	return out
}

func (r *reader) regexp(n *node, what string) *regexp.Regexp {
	if n == nil {
		return nil
	}
	re, err := regexp.Compile(r.text(n, what))
	if err != nil {
		r.fail(n, "%s: %v; the syntax is Go's, see golang.org/s/re2syntax", what, err)
	}
	return re
}

// saves reads save:, variables and where in the answer their values are.
func (r *reader) saves(t *Task, n *node) {
	for _, f := range r.fields(n, "save must be a mapping of variables to their places, such as {token: {json: access_token}}") {
		how := r.mapping(f.value, "save "+f.name, saveFields)
		s := Save{Name: f.name, variable: r.variable(f.at, f.name), JSON: r.text(how["json"], "json"), Regexp: r.regexp(how["regexp"], "regexp")}
		if h := how["header"]; h != nil {
			s.Header = http.CanonicalHeaderKey(r.text(h, "header"))
		}
		switch {
		case s.JSON != "" && s.Header != "":
			r.fail(f.value, "save %s: json and header exclude one another; remove one", f.name)
		case s.JSON == "" && s.Header == "" && s.Regexp == nil:
			r.fail(f.value, "save %s needs a place: {json: access_token}, {header: Location} or {regexp: 'id=(\\d+)'}", f.name)
		case s.Header == "" && t.Stream != NoStream:
			r.fail(f.value, "save %s: streams are not kept; only headers can be saved from them", f.name)
		}
		t.Keep.Body = t.Keep.Body || s.Header == ""
		t.Keep.Header = t.Keep.Header || s.Header != ""
		r.scope[f.name] = true
		t.Save = append(t.Save, s)
	}
}

func (r *reader) texts(n *node, what string) []string {
	if n == nil {
		return nil
	}
	var out []string
	for _, item := range n.oneOrMore() {
		out = append(out, r.text(item, what))
	}
	return out
}
