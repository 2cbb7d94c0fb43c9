package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template/parse"
)

// field compiles .token or .accounts.name: a variable of the user, or its row of a data set.
func (r *reader) field(f *parse.FieldNode) (expression, error) {
	name := f.Ident[0]
	if saved, ok := r.scope[name]; ok {
		if len(f.Ident) > 1 {
			return nil, fmt.Errorf("the variable %s has no fields; save what you need with json: %s", name, strings.Join(f.Ident[1:], "."))
		}
		i := r.vars[name]
		if saved && !slices.Contains(r.needs, i) {
			r.needs = append(r.needs, i)
		}
		return func(dst []byte, e *Env, as escaping) []byte {
			return appendValue(dst, e.vars[i].text, e.vars[i].json, as)
		}, nil
	}
	r.early = r.early || r.data[name] == nil
	if _, ok := r.vars[name]; ok {
		return nil, fmt.Errorf("the variable %s has no value here; set or save it in on_start or in an earlier step of the same task", name)
	}
	if r.data[name] == nil {
		return nil, fmt.Errorf("%s is neither a variable nor a data set (variables here: %s; data: %s)", name, orNone(slices.Sorted(maps.Keys(r.scope))), orNone(slices.Sorted(maps.Keys(r.data))))
	}
	rows, err := r.rows(f.String())
	if err != nil {
		return nil, err
	}
	d := r.data[name]
	d.used = true
	if !slices.Contains(r.draws, d.index) {
		r.draws = append(r.draws, d.index)
	}
	return func(dst []byte, e *Env, as escaping) []byte { return rows[e.rows[d.index]].append(dst, as) }, nil
}

// variable returns the index of a variable that gets a value at n.
func (r *reader) variable(n *node, name string) int {
	if !isName(name) {
		r.fail(n, "%q is not the name of a variable; write letters, digits and _", name)
	}
	if r.data[name] != nil {
		r.fail(n, "the variable %s has the name of a data set; rename one", name)
	}
	i, ok := r.vars[name]
	if !ok {
		i = len(r.vars)
		r.vars[name] = i
	}
	return i
}

func isName(s string) bool {
	for i, c := range s {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// assigns reads set:, variables and their values.
func (r *reader) assigns(n *node) []Assign {
	var out []Assign
	for _, f := range r.fields(n, `set must be a mapping of variables to values, such as {session: "{{ uuid }}"}`) {
		text, ok := r.plain(f.value, "set "+f.name)
		if !ok {
			continue
		}
		a := Assign{r.variable(f.at, f.name), r.template(f.value, text, asText)}
		if f.value.scalar != text && a.value.single() == nil { // a number or a flag keeps its type
			v := value{text, text}
			a.value = &Template{[]part{{expr: func(dst []byte, _ *Env, as escaping) []byte { return v.append(dst, as) }}}}
		}
		r.scope[f.name] = false
		out = append(out, a)
	}
	return out
}
