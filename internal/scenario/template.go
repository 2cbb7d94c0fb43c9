package scenario

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/google/uuid"
)

// Template is text with expressions: {{ pick .queries }}. Compiled once, rendered for every
// request. Read-only, safe for concurrent use.
//
//	{{ pick .queries }}        a row of the data set, all equally likely
//	{{ pick .queries.text }}   a field of such a row
//	{{ zipf .queries 1.1 }}    row n with a chance ∝ 1/nˢ (s: 1.1 when left out)
//	{{ randInt 1 100 }}        a whole number, both ends included
//	{{ uuid }}                 a random UUID
//	{{ seq }}                  1, 2, 3, … over all users of the run
//	{{ user }}                 the number of the virtual user, from 1
//
// In json:, a value that is nothing but one expression keeps the type of its result; inside
// longer text it is escaped as JSON demands. In path: it is percent-escaped.
type Template struct{ parts []part }

type part struct {
	text string
	expr expression // nil: text
	as   escaping
}

type escaping uint8

const (
	asText      escaping = iota // as it is
	asPath                      // a path segment
	asQuery                     // after the ? of a path
	asJSON                      // a whole JSON value
	asJSONInner                 // between the quotes of a JSON string
)

// value is the result of an expression: its text, and its JSON form.
type value struct{ text, json string }

type expression func(*Env) value

func literal(s string) *Template { return &Template{[]part{{text: s}}} }

// Append renders the template to the end of dst.
func (t *Template) Append(dst []byte, e *Env) []byte {
	for _, p := range t.parts {
		if p.expr == nil {
			dst = append(dst, p.text...)
			continue
		}
		v := p.expr(e)
		switch p.as {
		case asText:
			dst = append(dst, v.text...)
		case asPath:
			dst = append(dst, url.PathEscape(v.text)...)
		case asQuery:
			dst = append(dst, url.QueryEscape(v.text)...)
		case asJSON:
			dst = append(dst, v.json...)
		case asJSONInner:
			quoted := quoteJSON(v.text)
			dst = append(dst, quoted[1:len(quoted)-1]...)
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

func quoteJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // json.Marshal of a string does not fail
		return `""`
	}
	return string(b)
}

// template compiles text; complaints are placed at n.
func (r *reader) template(n *node, text string, as escaping) *Template {
	t := &Template{}
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "{{")
		if before != "" {
			t.parts = append(t.parts, part{text: before})
			if as == asPath && strings.Contains(before, "?") {
				as = asQuery
			}
		}
		if !found {
			break
		}
		code, tail, closed := strings.Cut(after, "}}")
		if !closed {
			r.fail(n, "{{ without }} in %q; close it", text)
			break
		}
		expr, err := r.expression(code)
		if err != nil {
			r.fail(n, "{{%s}}: %v", code, err)
			break
		}
		t.parts = append(t.parts, part{expr: expr, as: as})
		rest = tail
	}
	return t
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
	if len(inner.parts) == 1 && inner.parts[0].expr != nil {
		t.parts = append(t.parts, part{expr: inner.parts[0].expr, as: asJSON})
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

// functions that expressions may call, for the complaint about an unknown one.
var functions = []string{"pick", "zipf", "randInt", "uuid", "seq", "user"}

func (r *reader) expression(code string) (expression, error) {
	words := strings.FieldsFunc(code, unicode.IsSpace)
	if len(words) == 0 {
		return nil, fmt.Errorf("nothing in it; write for example {{ pick .queries }}")
	}
	name, args := words[0], words[1:]
	switch name {
	case "pick":
		if len(args) != 1 {
			return nil, fmt.Errorf("pick wants one data set: {{ pick .queries }}")
		}
		rows, err := r.rows(args[0])
		return func(e *Env) value { return rows[e.Rand.IntN(len(rows))] }, err
	case "zipf":
		return r.zipf(args)
	case "randInt":
		return randInt(args)
	case "uuid", "seq", "user":
		if len(args) != 0 {
			return nil, fmt.Errorf("%s takes nothing after it", name)
		}
		return map[string]expression{"uuid": newUUID, "seq": seq, "user": user}[name], nil
	}
	return nil, fmt.Errorf("unknown function %q%s", name, suggest(name, functions))
}

func newUUID(e *Env) value {
	var u uuid.UUID
	for i := range u {
		u[i] = byte(e.Rand.Uint32())
	}
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80 // version 4, RFC 9562
	s := u.String()
	return value{s, `"` + s + `"`}
}

func seq(e *Env) value { return number(e.Seq.Add(1)) }

func user(e *Env) value { return number(int64(e.User)) }

func number(n int64) value {
	s := strconv.FormatInt(n, 10)
	return value{s, s}
}

func randInt(args []string) (expression, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("randInt wants two whole numbers: {{ randInt 1 100 }}")
	}
	low, err1 := strconv.ParseInt(args[0], 10, 64)
	high, err2 := strconv.ParseInt(args[1], 10, 64)
	if err1 != nil || err2 != nil || high < low || high-low < 0 || high-low+1 < 1 {
		return nil, fmt.Errorf("randInt %s %s: the first number must not be above the second", args[0], args[1])
	}
	return func(e *Env) value { return number(low + e.Rand.Int64N(high-low+1)) }, nil
}

// defaultZipf is the exponent of query popularity when none is given; web and search query
// logs lie between 0.6 and 1.2.
const defaultZipf = 1.1

func (r *reader) zipf(args []string) (expression, error) {
	if len(args) < 1 || len(args) > 2 {
		return nil, fmt.Errorf("zipf wants a data set and maybe an exponent: {{ zipf .queries 1.1 }}")
	}
	s := defaultZipf
	if len(args) == 2 {
		var err error
		if s, err = strconv.ParseFloat(args[1], 64); err != nil || !(s > 0) || s > 10 {
			return nil, fmt.Errorf("zipf exponent %q must be a number above 0, up to 10", args[1])
		}
	}
	rows, err := r.rows(args[0])
	if err != nil {
		return nil, err
	}
	upTo := zipfTable(len(rows), s)
	return func(e *Env) value {
		i, _ := slices.BinarySearch(upTo, e.Rand.Float64())
		return rows[min(i, len(rows)-1)]
	}, nil
}
