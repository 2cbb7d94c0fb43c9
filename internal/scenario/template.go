package scenario

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"text/template/parse"
)

// Template is text with expressions in the syntax of Go's text/template: {{ pick .queries }}.
// Compiled once into a list of pieces, rendered for every request without garbage. Read-only,
// safe for concurrent use.
//
//	{{ .token }}               a variable of the user: of set: or save:
//	{{ .accounts.name }}       a field of the data set's row that the user has now, see data.order
//	{{ pick .queries }}        a row of the data set, all equally likely
//	{{ pick .queries.text }}   a field of such a row
//	{{ zipf .queries 1.1 }}    row n with a chance ∝ 1/nˢ (s: 1.1 when left out)
//	{{ choice "a" "b" 3 }}     one of these
//	{{ randInt 1 100 }}        a whole number, both ends included
//	{{ randHex 8 }}            so many random hexadecimal digits
//	{{ uuid }}                 a random UUID
//	{{ seq }}                  1, 2, 3, … over all users of the run
//	{{ user }}                 the number of the virtual user, from 1
//	{{ now }}                  seconds since 1970
//	{{ env "API_TOKEN" "x" }}  an environment variable, read once; x, if given, when it is not set
//
// In json:, a value that is nothing but one expression keeps the type of its result; inside
// longer text it is escaped as JSON demands. In path: it is percent-escaped. Actions such as if
// and range, pipes and variables of text/template are not understood.
type Template struct{ parts []part }

type part struct {
	text string
	expr expression // nil: text
	as   escaping
}

// expression appends its value to dst.
type expression func(dst []byte, e *Env, as escaping) []byte

func literal(s string) *Template { return &Template{[]part{{text: s}}} }

// Append renders the template to the end of dst.
func (t *Template) Append(dst []byte, e *Env) []byte {
	for i := range t.parts {
		if p := &t.parts[i]; p.expr == nil {
			dst = append(dst, p.text...)
		} else {
			dst = p.expr(dst, e, p.as)
		}
	}
	return dst
}

// Constant returns the text of a template without expressions.
func (t *Template) Constant() (string, bool) {
	var sb strings.Builder
	for _, p := range t.parts {
		if p.expr != nil {
			return "", false
		}
		sb.WriteString(p.text)
	}
	return sb.String(), true
}

// single is the expression of a template that is nothing else.
func (t *Template) single() expression {
	if len(t.parts) == 1 {
		return t.parts[0].expr
	}
	return nil
}

// template compiles text; complaints are placed at n.
func (r *reader) template(n *node, text string, as escaping) *Template {
	t := &Template{}
	tree := parse.New("")
	tree.Mode = parse.SkipFuncCheck
	if _, err := tree.Parse(text, "", "", map[string]*parse.Tree{}); err != nil {
		r.fail(n, "%q: %s", text, templateError(err))
		return t
	}
	if tree.Root == nil {
		return t
	}
	for _, piece := range tree.Root.Nodes {
		switch piece := piece.(type) {
		case *parse.TextNode:
			t.parts = append(t.parts, part{text: string(piece.Text)})
			if as == asPath && strings.Contains(string(piece.Text), "?") {
				as = asQuery
			}
		case *parse.ActionNode:
			expr, err := r.expression(piece.Pipe)
			if err != nil {
				r.fail(n, "{{ %s }}: %v", piece.Pipe, err)
				return t
			}
			t.parts = append(t.parts, part{expr: expr, as: as})
		default:
			r.fail(n, "%s: only expressions such as {{ pick .queries }} are understood in {{ }}", piece)
			return t
		}
	}
	return t
}

// place is where text/template says that an error is: the templates here have no name.
var place = regexp.MustCompile(`(template: )?:[0-9]+(:[0-9]+)?:? ?`)

func templateError(err error) string {
	text := place.ReplaceAllString(err.Error(), "")
	if strings.HasPrefix(text, "unclosed action") {
		return "{{ without }}; close it"
	}
	return text + "; write for example {{ pick .queries }}"
}

// pattern is a path without its query, templated segments as {}.
func pattern(path string) string {
	var sb strings.Builder
	for {
		before, after, found := strings.Cut(path, "{{")
		if i := strings.IndexByte(before, '?'); i >= 0 {
			sb.WriteString(before[:i])
			break
		}
		sb.WriteString(before)
		if !found {
			break
		}
		sb.WriteString("\x00")
		_, path, _ = strings.Cut(after, "}}")
	}
	segments := strings.Split(sb.String(), "/")
	for i, s := range segments {
		if strings.Contains(s, "\x00") {
			segments[i] = "{}"
		}
	}
	return strings.Join(segments, "/")
}

// jsonTemplate compiles a tree of values into the bytes of one JSON document.
func (r *reader) jsonTemplate(n *node) *Template {
	t := &Template{}
	r.appendJSON(t, n)
	t.parts = mergeText(t.parts)
	return t
}

func (r *reader) appendJSON(t *Template, n *node) {
	text := func(s string) { t.parts = append(t.parts, part{text: s}) }
	switch n.kind {
	case mappingKind:
		text("{")
		for i, f := range n.fields {
			if i > 0 {
				text(",")
			}
			text(quoteJSON(f.name) + ":")
			r.appendJSON(t, f.value)
		}
		text("}")
	case sequenceKind:
		text("[")
		for i, item := range n.items {
			if i > 0 {
				text(",")
			}
			r.appendJSON(t, item)
		}
		text("]")
	case scalarKind:
		s, ok := n.scalar.(string)
		if !ok || !strings.Contains(s, "{{") {
			b, err := json.Marshal(n.scalar)
			if err != nil {
				r.fail(n, "%v cannot be written as JSON", n.scalar)
			}
			text(string(b))
			return
		}
		r.appendJSONString(t, n, s)
	}
}

func (r *reader) appendJSONString(t *Template, n *node, s string) {
	inner := r.template(n, s, asJSONInner)
	if expr := inner.single(); expr != nil {
		t.parts = append(t.parts, part{expr: expr, as: asJSON})
		return
	}
	t.parts = append(t.parts, part{text: `"`})
	for _, p := range inner.parts {
		if p.expr == nil {
			quoted := quoteJSON(p.text)
			p.text = quoted[1 : len(quoted)-1]
		}
		t.parts = append(t.parts, p)
	}
	t.parts = append(t.parts, part{text: `"`})
}

func mergeText(parts []part) []part {
	var out []part
	for _, p := range parts {
		if n := len(out); n > 0 && p.expr == nil && out[n-1].expr == nil {
			out[n-1].text += p.text
			continue
		}
		out = append(out, p)
	}
	return out
}

// expression compiles what stands in {{ }}.
func (r *reader) expression(pipe *parse.PipeNode) (expression, error) {
	if len(pipe.Cmds) != 1 || len(pipe.Decl) > 0 {
		return nil, fmt.Errorf("pipes and variables of text/template are not understood; call one function")
	}
	args := pipe.Cmds[0].Args
	switch head := args[0].(type) {
	case *parse.FieldNode:
		if len(args) > 1 {
			return nil, fmt.Errorf("%s takes nothing after it", head)
		}
		return r.field(head)
	case *parse.IdentifierNode:
		return r.call(head.Ident, args[1:])
	}
	return nil, fmt.Errorf("%s is neither a function nor a name with a dot before it", args[0])
}
