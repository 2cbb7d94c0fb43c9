package locustfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// user is one user class.
type user struct {
	name    string
	weight  any
	fixed   any
	host    string
	think   string
	attrs   map[string]value
	methods map[string]node
	headers yaml.MapSlice
	set     yaml.MapSlice
	start   []*step
	tasks   []task
}

// task is one of a user's tasks.
type task struct {
	name   string
	weight any
	tags   []string
	steps  []*step
}

// descends says whether a class is derived from one of the names.
func (c *converter) descends(n node, names ...string) bool {
	for _, base := range n.list("bases") {
		name := base.dotted()
		name = name[strings.LastIndexByte(name, '.')+1:]
		if slices.Contains(names, name) {
			return true
		}
		if parent, ok := c.classes[name]; ok && parent.text("name") != n.text("name") && c.descends(parent, names...) {
			return true
		}
	}
	return false
}

// members are the statements of a class, those of its bases first.
func (c *converter) members(n node) (out []node) {
	for _, base := range n.list("bases") {
		if parent, ok := c.classes[base.dotted()]; ok && parent.text("name") != n.text("name") {
			out = append(out, c.members(parent)...)
		}
	}
	return append(out, n.list("body")...)
}

// users translates all user classes that are not abstract.
func (c *converter) users() (out []*user) {
	for _, name := range c.order {
		n := c.classes[name]
		if !c.descends(n, "HttpUser", "FastHttpUser") {
			if c.descends(n, "User", "MqttUser", "SocketIOUser", "PostgresUser") {
				c.lost(c.head(n), "users of other protocols than HTTP are not translated")
			}
			continue
		}
		if abstract(n) {
			continue
		}
		out = append(out, c.user(n))
	}
	return out
}

func abstract(n node) bool {
	return slices.ContainsFunc(n.list("body"), func(b node) bool {
		name, v := assigned(b)
		return name == "abstract" && v != nil && v["value"] == true
	})
}

func (c *converter) user(n node) *user {
	u := &user{name: n.text("name"), attrs: map[string]value{}, methods: map[string]node{}}
	var order []string
	for _, m := range c.members(n) {
		switch m.kind() {
		case "FunctionDef":
			name := m.text("name")
			if !slices.Contains(order, name) {
				order = append(order, name)
			}
			u.methods[name] = m
		case "Assign", "AnnAssign":
			c.attr(u, m)
		case "ClassDef":
			c.lost(c.head(m), "a TaskSet inside of a user is not translated; write its tasks into the user")
		case "AsyncFunctionDef":
			c.lost(c.head(m), "coroutines are not translated")
		}
	}
	if f := u.methods["wait_time"]; f != nil {
		c.lost(c.head(f), "a wait_time of its own is code; write think_time")
	}
	if f := u.methods["on_start"]; f != nil {
		s := &scope{user: u, starting: true}
		c.block(f.list("body"), s)
		u.start = s.steps
	}
	if f := u.methods["on_stop"]; f != nil && !c.harmless(f.list("body")) {
		c.lost(c.head(f), "nothing is sent when a user stops")
	}
	for _, name := range order {
		c.ifTask(u, u.methods[name])
	}
	c.listed(u, n)
	return u
}

// attr reads name = value in a class.
func (c *converter) attr(u *user, n node) {
	name, v := assigned(n)
	if v == nil || name == "" || name == "abstract" || name == "tasks" {
		return
	}
	switch name {
	case "wait_time":
		u.think = c.waitTime(v)
		return
	case "min_wait", "max_wait", "wait_function", "connection_timeout", "network_timeout", "insecure", "max_redirects", "max_retries", "concurrency", "pool_manager", "proxy_host", "proxy_port", "client_pool":
		c.lost(n, "this setting is not translated")
		return
	}
	got, err := c.eval(v, &scope{user: u})
	if err != nil {
		delete(u.attrs, name) // its uses are reported
		return
	}
	switch name {
	case "weight":
		u.weight, _ = got.yaml()
	case "fixed_count":
		u.fixed, _ = got.yaml()
	case "host":
		u.host, _ = got.template()
	default:
		u.attrs[name] = got
	}
}

// waitTime translates between(1, 3) and its kin.
func (c *converter) waitTime(n node) string {
	var seconds []float64
	for _, a := range n.list("args") {
		v, err := c.eval(a, &scope{})
		f, parseErr := strconv.ParseFloat(plain(v.raw), 64)
		if err != nil || parseErr != nil {
			c.lost(n, "a wait_time whose bounds are not constants; write think_time")
			return ""
		}
		seconds = append(seconds, f)
	}
	name := n.called()
	switch name = name[strings.LastIndexByte(name, '.')+1:]; {
	case name == "between" && len(seconds) == 2 && seconds[0] <= seconds[1]:
		return pause(seconds[0]) + ".." + pause(seconds[1])
	case name == "constant" && len(seconds) == 1:
		return pause(seconds[0])
	case name == "constant_pacing" && len(seconds) == 1 && seconds[0] > 0:
		return "pacing(" + pause(seconds[0]) + ")"
	case name == "constant_throughput" && len(seconds) == 1 && seconds[0] > 0:
		return "pacing(" + pause(1/seconds[0]) + ")"
	}
	c.lost(n, "a wait_time that is not understood; write think_time")
	return ""
}

// decorated reads @task, @task(3) and @tag("a").
func (c *converter) decorated(f node) (isTask bool, weight any, tags []string) {
	weight = int64(1)
	for _, d := range f.list("decorator_list") {
		name := d.dotted()
		if d.is("Call") {
			name = d.called()
		}
		switch name[strings.LastIndexByte(name, '.')+1:] {
		case "task":
			isTask = true
			if args := d.list("args"); len(args) > 0 {
				v, err := c.eval(args[0], &scope{})
				if y, ok := v.yaml(); err == nil && ok && v.kind == constant {
					weight = y
				} else {
					c.lost(d, "a weight that is not constant")
				}
			}
		case "tag":
			for _, a := range d.list("args") {
				if v, err := c.eval(a, &scope{}); err == nil && v.kind == constant {
					tags = append(tags, plain(v.raw))
				}
			}
		default:
			c.lost(d, "a decorator that is not understood")
		}
	}
	return isTask, weight, tags
}

// ifTask translates a method that is a task.
func (c *converter) ifTask(u *user, f node) {
	isTask, weight, tags := c.decorated(f)
	if isTask && weight != int64(0) {
		c.task(u, f, weight, tags)
	}
}

func (c *converter) task(u *user, f node, weight any, tags []string) {
	s := &scope{user: u}
	c.block(f.list("body"), s)
	if len(s.steps) == 0 {
		c.lost(c.head(f), "the task sends nothing that is understood, and is left out")
		return
	}
	u.tasks = append(u.tasks, task{f.text("name"), weight, tags, s.steps})
}

// listed reads tasks = [f, g] and tasks = {f: 3}.
func (c *converter) listed(u *user, n node) {
	var v node
	for _, m := range c.members(n) {
		if name, value := assigned(m); name == "tasks" {
			v = value
		}
	}
	if v == nil {
		return
	}
	names, weights := v.list("elts"), []node{}
	if v.is("Dict") {
		names, weights = v.list("keys"), v.list("values")
	}
	for i, name := range names {
		weight := any(int64(1))
		if len(weights) > i {
			w, err := c.eval(weights[i], &scope{})
			if y, ok := w.yaml(); err == nil && ok && w.kind == constant {
				weight = y
			} else {
				c.lost(weights[i], "a weight that is not constant")
			}
		}
		f := c.functions[name.dotted()]
		if f == nil {
			f = u.methods[name.dotted()]
		}
		set := c.classes[name.dotted()]
		switch {
		case f != nil:
			_, _, tags := c.decorated(f)
			c.task(u, f, weight, tags)
		case set != nil && len(names) == 1:
			c.taskSet(u, set)
		default:
			c.lost(name, "several TaskSets, or one beside other tasks, are not translated; write user classes")
		}
	}
}

// taskSet translates the only TaskSet of a user: nobody leaves it, so that its tasks are the
// user's. Those of a SequentialTaskSet are the steps of one task.
func (c *converter) taskSet(u *user, n node) {
	in := &user{name: u.name, attrs: u.attrs, methods: map[string]node{}, host: u.host, think: u.think, headers: u.headers, set: u.set}
	for _, m := range c.members(n) {
		switch m.kind() {
		case "FunctionDef":
			in.methods[m.text("name")] = m
		case "Assign", "AnnAssign":
			c.attr(in, m)
		case "ClassDef":
			c.lost(c.head(m), "a TaskSet inside of a TaskSet is not translated")
		}
	}
	if f := in.methods["on_start"]; f != nil {
		s := &scope{user: in, starting: true}
		c.block(f.list("body"), s)
		u.start = append(u.start, s.steps...)
	}
	for _, m := range c.members(n) {
		if m.is("FunctionDef") && fmt.Sprint(in.methods[m.text("name")]["@"]) == fmt.Sprint(m["@"]) {
			c.ifTask(in, m)
		}
	}
	u.think, u.headers, u.set = in.think, in.headers, in.set
	if !c.descends(n, "SequentialTaskSet") {
		u.tasks = append(u.tasks, in.tasks...)
		return
	}
	all := task{name: n.text("name"), weight: int64(1)}
	for _, t := range in.tasks {
		switch last := t.steps[len(t.steps)-1]; {
		case last.think == "":
			last.think = u.think
		case u.think != "":
			c.lost(c.head(n), "a pause at the end of %s stands in the place of the wait_time", t.name)
		}
		all.steps = append(all.steps, t.steps...)
	}
	u.think = "" // Locust waits after each task of a sequence: that is now in the steps
	if len(all.steps) > 0 {
		u.tasks = append(u.tasks, all)
	}
}

// document is the scenario.
func (c *converter) document() (yaml.MapSlice, error) {
	users := c.users()
	users = slices.DeleteFunc(users, func(u *user) bool { return len(u.tasks) == 0 })
	if len(users) == 0 {
		return nil, fmt.Errorf("%s: no HttpUser or FastHttpUser with a task that is understood%s", c.file, c.complaints())
	}
	doc := yaml.MapSlice{{Key: "name", Value: "locustfile"}}
	if c.insecure {
		doc = append(doc, yaml.MapItem{Key: "client", Value: yaml.MapSlice{{Key: "insecure", Value: true}}})
	}
	data := yaml.MapSlice{}
	for _, name := range c.dataNames {
		y, _ := value{kind: list, list: c.data[name]}.yaml()
		data = append(data, yaml.MapItem{Key: name, Value: y})
	}
	if len(data) > 0 {
		doc = append(doc, yaml.MapItem{Key: "data", Value: data})
	}
	var classes []yaml.MapSlice
	for _, u := range users {
		classes = append(classes, u.yaml())
	}
	return append(doc, yaml.MapItem{Key: "user_classes", Value: classes}), nil
}

func (c *converter) complaints() string {
	var sb strings.Builder
	for _, p := range c.problems {
		sb.WriteString("\n" + p.String())
	}
	return sb.String()
}

func (u *user) yaml() yaml.MapSlice {
	out := yaml.MapSlice{{Key: "name", Value: u.name}}
	add := func(key string, v any, there bool) {
		if there {
			out = append(out, yaml.MapItem{Key: key, Value: v})
		}
	}
	add("weight", u.weight, u.weight != nil)
	add("fixed_count", u.fixed, u.fixed != nil && u.fixed != int64(0))
	add("host", u.host, u.host != "")
	add("think_time", u.think, u.think != "")
	add("headers", u.headers, len(u.headers) > 0)
	add("set", u.set, len(u.set) > 0)
	var start []yaml.MapSlice
	for _, st := range u.start {
		start = append(start, st.yaml())
	}
	add("on_start", start, len(start) > 0)
	var tasks []yaml.MapSlice
	for _, t := range u.tasks {
		tasks = append(tasks, t.yaml())
	}
	add("tasks", tasks, true)
	return out
}

func (t task) yaml() yaml.MapSlice {
	var out yaml.MapSlice
	if len(t.steps) == 1 && t.steps[0].think == "" {
		out = t.steps[0].yaml()
	} else {
		var steps []yaml.MapSlice
		for _, st := range t.steps {
			steps = append(steps, st.yaml())
		}
		out = yaml.MapSlice{{Key: "name", Value: t.name}, {Key: "steps", Value: steps}}
	}
	var extra yaml.MapSlice
	if t.weight != int64(1) {
		extra = append(extra, yaml.MapItem{Key: "weight", Value: t.weight})
	}
	if len(t.tags) > 0 {
		extra = append(extra, yaml.MapItem{Key: "tags", Value: t.tags})
	}
	at := slices.IndexFunc(out, func(i yaml.MapItem) bool { return i.Key != "name" })
	return slices.Insert(out, at, extra...)
}
