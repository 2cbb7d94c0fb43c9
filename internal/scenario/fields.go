package scenario

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// The fields of a scenario file, by the mapping they stand in. scenario.schema.json lists the
// same ones; a test holds the two together.
var (
	scenarioFields = []string{"name", "host", "users", "spawn_rate", "rate", "arrival", "max_in_flight", "stages", "run_time", "timeout", "think_time", "data", "headers", "tasks", "thresholds"}
	stageFields    = []string{"users", "rate", "spawn_rate", "duration"}
	taskFields     = []string{"name", "weight", "tags", "request", "check"}
	requestFields  = []string{"method", "path", "headers", "json", "body", "stream"}
	checkFields    = []string{"status", "contains", "done"}
)

func (r *reader) scenario(root *node) *Scenario {
	f := r.mapping(root, "the scenario", scenarioFields)
	s := &Scenario{
		Name:        r.text(f["name"], "name"),
		Host:        r.text(f["host"], "host"),
		Users:       r.count(f["users"], "users"),
		SpawnRate:   r.positive(f["spawn_rate"], "spawn_rate"),
		Rate:        r.positive(f["rate"], "rate"),
		MaxInFlight: r.count(f["max_in_flight"], "max_in_flight"),
		RunTime:     r.duration(f["run_time"], "run_time"),
		Timeout:     r.duration(f["timeout"], "timeout"),
	}
	if s.Users > 0 && s.Rate > 0 {
		r.fail(f["rate"], "users and rate exclude one another: users is the closed model, rate the open one; remove one")
	}
	if n := f["stages"]; n != nil {
		r.stages(s, n, f)
	}
	if n := f["arrival"]; n != nil {
		switch a := r.text(n, "arrival"); a {
		case "constant", "poisson":
			s.Poisson = a == "poisson"
		default:
			r.fail(n, "arrival must be constant or poisson, not %q", a)
		}
	}
	if n := f["think_time"]; n != nil {
		if text, ok := r.plain(n, "think_time"); ok {
			var err error
			if s.Think, err = ParseThink(text); err != nil {
				r.fail(n, "think_time: %v", err)
			}
		}
	}
	r.dataSets(f["data"])
	common := r.headers(f["headers"])
	s.Tasks = r.tasks(root, f["tasks"], common)
	r.thresholds(s, f["thresholds"])
	return s
}

func (r *reader) tasks(root, n *node, common []Header) []Task {
	if n == nil || n.kind == sequenceKind && len(n.items) == 0 {
		at := root
		if n != nil {
			at = n
		}
		r.fail(at, "no tasks: there is nothing to send; add tasks: with at least one request")
		return nil
	}
	if n.kind != sequenceKind {
		r.fail(n, "tasks must be a list; start each task with \"- \"")
		return nil
	}
	var out []Task
	seen := map[string]bool{}
	for _, item := range n.items {
		t := r.task(item, common)
		if key := t.Method + " " + t.Name; t.Name != "" && seen[key] {
			r.fail(item, "task %q stands twice; give each its own name", key)
		} else {
			seen[key] = true
		}
		out = append(out, t)
	}
	return out
}

func (r *reader) task(n *node, common []Header) Task {
	f := r.mapping(n, "a task", taskFields)
	if f == nil {
		return Task{}
	}
	t := Task{Name: r.text(f["name"], "name"), Weight: 1, Tags: r.texts(f["tags"], "tags")}
	if w := f["weight"]; w != nil {
		if t.Weight = r.positive(w, "weight"); t.Weight == 0 {
			t.Weight = 1 // already complained about
		}
	}
	if f["request"] == nil {
		r.fail(n, "task %q has no request; add request: {method: GET, path: /…}", t.Name)
		return t
	}
	r.request(&t, f["request"], common)
	if c := f["check"]; c != nil {
		r.check(&t, c)
	}
	if t.Name == "" {
		t.Name = t.Pattern
	}
	return t
}

func (r *reader) request(t *Task, n *node, common []Header) {
	f := r.mapping(n, "a request", requestFields)
	if f == nil {
		return
	}
	t.Method = http.MethodGet
	if f["json"] != nil || f["body"] != nil {
		t.Method = http.MethodPost
	}
	if m := f["method"]; m != nil {
		t.Method = strings.ToUpper(r.text(m, "method"))
		if !regexp.MustCompile(`^[A-Z]+$`).MatchString(t.Method) {
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
	}
	switch stream := r.text(f["stream"], "stream"); Stream(stream) {
	case NoStream, SSE, NDJSON:
		t.Stream = Stream(stream)
	default:
		r.fail(f["stream"], "stream must be sse or ndjson, not %q", stream)
	}
	t.Headers = append(slices.Clone(common), r.headers(f["headers"])...)
	switch {
	case f["json"] != nil && f["body"] != nil:
		r.fail(f["body"], "json and body exclude one another; remove one")
	case f["json"] != nil:
		t.Body = r.jsonTemplate(f["json"])
		t.defaultHeader("Content-Type", "application/json")
	case f["body"] != nil:
		t.Body = r.template(f["body"], r.text(f["body"], "body"), asText)
	}
	if t.Stream == SSE {
		t.defaultHeader("Accept", "text/event-stream")
	}
}

func (t *Task) defaultHeader(name, value string) {
	if !slices.ContainsFunc(t.Headers, func(h Header) bool { return strings.EqualFold(h.Name, name) }) {
		t.Headers = append(t.Headers, Header{name, literal(value)})
	}
}

func (r *reader) headers(n *node) []Header {
	if n == nil {
		return nil
	}
	if n.kind != mappingKind {
		r.fail(n, "headers must be a mapping of names to values")
		return nil
	}
	var out []Header
	for _, f := range n.fields {
		text, ok := r.plain(f.value, "header "+f.name)
		if strings.ContainsAny(f.name+text, "\r\n") || f.name == "" {
			r.fail(f.at, "header %q: names and values stand on one line", f.name)
			continue
		}
		if ok {
			out = append(out, Header{http.CanonicalHeaderKey(f.name), r.template(f.value, text, asText)})
		}
	}
	return out
}

func (r *reader) check(t *Task, n *node) {
	f := r.mapping(n, "check", checkFields)
	t.Check = Check{Contains: r.text(f["contains"], "contains"), Done: r.flag(f["done"], "done")}
	if f["done"] != nil && t.Stream == NoStream {
		r.fail(f["done"], "done is for streams; add stream: sse to the request or remove it")
	}
	status := f["status"]
	if status == nil {
		return
	}
	items := status.items
	if status.kind == scalarKind {
		items = []*node{status}
	}
	for _, item := range items {
		code := r.count(item, "status")
		if code < 100 || code > 599 {
			r.fail(item, "status %d is not an HTTP status; write one from 100 to 599, or a list of them", code)
		}
		t.Check.Status = append(t.Check.Status, code)
	}
}

func (r *reader) texts(n *node, what string) []string {
	if n == nil {
		return nil
	}
	items := n.items
	if n.kind == scalarKind {
		items = []*node{n}
	}
	var out []string
	for _, item := range items {
		out = append(out, r.text(item, what))
	}
	return out
}

func (r *reader) thresholds(s *Scenario, n *node) {
	if n == nil {
		return
	}
	if n.kind != sequenceKind {
		r.fail(n, "thresholds must be a list; start each with \"- \"")
		return
	}
	for _, item := range n.items {
		th, err := ParseThreshold(r.text(item, "a threshold"))
		if err == nil && len(r.errs) == 0 { // else the tasks are not all known
			err = s.checkThreshold(th)
		}
		if err != nil {
			r.fail(item, "%v", err)
			continue
		}
		s.Thresholds = append(s.Thresholds, th)
	}
}
