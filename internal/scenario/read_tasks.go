package scenario

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

func (r *reader) tasks(parent, n *node, c *class) []Sequence {
	if n == nil || n.kind == sequenceKind && len(n.items) == 0 {
		if n == nil {
			n = parent
		}
		r.fail(n, "no tasks: there is nothing to send; add tasks: with at least one request")
		return nil
	}
	if n.kind != sequenceKind {
		r.fail(n, "tasks must be a list; start each task with \"- \"")
		return nil
	}
	var out []Sequence
	seen := map[string]bool{}
	outer := r.scope
	for _, item := range n.items {
		r.scope, r.draws = maps.Clone(outer), nil
		q, named := r.task(item, c)
		q.draws = r.draws
		if len(q.Steps) == 1 {
			t := q.Steps[0].Task
			if key := t.Method + " " + t.Name; !named && seen[key] {
				r.fail(item, "task %q stands twice; give each its own name", key)
			} else {
				seen[key] = true
			}
		}
		out = append(out, q)
	}
	r.scope = outer
	return out
}

// task reads one task: a request, or steps.
func (r *reader) task(n *node, c *class) (q Sequence, named bool) {
	f := r.mapping(n, "a task", taskFields)
	if f == nil {
		return q, true
	}
	q = Sequence{Name: r.text(f["name"], "name"), Weight: r.weight(f["weight"]), Tags: r.texts(f["tags"], "tags")}
	if steps := f["steps"]; steps != nil {
		for _, other := range []string{"request", "check", "save"} {
			if f[other] != nil {
				r.fail(f[other], "%s and steps exclude one another: move it into a step", other)
			}
		}
		set := r.assigns(f["set"])
		if q.Steps = r.steps(steps, "steps", c); len(q.Steps) > 0 {
			q.Steps[0].Set = append(set, q.Steps[0].Set...)
		}
	} else {
		q.Steps = []Step{r.step(n, f, c)}
		if q.Name == "" {
			q.Name = q.Steps[0].Task.Name
		}
	}
	for i := range q.Steps {
		q.Steps[i].Task.Tags = q.Tags
	}
	return q, f["name"] != nil
}

func (r *reader) steps(n *node, what string, c *class) []Step {
	if n.kind != sequenceKind || len(n.items) == 0 {
		r.fail(n, "%s must be a list of requests; start each with \"- \"", what)
		return nil
	}
	var out []Step
	for _, item := range n.items {
		f := r.mapping(item, "a step", stepFields)
		if f == nil {
			continue
		}
		s := r.step(item, f, c)
		s.Think = r.think(f["think_time"])
		out = append(out, s)
	}
	return out
}

// step reads one request with what stands around it.
func (r *reader) step(n *node, f map[string]*node, c *class) Step {
	r.needs = nil
	s := Step{Task: &Task{Name: r.text(f["name"], "name")}}
	t := s.Task
	s.Set = r.assigns(f["set"])
	if f["request"] == nil {
		r.fail(n, "task %q has no request; add request: {method: GET, path: /…}", t.Name)
		return s
	}
	r.request(t, f["request"], c)
	if f["check"] != nil {
		r.check(t, f["check"])
	}
	s.Needs = r.needs
	r.saves(t, f["save"])
	if t.Name == "" {
		t.Name = t.Pattern
	}
	return s
}

var methodForm = regexp.MustCompile(`^[A-Z]+$`)

func (r *reader) request(t *Task, n *node, c *class) {
	f := r.mapping(n, "a request", requestFields)
	if f == nil {
		return
	}
	t.Method = http.MethodGet
	if f["json"] != nil || f["body"] != nil || f["form"] != nil {
		t.Method = http.MethodPost
	}
	if m := f["method"]; m != nil {
		t.Method = strings.ToUpper(r.text(m, "method"))
		if !methodForm.MatchString(t.Method) {
			r.fail(m, "method %q is not an HTTP method; write GET, POST, PUT, …", t.Method)
		}
	}
	switch p := f["path"]; {
	case p == nil:
		r.fail(n, "a request needs a path, such as path: /health")
	case !strings.HasPrefix(r.text(p, "path"), "/"):
		r.fail(p, "path must begin with /; the host comes from --host or the field host")
	default:
		text := r.text(p, "path")
		t.Path = r.template(p, text, asPath)
		t.Pattern = pattern(text)
		r.query(t, f["query"], text)
	}
	switch stream := r.text(f["stream"], "stream"); Stream(stream) {
	case NoStream, SSE, NDJSON:
		t.Stream = Stream(stream)
	default:
		r.fail(f["stream"], "stream must be sse or ndjson, not %q", stream)
	}
	t.Headers = r.headers(c, r.headerFields(f["headers"]))
	r.body(t, f)
	if t.Stream == SSE {
		t.defaultHeader("Accept", "text/event-stream")
	}
}

// query adds query: to the path, each value percent-escaped.
func (r *reader) query(t *Task, n *node, path string) {
	if n == nil {
		return
	}
	t.Path.parts = append(t.Path.parts, part{text: map[bool]string{false: "?", true: "&"}[strings.Contains(path, "?")]})
	t.Path.parts = mergeText(append(t.Path.parts, r.pairs(n, "query").parts...))
}

// pairs compiles a mapping into name=value&…, the form of queries and of forms.
func (r *reader) pairs(n *node, what string) *Template {
	t := &Template{}
	for _, f := range r.fields(n, what+" must be a mapping of names to values") {
		values := f.value.items
		if f.value.kind != sequenceKind {
			values = []*node{f.value}
		}
		for _, v := range values {
			text, ok := r.plain(v, what+" "+f.name)
			if !ok {
				continue
			}
			if len(t.parts) > 0 {
				t.parts = append(t.parts, part{text: "&"})
			}
			t.parts = append(t.parts, part{text: string(appendPercent(nil, f.name, asQuery)) + "="})
			for _, p := range r.template(v, text, asQuery).parts {
				if p.expr == nil {
					p.text = string(appendPercent(nil, p.text, asQuery))
				}
				t.parts = append(t.parts, p)
			}
		}
	}
	t.parts = mergeText(t.parts)
	return t
}

// body compiles the one of json, body and form that the request has.
func (r *reader) body(t *Task, f map[string]*node) {
	var found []string
	for _, name := range []string{"json", "body", "form"} {
		if f[name] != nil {
			found = append(found, name)
		}
	}
	switch {
	case len(found) == 0:
	case len(found) > 1:
		r.fail(f[found[1]], "%s exclude one another; remove one", strings.Join(found, " and "))
	case found[0] == "json":
		t.Body = r.jsonTemplate(f["json"])
		t.defaultHeader("Content-Type", "application/json")
	case found[0] == "form":
		t.Body = r.pairs(f["form"], "form")
		t.defaultHeader("Content-Type", "application/x-www-form-urlencoded")
	default:
		t.Body = r.template(f["body"], r.text(f["body"], "body"), asText)
	}
}

func (t *Task) defaultHeader(name, value string) {
	if !slices.ContainsFunc(t.Headers, func(h Header) bool { return strings.EqualFold(h.Name, name) }) {
		t.Headers = append(t.Headers, Header{name, literal(value)})
	}
}
