package locustfile

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// value is what an expression is at the time of the run.
type value struct {
	kind kind
	text string   // of text: a template; of a row: the data set
	raw  any      // of a constant: string, json.Number, bool or nil
	keys []string // of a dict
	list []value  // of a list, a dict (its values) or JSON text (one)
	step *step    // of a response, or of JSON from one
	path []string // of JSON from a response
}

type kind uint8

const (
	constant kind = iota
	text          // a template
	list          // of values
	dict          // of names to values
	jsonText      // json.dumps of a value
	row           // a random one of a list of dicts
	response      // of a request
	answer        // JSON from a response, or a field of it
	bodyText      // the text of a response
)

func number(n int) json.Number { return json.Number(strconv.Itoa(n)) }

func constantOf(v any) value { return value{kind: constant, raw: v} }

func expr(code string) value { return value{kind: text, text: "{{ " + code + " }}"} }

// scope is what names mean where an expression stands.
type scope struct {
	starting bool // in on_start
	steps    []*step
	pending  yaml.MapSlice // variables that the next step sets
	depth    int           // of methods

	user   *user
	locals map[string]value
}

// template is the value as text of a scenario file.
func (v value) template() (string, bool) {
	switch v.kind {
	case text:
		return v.text, true
	case constant:
		return strings.ReplaceAll(plain(v.raw), "{{", `{{ choice "{{" }}`), true
	}
	return "", false
}

// plain is how Python's str shows a constant.
func plain(raw any) string {
	switch raw := raw.(type) {
	case nil:
		return "None"
	case bool:
		return map[bool]string{true: "True", false: "False"}[raw]
	}
	return fmt.Sprint(raw)
}

// yaml is the value as a value of a scenario file.
func (v value) yaml() (any, bool) {
	switch v.kind {
	case constant:
		if _, isText := v.raw.(string); !isText {
			if n, ok := v.raw.(json.Number); ok {
				if i, err := n.Int64(); err == nil {
					return i, true
				}
				f, err := n.Float64()
				return f, err == nil
			}
			return v.raw, true
		}
		return v.template()
	case text:
		return v.text, true
	case list:
		out := []any{}
		for _, item := range v.list {
			y, ok := item.yaml()
			if !ok {
				return nil, false
			}
			out = append(out, y)
		}
		return out, true
	case dict:
		out := yaml.MapSlice{}
		for i, key := range v.keys {
			y, ok := v.list[i].yaml()
			if !ok {
				return nil, false
			}
			out = append(out, yaml.MapItem{Key: key, Value: y})
		}
		return out, true
	}
	return nil, false
}

// quiet evaluates without complaining.
func (c *converter) quiet(n node, s *scope) (value, bool) {
	before := len(c.problems)
	v, err := c.eval(n, s)
	c.problems = c.problems[:before]
	return v, err == nil
}

// eval says what an expression is; the error says why it cannot be told.
func (c *converter) eval(n node, s *scope) (value, error) {
	switch n.kind() {
	case "Constant":
		return constantOf(n["value"]), nil
	case "Name":
		return c.name(n.text("id"), s)
	case "Attribute":
		return c.attribute(n, s)
	case "List", "Tuple", "Set":
		v := value{kind: list}
		for _, item := range n.list("elts") {
			e, err := c.eval(item, s)
			if err != nil {
				return v, err
			}
			v.list = append(v.list, e)
		}
		return v, nil
	case "Dict":
		return c.dict(n, s)
	case "JoinedStr":
		return c.joined(n.list("values"), s)
	case "FormattedValue":
		if n.at("format_spec") != nil {
			return value{}, fmt.Errorf("a format (:%s) is not understood", strings.Trim(c.source(n.at("format_spec")), `f"'`))
		}
		return c.eval(n.at("value"), s)
	case "BinOp":
		if n.at("op").is("Add") {
			return c.joined([]node{n.at("left"), n.at("right")}, s)
		}
	case "UnaryOp":
		if v, err := c.eval(n.at("operand"), s); n.at("op").is("USub") && err == nil && v.kind == constant {
			return constantOf(json.Number("-" + fmt.Sprint(v.raw))), nil
		}
	case "Subscript":
		return c.subscript(n, s)
	case "Call":
		return c.call(n, s)
	}
	return value{}, fmt.Errorf("%s is an expression that is not understood", c.source(n))
}

func (c *converter) name(name string, s *scope) (value, error) {
	if v, ok := s.locals[name]; ok {
		return v, nil
	}
	if v, ok := c.globals[name]; ok {
		return v, nil
	}
	return value{}, fmt.Errorf("the value of %s is not known", name)
}

func (c *converter) attribute(n node, s *scope) (value, error) {
	name := n.dotted()
	if attr, ok := strings.CutPrefix(name, "self."); ok && s.user != nil {
		attr = strings.TrimPrefix(attr, "user.")
		if v, ok := s.locals[name]; ok {
			return v, nil
		}
		if v, ok := s.user.attrs[attr]; ok {
			return v, nil
		}
	}
	if base, err := c.eval(n.at("value"), s); err == nil {
		switch attr := n.text("attr"); {
		case base.kind == response && attr == "text":
			return value{kind: bodyText, step: base.step}, nil
		case base.kind == text && attr == "hex" && base.text == "{{ uuid }}":
			return expr("randHex 32"), nil
		}
	}
	return value{}, fmt.Errorf("the value of %s is not known", c.source(n))
}

func (c *converter) dict(n node, s *scope) (value, error) {
	v := value{kind: dict}
	values := n.list("values")
	for i, k := range n.list("keys") {
		e, err := c.eval(values[i], s)
		if err != nil {
			return v, err
		}
		if k == nil { // **other
			if e.kind != dict {
				return v, fmt.Errorf("%s is not a dict whose fields are known", c.source(values[i]))
			}
			v.keys, v.list = append(v.keys, e.keys...), append(v.list, e.list...)
			continue
		}
		key, err := c.eval(k, s)
		if err != nil || key.kind != constant {
			return v, fmt.Errorf("the key %s is not a constant", c.source(k))
		}
		if at := slices.Index(v.keys, plain(key.raw)); at >= 0 {
			v.list[at] = e
			continue
		}
		v.keys, v.list = append(v.keys, plain(key.raw)), append(v.list, e)
	}
	return v, nil
}

// joined is text made of several pieces.
func (c *converter) joined(pieces []node, s *scope) (value, error) {
	var sb strings.Builder
	constants := true
	for _, p := range pieces {
		v, err := c.eval(p, s)
		if err != nil {
			return v, err
		}
		t, ok := v.template()
		if !ok {
			return v, fmt.Errorf("%s cannot stand inside a text", c.source(p))
		}
		constants = constants && v.kind == constant
		if _, isText := v.raw.(string); v.kind == constant && isText {
			t = v.raw.(string)
			if !constants || len(pieces) > 1 {
				t, _ = v.template()
			}
		}
		sb.WriteString(t)
	}
	if constants {
		return constantOf(strings.ReplaceAll(sb.String(), `{{ choice "{{" }}`, "{{")), nil
	}
	return value{kind: text, text: sb.String()}, nil
}

func (c *converter) subscript(n node, s *scope) (value, error) {
	if n.at("slice").is("Slice") {
		return c.slice(n, s)
	}
	base, err := c.eval(n.at("value"), s)
	if name := n.at("value").dotted(); name == "os.environ" || name == "environ" {
		key, keyErr := c.eval(n.at("slice"), s)
		if keyErr == nil && key.kind == constant {
			return expr("env " + strconv.Quote(plain(key.raw))), nil
		}
	}
	if err != nil {
		return base, err
	}
	key, err := c.eval(n.at("slice"), s)
	if err != nil || key.kind != constant {
		return base, fmt.Errorf("the index %s is not a constant", c.source(n.at("slice")))
	}
	return c.item(n, base, key)
}

func (c *converter) item(n node, base, key value) (value, error) {
	name := plain(key.raw)
	switch base.kind {
	case dict:
		if i := slices.Index(base.keys, name); i >= 0 {
			return base.list[i], nil
		}
	case list:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(base.list) {
			return base.list[i], nil
		}
	case row:
		return expr("." + base.text + "." + name), nil
	case answer:
		return value{kind: answer, step: base.step, path: append(slices.Clone(base.path), escapePath(name))}, nil
	}
	return value{}, fmt.Errorf("the value of %s is not known", c.source(n))
}

// escapePath writes a name for gjson's paths.
func escapePath(name string) string {
	var sb strings.Builder
	for _, r := range name {
		if strings.ContainsRune(`.*?|#@!{}[]()=<>%\`, r) {
			sb.WriteByte('\\')
		}
		sb.WriteRune(r)
	}
	return sb.String()
}

// slice understands uuid.uuid4().hex[:8].
func (c *converter) slice(n node, s *scope) (value, error) {
	base, err := c.eval(n.at("value"), s)
	cut := n.at("slice")
	if err == nil && cut.at("lower") == nil && cut.at("step") == nil && cut.at("upper") != nil {
		upper, err := c.eval(cut.at("upper"), s)
		digits, _ := strconv.Atoi(plain(upper.raw))
		switch {
		case err != nil || upper.kind != constant || digits < 1:
		case base.kind == text && base.text == "{{ randHex 32 }}" && digits <= 32,
			base.kind == text && base.text == "{{ uuid }}" && digits <= 8:
			return expr("randHex " + strconv.Itoa(digits)), nil
		case base.kind == list && digits <= len(base.list):
			return value{kind: list, list: base.list[:digits]}, nil
		}
	}
	return value{}, fmt.Errorf("the slice %s is not understood", c.source(n))
}
