package locustfile

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

func (s *scope) bind(name string, v value) {
	if s.locals == nil {
		s.locals = map[string]value{}
	}
	s.locals[name] = v
}

// keep gives a name its value: what changes from turn to turn becomes a variable of the scenario.
func (c *converter) keep(name string, v value, s *scope) {
	short := name[strings.LastIndexByte(name, '.')+1:]
	v = c.fix(short, v, s)
	if s.starting && strings.HasPrefix(name, "self.") && s.user != nil {
		s.user.attrs[short] = v
		return
	}
	s.bind(name, v)
}

// fix puts what is drawn into variables, so that two uses have the same value.
func (c *converter) fix(name string, v value, s *scope) value {
	switch v.kind {
	case answer:
		if len(v.path) == 0 {
			return v
		}
		return c.settleAs(name, v)
	case text:
		if !drawn(v.text) {
			return v
		}
		name = c.variable(name)
		if s.starting {
			s.user.set = merge(s.user.set, yaml.MapSlice{{Key: name, Value: v.text}})
		} else {
			s.pending = merge(s.pending, yaml.MapSlice{{Key: name, Value: v.text}})
		}
		return expr("." + name)
	case list, dict, jsonText:
		v.list = slices.Clone(v.list)
		for i := range v.list {
			part := name
			if v.kind == dict {
				part = v.keys[i]
			}
			v.list[i] = c.fix(part, v.list[i], s)
		}
	}
	return v
}

// drawn says whether a template has another value each time.
func drawn(template string) bool {
	for _, piece := range strings.Split(template, "{{ ")[1:] {
		if !strings.HasPrefix(piece, ".") && !strings.HasPrefix(piece, "env ") && !strings.HasPrefix(piece, "user ") {
			return true
		}
	}
	return false
}

// variable is the name of a variable of the scenario.
func (c *converter) variable(name string) string {
	var sb strings.Builder
	for i, r := range name {
		if r == '_' || r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || i > 0 && r >= '0' && r <= '9') {
			sb.WriteRune(r)
		} else {
			sb.WriteByte('_')
		}
	}
	name = sb.String()
	for c.data[name] != nil {
		name += "_"
	}
	c.variables[name] = true
	return name
}

// settle saves what a value takes from an answer.
func (c *converter) settle(v value) value {
	switch v.kind {
	case answer:
		if len(v.path) > 0 {
			return c.settleAs(v.path[len(v.path)-1], v)
		}
	case list, dict, jsonText:
		v.list = slices.Clone(v.list)
		for i := range v.list {
			v.list[i] = c.settle(v.list[i])
		}
	}
	return v
}

func (c *converter) settleAs(name string, v value) value {
	name = c.variable(name)
	v.step.save = merge(v.step.save, yaml.MapSlice{{Key: name, Value: yaml.MapSlice{{Key: "json", Value: strings.Join(v.path, ".")}}}})
	return expr("." + name)
}
