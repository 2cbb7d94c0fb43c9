package target

import (
	"slices"
	"strings"
)

// MaxRoutes bounds the route templates of one target; what goes beyond is the route Other.
const MaxRoutes = 200

// Other stands for all routes beyond MaxRoutes, and for all methods that HTTP does not define.
const Other = "_other"

// Router turns the method and path of a request into its endpoint. It knows the service's own
// route templates, or learns them. Not safe for use by several goroutines.
type Router struct {
	root     *node
	declared int               // routes of the service's own description
	learned  map[string]*route // template → route
	recent   map[string]*route // path → route of some paths that were learned from
	other    *route
}

// route is a template with the endpoints it was asked for.
type route struct {
	template  string
	methods   []string          // empty: any
	endpoints map[string]string // method → "GET /items/{id}", so that each is built once
}

// node is a place in the tree of path segments.
type node struct {
	literals  map[string]*node
	parameter *node // any one segment
	rest      []*route
	here      []*route
}

// LearnRouter returns a router that knows no routes and learns them from paths: segments that
// look like identifiers become {id}.
func LearnRouter() *Router {
	return &Router{root: &node{}, learned: map[string]*route{}, recent: map[string]*route{}, other: newRoute(Other, nil)}
}

func newRoute(template string, methods []string) *route {
	return &route{template: template, methods: methods, endpoints: map[string]string{}}
}

// Routes lists the templates in use, sorted: those of the service's description, then the learned.
func (r *Router) Routes() []string {
	var list []string
	r.root.visit(func(t *route) { list = append(list, t.template) })
	slices.Sort(list)
	first := len(list)
	for template := range r.learned {
		list = append(list, template)
	}
	slices.Sort(list[first:])
	return slices.Compact(list)
}

func (n *node) visit(f func(*route)) {
	for _, t := range slices.Concat(n.here, n.rest) {
		f(t)
	}
	for _, c := range n.literals {
		c.visit(f)
	}
	if n.parameter != nil {
		n.parameter.visit(f)
	}
}

// Endpoint names the endpoint of a request, as in "GET /items/{id}"; path may carry a query.
// A route that the description lists with this method wins over one that it lists with others,
// and a literal segment over a parameter.
func (r *Router) Endpoint(method, path string) string {
	path, _, _ = strings.Cut(path, "?")
	t := r.root.find(path, method)
	if t == nil {
		t = r.root.find(path, "")
	}
	if t == nil {
		t = r.learn(path)
	}
	return t.endpoint(method)
}

func (t *route) endpoint(method string) string {
	if e, ok := t.endpoints[method]; ok {
		return e
	}
	known := methodLabel(method)
	e := known + " " + t.template
	if known == method { // else the method came from a client and may be anything
		t.endpoints[method] = e
	}
	return e
}

// methodLabel keeps the methods of RFC 9110 and RFC 5789.
func methodLabel(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT":
		return method
	}
	return Other
}

// add puts a template of the service's description into the tree.
func (r *Router) add(template string, methods []string) {
	if r.declared >= MaxRoutes || !strings.HasPrefix(template, "/") {
		return
	}
	r.declared++
	t := newRoute(template, methods)
	n := r.root
	for rest := template; rest != ""; {
		var segment string
		segment, rest = nextSegment(rest)
		if name, ok := parameterOf(segment); ok {
			if rest == "" && isPathParameter(name) {
				n.rest = append(n.rest, t)
				return
			}
			if n.parameter == nil {
				n.parameter = &node{}
			}
			n = n.parameter
			continue
		}
		if n.literals == nil {
			n.literals = map[string]*node{}
		}
		if n.literals[segment] == nil {
			n.literals[segment] = &node{}
		}
		n = n.literals[segment]
	}
	n.here = append(n.here, t)
}

// nextSegment cuts "/a/b" into "a" and "/b". A slash at the end makes an empty last segment.
func nextSegment(path string) (segment, rest string) {
	path = strings.TrimPrefix(path, "/")
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// parameterOf returns what is between the braces of a segment that holds a parameter; one with
// text around it, as in "{name}.json", counts as a parameter as a whole.
func parameterOf(segment string) (name string, ok bool) {
	i := strings.IndexByte(segment, '{')
	j := strings.LastIndexByte(segment, '}')
	if i < 0 || j < i {
		return "", false
	}
	return segment[i+1 : j], true
}

// isPathParameter says whether a parameter may hold slashes. FastAPI's description drops the
// ":path" that says so, hence the convention that the parameter is called so is followed too.
func isPathParameter(name string) bool {
	_, converter, _ := strings.Cut(name, ":")
	return converter == "path" || strings.Contains(strings.ToLower(name), "path")
}

// find matches the rest of a path; method "" means any.
func (n *node) find(path, method string) *route {
	if path == "" {
		return accepting(n.here, method)
	}
	segment, rest := nextSegment(path)
	if c := n.literals[segment]; c != nil {
		if t := c.find(rest, method); t != nil {
			return t
		}
	}
	if n.parameter != nil && segment != "" {
		if t := n.parameter.find(rest, method); t != nil {
			return t
		}
	}
	return accepting(n.rest, method)
}

func accepting(routes []*route, method string) *route {
	for _, t := range routes {
		if method == "" || slices.Contains(t.methods, method) {
			return t
		}
	}
	return nil
}
