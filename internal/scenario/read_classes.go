package scenario

import "slices"

// class is a class that is being read. Headers and auth are compiled anew for each request,
// because they may use variables that some requests do not have yet.
type class struct {
	Class
	headers []field
	auth    *node
}

// classes reads user_classes, or the one class that the scenario itself is.
func (r *reader) classes(root *node, f map[string]*node) []Class {
	common := class{headers: r.headerFields(f["headers"]), auth: f["auth"]}
	common.Think = r.think(f["think_time"])
	list := f["user_classes"]
	if list == nil {
		common.Weight = 1
		r.class(root, f, &common)
		return []Class{common.Class}
	}
	for _, name := range []string{"tasks", "on_start", "set"} {
		if n := f[name]; n != nil {
			r.fail(n, "%s and user_classes exclude one another: move it into a class", name)
		}
	}
	if list.kind != sequenceKind || len(list.items) == 0 {
		r.fail(list, "user_classes must be a list; start each class with \"- \"")
		return nil
	}
	var out []Class
	for _, item := range list.items {
		out = append(out, r.userClass(item, common, out))
	}
	return out
}

func (r *reader) userClass(n *node, c class, before []Class) Class {
	f := r.mapping(n, "a user class", classFields)
	if f == nil {
		return c.Class
	}
	c.Name = r.text(f["name"], "name")
	switch {
	case c.Name == "":
		r.fail(n, "a user class needs a name")
	case slices.ContainsFunc(before, func(b Class) bool { return b.Name == c.Name }):
		r.fail(f["name"], "user class %q stands twice; give each its own name", c.Name)
	}
	c.Weight = r.weight(f["weight"])
	c.Fixed = r.count(f["fixed_count"], "fixed_count")
	c.Host = r.text(f["host"], "host")
	if f["think_time"] != nil {
		c.Think = r.think(f["think_time"])
	}
	c.headers = override(c.headers, r.headerFields(f["headers"]))
	if f["auth"] != nil {
		c.auth = f["auth"]
	}
	r.class(n, f, &c)
	return c.Class
}

// class reads what is the same in a class and in a scenario without classes.
func (r *reader) class(n *node, f map[string]*node, c *class) {
	r.scope, r.draws = map[string]bool{}, nil
	c.Set = r.assigns(f["set"])
	c.OnStart.Name = "on_start"
	if start := f["on_start"]; start != nil {
		r.starting = true
		c.OnStart.Steps = r.steps(start, "on_start", c)
		r.starting = false
	}
	c.OnStart.draws = r.draws
	c.Turns = r.tasks(n, f["tasks"], c)
}

func (r *reader) weight(n *node) float64 {
	if n == nil {
		return 1
	}
	if w := r.positive(n, "weight"); w > 0 {
		return w
	}
	return 1 // already complained about
}
