package scenario

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// node is a YAML value with its place in the file. The reader walks nodes instead of
// decoding into structs, because every complaint must name its line.
type node struct {
	line, col int
	kind      kind
	scalar    any // string, bool, int64, uint64, float64 or nil
	fields    []field
	items     []*node
}

type kind uint8

const (
	scalarKind kind = iota
	mappingKind
	sequenceKind
)

func (k kind) String() string { return [...]string{"a single value", "a mapping", "a list"}[k] }

type field struct {
	name  string
	at    *node // the key
	value *node
}

// oneOrMore are the items of a list; a single value is a list of one.
func (n *node) oneOrMore() []*node {
	if n.kind == scalarKind {
		return []*node{n}
	}
	return n.items
}

// Error is a complaint about a place in a file.
type Error struct {
	File         string
	Line, Column int
	Text         string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Text)
}

// parseNodes turns YAML or JSON into nodes.
func parseNodes(file string, text []byte) (*node, error) {
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		var ye yaml.Error
		if errors.As(err, &ye) && ye.GetToken() != nil {
			p := ye.GetToken().Position
			return nil, &Error{file, p.Line, p.Column, "not valid YAML: " + ye.GetMessage()}
		}
		return nil, fmt.Errorf("%s: not valid YAML: %w", file, err)
	}
	if len(f.Docs) == 0 || f.Docs[0].Body == nil {
		return nil, &Error{file, 1, 1, "the file is empty; a scenario needs at least tasks"}
	}
	if len(f.Docs) > 1 {
		return nil, &Error{file, f.Docs[1].GetToken().Position.Line, 1, "more than one YAML document; put each scenario into its own file"}
	}
	c := converter{file: file, anchors: map[string]*node{}}
	n := c.node(f.Docs[0].Body, 0)
	return n, c.err
}

// maxDepth bounds the nesting of a scenario file, far above any honest one.
const maxDepth = 100

type converter struct {
	file    string
	anchors map[string]*node
	err     error
}

func (c *converter) fail(t *token.Token, format string, args ...any) *node {
	if c.err == nil {
		c.err = &Error{c.file, t.Position.Line, t.Position.Column, fmt.Sprintf(format, args...)}
	}
	return &node{line: t.Position.Line, col: t.Position.Column}
}

func (c *converter) node(a ast.Node, depth int) *node {
	if depth > maxDepth {
		return c.fail(a.GetToken(), "nested more than %d levels deep", maxDepth)
	}
	t := a.GetToken()
	n := &node{line: t.Position.Line, col: t.Position.Column}
	switch a := a.(type) {
	case *ast.MappingNode:
		n.kind = mappingKind
		for _, v := range a.Values {
			n.fields = append(n.fields, c.field(v, depth))
		}
		if len(n.fields) > 0 && !a.IsFlowStyle { // the token of a block mapping is its first colon
			n.line, n.col = n.fields[0].at.line, n.fields[0].at.col
		}
	case *ast.MappingValueNode:
		n.kind = mappingKind
		n.fields = []field{c.field(a, depth)}
		n.line, n.col = n.fields[0].at.line, n.fields[0].at.col
	case *ast.SequenceNode:
		n.kind = sequenceKind
		for _, v := range a.Values {
			n.items = append(n.items, c.node(v, depth+1))
		}
	case *ast.AnchorNode:
		n = c.node(a.Value, depth+1)
		c.anchors[a.Name.String()] = n
	case *ast.AliasNode:
		known, ok := c.anchors[a.Value.String()]
		if !ok {
			return c.fail(t, "alias *%s has no anchor &%s above it", a.Value, a.Value)
		}
		return known
	case *ast.LiteralNode:
		n.scalar = a.Value.Value
	case *ast.NullNode:
		n.scalar = nil
	case ast.ScalarNode:
		n.scalar = a.GetValue()
	default:
		return c.fail(t, "%s is not understood here", strings.ToLower(a.Type().String()))
	}
	return n
}

func (c *converter) field(v *ast.MappingValueNode, depth int) field {
	t := v.Key.GetToken()
	at := &node{line: t.Position.Line, col: t.Position.Column}
	if _, merge := v.Key.(*ast.MergeKeyNode); merge {
		c.fail(t, "merge keys (<<) are not understood; write the fields out")
	}
	name := t.Value
	return field{name: name, at: at, value: c.node(v.Value, depth+1)}
}
