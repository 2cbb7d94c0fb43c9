package locustfile

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// call says what the value of a function call is.
func (c *converter) call(n node, s *scope) (value, error) {
	name := n.called()
	args := n.list("args")
	arg := func(i int) (value, error) {
		if i >= len(args) {
			return value{}, fmt.Errorf("%s lacks an argument", c.source(n))
		}
		return c.eval(args[i], s)
	}
	switch name {
	case "random.choice", "choice":
		v, err := arg(0)
		if err != nil {
			return v, err
		}
		return c.choice(n, args[0], v)
	case "random.randint", "randint", "random.randrange", "randrange":
		return c.randInt(n, s)
	case "uuid.uuid4", "uuid4", "uuid.uuid1", "uuid1":
		return expr("uuid"), nil
	case "time.time", "time":
		return expr("now"), nil
	case "str", "int":
		v, err := arg(0)
		if _, ok := v.template(); err == nil && !ok {
			return v, fmt.Errorf("%s is not understood", c.source(n))
		}
		if name == "str" && v.kind == constant {
			return constantOf(plain(v.raw)), err
		}
		return v, err
	case "json.dumps":
		v, err := arg(0)
		return value{kind: jsonText, list: []value{v}}, err
	case "os.getenv", "os.environ.get", "environ.get":
		return c.environment(n, s)
	}
	if f, ok := c.functions[name]; ok {
		return c.inline(n, f)
	}
	return c.method(n, s)
}

// maxInlined bounds how deep functions call one another.
const maxInlined = 8

// inline is the value of a function of the module that takes nothing: constants with names, and
// then one expression.
func (c *converter) inline(n, f node) (value, error) {
	unknown := fmt.Errorf("the function %s is code that is not run", n.called())
	if len(n.list("args"))+len(n.list("keywords")) > 0 || c.inlined == maxInlined {
		return value{}, unknown
	}
	c.inlined++
	defer func() { c.inlined-- }()
	s := &scope{}
	for _, b := range f.list("body") {
		switch {
		case b.is("Expr") && b.at("value").is("Constant"):
		case b.is("Assign"), b.is("AnnAssign"):
			name, e := assigned(b)
			v, ok := c.quiet(e, s)
			if y, plain := v.yaml(); !ok || !plain || strings.Contains(name, ".") || drawn(fmt.Sprint(y)) {
				return value{}, unknown
			}
			s.bind(name, v)
		case b.is("Return") && b.at("value") != nil:
			if v, err := c.eval(b.at("value"), s); err == nil {
				return v, nil
			}
			return value{}, unknown
		default:
			return value{}, unknown
		}
	}
	return value{}, unknown
}

// method understands methods of values: response.json(), data.get("x"), text.format() not.
func (c *converter) method(n node, s *scope) (value, error) {
	f := n.at("func")
	unknown := fmt.Errorf("the value of %s is not known", c.source(n))
	if !f.is("Attribute") {
		return value{}, unknown
	}
	base, err := c.eval(f.at("value"), s)
	if err != nil {
		return base, err
	}
	switch attr := f.text("attr"); {
	case attr == "json" && base.kind == response:
		return value{kind: answer, step: base.step}, nil
	case attr == "get" && len(n.list("args")) > 0 && base.kind != response:
		key, err := c.eval(n.list("args")[0], s)
		if err != nil || key.kind != constant {
			return base, unknown
		}
		return c.item(n, base, key)
	case attr == "strip" && base.kind == text:
		return base, nil
	}
	return value{}, unknown
}

// choice is a random element: of a data set of the scenario, which a list becomes.
func (c *converter) choice(n, from node, v value) (value, error) {
	if v.kind != list || len(v.list) == 0 {
		return v, fmt.Errorf("the list in %s is not known", c.source(n))
	}
	rows := v.list[0].kind == dict
	for _, item := range v.list {
		if _, ok := item.yaml(); !ok || (item.kind == dict) != rows || item.kind == list || item.kind == text {
			return v, fmt.Errorf("the list in %s holds more than constants", c.source(n))
		}
		if rows && slices.ContainsFunc(item.list, func(f value) bool { return f.kind != constant }) {
			return v, fmt.Errorf("the dicts in %s hold more than constants", c.source(n))
		}
	}
	name := from.dotted()
	name = name[strings.LastIndexByte(name, '.')+1:]
	if name == "" && !rows { // written where it is used
		var words []string
		for _, item := range v.list {
			word := plain(item.raw)
			if _, isText := item.raw.(string); isText {
				word = strconv.Quote(word)
			}
			words = append(words, word)
		}
		return expr("choice " + strings.Join(words, " ")), nil
	}
	if name == "" {
		name = "rows"
	}
	name = c.dataSet(strings.ToLower(name), v.list)
	if rows {
		return value{kind: row, text: name}, nil
	}
	return expr("pick ." + name), nil
}

// dataSet makes a list a data set, under its name or one like it.
func (c *converter) dataSet(name string, items []value) string {
	for i := 1; ; i++ {
		try := name
		if i > 1 {
			try += strconv.Itoa(i)
		}
		if c.variables[try] {
			continue
		}
		known, ok := c.data[try]
		if !ok {
			c.data[try] = items
			c.dataNames = append(c.dataNames, try)
			return try
		}
		if same(known, items) {
			return try
		}
	}
}

func same(a, b []value) bool {
	x, _ := value{kind: list, list: a}.yaml()
	y, _ := value{kind: list, list: b}.yaml()
	return fmt.Sprint(x) == fmt.Sprint(y)
}

func (c *converter) randInt(n node, s *scope) (value, error) {
	bounds := []int64{}
	for _, a := range n.list("args") {
		v, err := c.eval(a, s)
		k, ok := v.raw.(json.Number)
		if err != nil || !ok {
			return v, fmt.Errorf("the bounds of %s are not constants", c.source(n))
		}
		i, err := k.Int64()
		if err != nil {
			return v, fmt.Errorf("the bounds of %s are not whole numbers", c.source(n))
		}
		bounds = append(bounds, i)
	}
	if strings.HasSuffix(n.called(), "randrange") {
		if len(bounds) == 1 {
			bounds = []int64{0, bounds[0]}
		}
		if len(bounds) == 2 {
			bounds[1]--
		}
	}
	if len(bounds) != 2 {
		return value{}, fmt.Errorf("%s is not understood", c.source(n))
	}
	return expr(fmt.Sprintf("randInt %d %d", bounds[0], bounds[1])), nil
}

func (c *converter) environment(n node, s *scope) (value, error) {
	var words []string
	for _, a := range n.list("args") {
		v, err := c.eval(a, s)
		if err != nil || v.kind != constant {
			return v, fmt.Errorf("%s is not understood", c.source(n))
		}
		words = append(words, strconv.Quote(plain(v.raw)))
	}
	return expr("env " + strings.Join(words, " ")), nil
}
