package scenario

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
)

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile("scenario.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// valid says what the schema has against a scenario.
func valid(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := yaml.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(plain) // numbers as JSON has them
	if err == nil {
		err = json.Unmarshal(b, &plain)
	}
	if err != nil {
		t.Fatal(err)
	}
	return resolved.Validate(plain)
}

// The schema file and the reader know the same fields.
func TestSchemaListsTheReadersFields(t *testing.T) {
	s := schema(t)
	save := s.Defs["save"].AdditionalProperties
	for what, pair := range map[string]struct {
		s      *jsonschema.Schema
		fields []string
	}{
		"scenario": {s, scenarioFields}, "client": {s.Defs["client"], clientFields}, "data": {s.Defs["data"].OneOf[2], dataFields},
		"auth": {s.Defs["auth"], authFields}, "basic": {s.Defs["auth"].Properties["basic"], basicFields},
		"class": {s.Defs["class"], classFields}, "stage": {s.Defs["stage"], stageFields}, "task": {s.Defs["task"], taskFields}, "step": {s.Defs["steps"].Items, stepFields},
		"request": {s.Defs["request"], requestFields}, "check": {s.Defs["check"], checkFields}, "save": {save, saveFields},
	} {
		have := slices.Sorted(maps.Keys(pair.s.Properties))
		want := slices.Sorted(slices.Values(pair.fields))
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s (-reader +schema):\n%s", what, diff)
		}
	}
}

// The examples of the documentation load, and the schema accepts what the reader does.
func TestExamples(t *testing.T) {
	t.Setenv("AUDITOR_PASSWORD", "pa:ss")
	files, err := filepath.Glob("examples/*.[yj][as][mo][ln]")
	if err != nil || len(files) < 2 {
		t.Fatalf("examples: %v, %v", files, err)
	}
	for _, file := range append(files, "builtin/suite.yaml") {
		if _, err := Load(file, Options{}); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(t, schema(t), text); err != nil {
			t.Errorf("the schema does not accept %s: %v", file, err)
		}
	}
}

// What has the wrong shape is refused by both.
func TestSchemaRefusesWhatTheReaderRefuses(t *testing.T) {
	s := schema(t)
	task := "tasks: [{request: {path: /}}]\n"
	for _, text := range []string{
		"name: x\n", "user: 1\n" + task, "users: 1\nrate: 2\n" + task, "users: 0\n" + task, "arrival: never\n" + task,
		task + "user_classes: [{name: a, tasks: [{request: {path: /}}]}]\n", "on_start: [{request: {path: /}}]\nuser_classes: [{name: a, tasks: [{request: {path: /}}]}]\n",
		"user_classes: [{tasks: [{request: {path: /}}]}]\n", "user_classes: []\n", "tasks: []\n", "tasks: [{name: x}]\n",
		"tasks: [{weight: 0, request: {path: /}}]\n", "tasks: [{request: {path: x}}]\n", "tasks: [{request: {path: /, json: 1, form: {a: 1}}}]\n",
		"tasks: [{request: {path: /}, steps: [{request: {path: /}}]}]\n", "tasks: [{check: {status: 200}, steps: [{request: {path: /}}]}]\n",
		"tasks: [{request: {path: /}, save: {a: {}}}]\n", "tasks: [{request: {path: /}, save: {a-b: {json: x}}}]\n",
		"tasks: [{request: {path: /}, save: {a: {json: x, header: y}}}]\n", "tasks: [{request: {path: /}, check: {has: []}}]\n",
		"auth: {}\n" + task, "auth: {basic: {user: x}}\n" + task, "auth: {bearer: x, basic: {user: x, password: y}}\n" + task,
		"data: {q: {order: random}}\n" + task, "data: {q: {file: lines.txt, order: best}}\n" + task, "client: {http3: true}\n" + task,
	} {
		if _, err := Parse("s.yaml", []byte(text), files, Options{}); err == nil {
			t.Errorf("the reader accepts %s", text)
		}
		if err := valid(t, s, []byte(text)); err == nil {
			t.Errorf("the schema accepts %s", text)
		}
	}
}
