package recording

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

const schemaFile = "recording.schema.json"

// TestSchemaIsCurrent holds the published JSON Schema to the Go types and their comments.
func TestSchemaIsCurrent(t *testing.T) {
	b := schemaBuilder{docs: comments(t), defs: map[string]any{}}
	root := b.object(reflect.TypeOf(Recording{}))
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = Schema
	root["$defs"] = b.defs
	root["properties"].(map[string]any)["schema"] = map[string]any{"const": Schema}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, out.Bytes()) {
		t.Errorf("%s is not what the Go types say; run go test ./internal/recording -update", schemaFile)
	}
}

// schemaBuilder turns the types of this package into JSON Schema.
type schemaBuilder struct {
	docs map[string]string // "Type" and "Type.Field" → comment
	defs map[string]any
}

var (
	timeType = reflect.TypeOf(time.Time{})
	shapes   = map[reflect.Type]reflect.Type{ // types that write themselves in another shape
		reflect.TypeOf(Dist{}):     reflect.TypeOf(distJSON{}),
		reflect.TypeOf(Stage{}):    reflect.TypeOf(stageJSON{}),
		reflect.TypeOf(PoolWait{}): reflect.TypeOf(waitJSON{}),
	}
)

func (b *schemaBuilder) of(t reflect.Type) map[string]any {
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

func (b *schemaBuilder) object(t reflect.Type) map[string]any {
	props, required := map[string]any{}, []string{}
	shape := t
	if s, ok := shapes[t]; ok {
		shape = s
	}
	for _, f := range reflect.VisibleFields(shape) {
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" {
			continue
		}
		p := b.of(f.Type)
		if d := b.docs[t.Name()+"."+f.Name]; d != "" {
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

// comments reads the comments of this package's types and fields.
func comments(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	for _, name := range []string{"recording.go", "dist.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			decl, ok := n.(*ast.GenDecl)
			if !ok || decl.Tok != token.TYPE {
				return true
			}
			spec := decl.Specs[0].(*ast.TypeSpec)
			if s, ok := spec.Type.(*ast.StructType); ok {
				docs[spec.Name.Name] = oneLine(decl.Doc)
				for _, f := range s.Fields.List {
					for _, id := range f.Names {
						docs[spec.Name.Name+"."+id.Name] = oneLine(f.Comment)
					}
				}
			}
			return true
		})
	}
	return docs
}

func oneLine(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }
