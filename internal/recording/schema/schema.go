// Package schema writes JSON Schema from Go types and their comments.
//
// In: a type that encoding/json writes, and the Go files that define it. Out: its schema, each
// description the comment of the type or the field. The published *.schema.json files are
// golden files of it; only tests use it.
package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"time"
)

// Source is what a schema is made from.
type Source struct {
	ID     string                        // value of the field "schema"
	Root   reflect.Type                  // a struct
	Shapes map[reflect.Type]reflect.Type // types that write themselves in the shape of another
	Files  []string                      // Go files with the types
}

// Write returns the schema, indented.
func Write(s Source) ([]byte, error) {
	b := builder{shapes: s.Shapes, docs: map[string]string{}, defs: map[string]any{}}
	for _, file := range s.Files {
		if err := b.read(file); err != nil {
			return nil, fmt.Errorf("read the comments of %s: %w", file, err)
		}
	}
	root := b.object(s.Root)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = s.ID
	root["$defs"] = b.defs
	root["properties"].(map[string]any)["schema"] = map[string]any{"const": s.ID}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(root)
	return out.Bytes(), err
}

type builder struct {
	shapes map[reflect.Type]reflect.Type
	docs   map[string]string // "Type" and "Type.Field" → comment
	defs   map[string]any
}

var timeType = reflect.TypeFor[time.Time]()

func (b *builder) of(t reflect.Type) map[string]any {
	switch {
	case t == timeType:
		return map[string]any{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return b.of(t.Elem())
	case t.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": b.of(t.Elem())}
	case t.Kind() == reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": b.of(t.Elem())}
	case t.Kind() == reflect.Struct:
		if _, done := b.defs[t.Name()]; !done {
			b.defs[t.Name()] = true // stops a recursion
			b.defs[t.Name()] = b.object(t)
		}
		return map[string]any{"$ref": "#/$defs/" + t.Name()}
	case t.Kind() == reflect.String:
		return map[string]any{"type": "string"}
	case t.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case t.Kind() == reflect.Interface:
		return map[string]any{}
	case t.Kind() == reflect.Float64:
		return map[string]any{"type": "number"}
	default:
		return map[string]any{"type": "integer"}
	}
}

func (b *builder) object(t reflect.Type) map[string]any {
	props, required := map[string]any{}, []string{}
	shape := t
	if s, ok := b.shapes[t]; ok {
		shape = s
	}
	for _, f := range reflect.VisibleFields(shape) {
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" {
			continue
		}
		p := b.of(f.Type)
		owner := t
		if len(f.Index) > 1 { // promoted from an embedded type
			if e := shape.FieldByIndex(f.Index[:len(f.Index)-1]).Type; shape == t {
				owner = e
			}
		}
		if d := b.docs[owner.Name()+"."+f.Name]; d != "" {
			p["description"] = d
		}
		props[name] = p
		if opts != "omitempty" {
			required = append(required, name)
		}
	}
	out := map[string]any{"type": "object", "properties": props, "required": required}
	if d := b.docs[t.Name()]; d != "" {
		out["description"] = d
	}
	return out
}

// read takes the comments of a file's types and fields.
func (b *builder) read(name string) error {
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		decl, ok := n.(*ast.GenDecl)
		if !ok || decl.Tok != token.TYPE {
			return true
		}
		spec := decl.Specs[0].(*ast.TypeSpec)
		if s, ok := spec.Type.(*ast.StructType); ok {
			b.docs[spec.Name.Name] = oneLine(decl.Doc)
			for _, f := range s.Fields.List {
				for _, id := range f.Names {
					b.docs[spec.Name.Name+"."+id.Name] = oneLine(f.Comment)
				}
			}
		}
		return true
	})
	return nil
}

func oneLine(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }
