package recording

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"testing"

	"github.com/ragscope/ragscope/internal/recording/schema"
)

var update = flag.Bool("update", false, "write the golden files anew")

const schemaFile = "recording.schema.json"

// TestSchemaIsCurrent holds the published JSON Schema to the Go types and their comments.
func TestSchemaIsCurrent(t *testing.T) {
	want, err := schema.Write(schema.Source{
		ID: Schema, Root: reflect.TypeFor[Recording](), Files: []string{"recording.go", "memory.go", "dist.go"},
		Shapes: map[reflect.Type]reflect.Type{ // types that write themselves in another shape
			reflect.TypeFor[Dist]():     reflect.TypeFor[distJSON](),
			reflect.TypeFor[Stage]():    reflect.TypeFor[stageJSON](),
			reflect.TypeFor[PoolWait](): reflect.TypeFor[waitJSON](),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s is not what the Go types say; run go test ./internal/recording -update", schemaFile)
	}
}
