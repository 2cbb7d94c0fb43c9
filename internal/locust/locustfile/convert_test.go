package locustfile

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Each locustfile under testdata becomes its scenario (.yaml), with its list of what was not
// translated (.txt).
func TestConvert(t *testing.T) {
	files, err := filepath.Glob("testdata/*.py")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		res, err := Convert(file)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		var list strings.Builder
		for _, p := range res.Problems {
			mark := map[bool]string{true: "note: "}[p.Note]
			list.WriteString(mark + p.String() + "\n")
		}
		base := strings.TrimSuffix(file, ".py")
		golden(t, base+".yaml", string(res.Scenario))
		golden(t, base+".txt", list.String())
	}
}

func golden(t *testing.T, file, have string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(have), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), have); diff != "" {
		t.Errorf("%s (-want +have):\n%s", file, diff)
	}
}

func convertText(t *testing.T, text string) (*Result, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "locustfile.py")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Convert(file)
}

func TestNoScenarioAtAll(t *testing.T) {
	for text, want := range map[string]string{
		"def f(:\n":    "locustfile.py:1:7: not valid Python",
		"x = 1\n":      "no HttpUser or FastHttpUser with a task that is understood",
		"a = '\x00'\n": "not valid Python",
		"class A(User):\n  pass\nclass B(HttpUser):\n  abstract = True\n  @task\n  def f(self):\n    self.client.get('/')\n": "users of other protocols than HTTP are not translated",
	} {
		if _, err := convertText(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := Convert("testdata/nosuch.py"); err == nil {
		t.Error("a file that is not there was converted")
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Convert("testdata/suite.py"); err == nil || !strings.Contains(err.Error(), "there is no python3 on the PATH") {
		t.Errorf("without Python: %v", err)
	}
}

// The body of a catch_response block becomes a check, or is reported.
func TestChecks(t *testing.T) {
	cases := []struct{ body, want string }{ // want: as JSON; "": no check; LOST
		{"if r.status_code != 200: r.failure('x')", `{"status":[200]}`},
		{"if r.status_code not in (200, 201): r.failure('x')", `{"status":[200,201]}`},
		{"if not r.ok: r.failure('x')", ""},
		{"if r.status_code >= 400: r.failure('x')", ""},
		{"if r.status_code == 200 or r.status_code == 404: r.success()", `{"status":[200,404]}`},
		{"if r.status_code == 404: r.success()", `{"status":[200,404]}`},
		{"if r.status_code == 200: r.success()\n      elif r.status_code == 429: pass\n      else: r.failure('x')", `{"status":[200,429]}`},
		{"if 'a' not in r.text: r.failure('x')", `{"contains":"a"}`},
		{"if 'a' in r.text:\n        r.success()\n      else:\n        r.failure('x')", `{"contains":"a"}`},
		{"if not r.json()['a']: r.failure('x')", `{"has":["a"]}`},
		{"if r.json().get('a') is None: r.failure('x')", `{"has":["a"]}`},
		{"d = r.json()\n      if 'a' not in d and 'b.c' not in d: r.failure('x')", `{"has":[["a","b\\.c"]]}`},
		{"if r.json()['a']['b'] != 3: r.failure('x')", `{"json":{"a.b":3}}`},
		{"if len(r.json()['a']) == 0: r.failure('x')", `{"has":["a.0"]}`},
		{"try:\n        r.json()\n      except ValueError:\n        r.failure('x')", `{"has":["@this"]}`},
		{"if r.elapsed.total_seconds() > 0.5: r.failure('x')", `{"time":"500ms"}`},
		{"if r.status_code != 200 or 'a' not in r.text: r.failure('x')", `{"contains":"a","status":[200]}`},
		{"if r.headers['x'] != 'y': r.failure('x')", "LOST"},
		{"if len(r.text) < 5: r.failure('x')", "LOST"},
		{"if r.status_code < 500: r.success()\n      else: r.failure('x')", "LOST"},
		{"r.failure('always')", "LOST"},
	}
	text, ends := "from locust import HttpUser, task\nclass U(HttpUser):\n", []int{}
	for i, k := range cases {
		text += fmt.Sprintf("  @task\n  def f%d(self):\n    with self.client.get('/%d', catch_response=True) as r:\n      %s\n", i, i, k.body)
		ends = append(ends, strings.Count(text, "\n"))
	}
	res, err := convertText(t, text)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Classes []struct {
			Tasks []struct{ Check map[string]any }
		} `yaml:"user_classes"`
	}
	if err := yaml.Unmarshal(res.Scenario, &doc); err != nil {
		t.Fatal(err)
	}
	for i, k := range cases {
		got := ""
		if check := doc.Classes[0].Tasks[i].Check; check != nil {
			b, err := json.Marshal(check)
			if err != nil {
				t.Fatal(err)
			}
			got = string(b)
		}
		for _, p := range res.Lost() {
			if p.Line <= ends[i] && (i == 0 || p.Line > ends[i-1]) {
				got = "LOST"
			}
		}
		if got != k.want {
			t.Errorf("%s\n got %s\nwant %s", k.body, got, k.want)
		}
	}
}
