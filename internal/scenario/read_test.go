package scenario

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var files = fstest.MapFS{
	"queries.jsonl": {Data: []byte("\"What is \\\"RAG\\\"?\"\n\n\"Wie geht's?\"\n")},
	"objects.jsonl": {Data: []byte("{\"text\":\"a\",\"k\":3}\n{\"text\":\"b\",\"k\":4,\"x\":1}\n")},
	"people.csv":    {Data: []byte("name,age\nAda,36\nBob,41\n")},
	"lines.txt":     {Data: []byte("one\n two \n\n")},
	"empty.txt":     {Data: []byte("\n")},
	"broken.jsonl":  {Data: []byte("\"ok\"\n{\"a\":\n")},
}

func read(t *testing.T, text string) *Scenario {
	t.Helper()
	s, err := Parse("s.yaml", []byte(text), files, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReadEveryField(t *testing.T) {
	s := read(t, `
name: all
host: http://127.0.0.1:8000
users: 50
spawn_rate: 10/s
run_time: 1h20m
timeout: 30
think_time: 1s..3s
data: {queries: queries.jsonl}
headers: {X-Team: a}
tasks:
  - name: search
    weight: 0.5
    tags: [a, b]
    request: {method: post, path: "/s/{{ randInt 7 7 }}?q={{ pick .queries }}", json: {q: "{{ pick .queries }}", n: 5, deep: [true, null, 1.5]}, stream: sse}
    check: {status: [200, 429], contains: ok, done: true}
  - request: {path: /health}
thresholds:
  - 'POST search: p95 < 1s'
  - 'error_rate < 1%'
`)
	if s.Users != 50 || s.SpawnRate != 10 || s.RunTime != 80*time.Minute || s.Timeout != 30*time.Second || s.Classes[0].Think != (Think{Min: time.Second, Max: 3 * time.Second}) {
		t.Errorf("scenario = %+v", s)
	}
	search, health := s.Tasks[0], s.Tasks[1]
	if search.Endpoint() != "POST /s/{}" || search.Weight != .5 || !search.Check.Done || !slices.Equal(search.Check.Status, []int{200, 429}) {
		t.Errorf("search = %+v", search)
	}
	if health.Name != "/health" || health.Method != "GET" || health.Weight != 1 || health.Body != nil {
		t.Errorf("health = %+v", health)
	}
	if len(s.Thresholds) != 2 {
		t.Errorf("thresholds = %v", s.Thresholds)
	}
}

func TestJSONFileReadsAlike(t *testing.T) {
	s := read(t, "{\n\t\"name\": \"j\", \"users\": 2,\n\t\"tasks\": [{\"request\": {\"path\": \"/a\", \"json\": {\"x\": \"y\\n{{ seq }}\"}}}]\n}\n")
	if got := render(s.Tasks[0].Body); got != `{"x":"y\n1"}` {
		t.Errorf("body = %s", got)
	}
}

// Every complaint names the line and says what to do.
func TestComplaints(t *testing.T) {
	task := "\ntasks: [{request: {path: /}}]\n"
	tests := map[string]struct{ text, want string }{
		"empty":               {"", "s.yaml:1:1: the file is empty; a scenario needs at least tasks"},
		"not yaml":            {"a: [1\n", "s.yaml:1:"},
		"unknown field":       {"user: 5" + task, `s.yaml:1:1: unknown field "user" in the scenario; did you mean "users"?`},
		"unknown task field":  {"tasks:\n  - wieght: 1\n    request: {path: /}\n", `s.yaml:2:5: unknown field "wieght" in a task; did you mean "weight"?`},
		"twice":               {"users: 5\nusers: 6" + task, "s.yaml:2:1:"},
		"bad duration":        {"name: x\nrun_time: 5 minutes" + task, `s.yaml:2:11: run_time: "5 minutes" is not a duration above 0; write 30s, 5m, 1h20m or plain seconds`},
		"zero duration":       {"run_time: 0s" + task, "s.yaml:1:11: run_time"},
		"negative weight":     {"tasks:\n  - weight: -1\n    request: {path: /}\n", "s.yaml:2:13: weight must be a number above 0, not -1"},
		"no tasks":            {"name: x\n", "s.yaml:1:1: no tasks: there is nothing to send"},
		"empty tasks":         {"tasks: []\n", "s.yaml:1:8: no tasks"},
		"no request":          {"tasks:\n  - name: a\n", `s.yaml:2:5: task "a" has no request`},
		"no path":             {"tasks:\n  - request: {method: GET}\n", "s.yaml:2:14: a request needs a path"},
		"relative path":       {"tasks:\n  - request: {path: health}\n", "s.yaml:2:21: path must begin with /"},
		"same task twice":     {"tasks:\n  - request: {path: /}\n  - request: {path: /}\n", `s.yaml:3:5: task "GET /" stands twice`},
		"users and rate":      {"users: 1\nrate: 5/s" + task, "s.yaml:2:7: users and rate exclude one another"},
		"zero users":          {"users: 0" + task, "s.yaml:1:8: users must be a whole number from 1 up, not 0"},
		"arrival":             {"arrival: bursty" + task, "s.yaml:1:10: arrival must be constant or poisson"},
		"think time":          {"think_time: 3s..1s" + task, "s.yaml:1:13: think_time: \"3s..1s\": the first duration is above the second"},
		"undefined data":      {"tasks:\n  - request: {path: /, json: {q: '{{ pick .queries }}'}}\n", `s.yaml:2:34: {{ pick .queries }}: data set "queries" is not defined`},
		"missing data file":   {"data: {q: no.txt}" + task, "s.yaml:1:11: data q: file no.txt does not exist"},
		"empty data file":     {"data: {q: empty.txt}" + task, "s.yaml:1:11: data q: file empty.txt has no rows"},
		"broken data file":    {"data: {q: broken.jsonl}" + task, "s.yaml:1:11: data q: broken.jsonl:2: not valid JSON"},
		"kind of data file":   {"data: {q: q.parquet}" + task, "s.yaml:1:11: data q:"},
		"field of lines":      {"data: {q: lines.txt}\ntasks: [{request: {path: '/{{ pick .q.a }}'}}]\n", "s.yaml:2:26: {{ pick .q.a }}: the rows of q are single values"},
		"which field":         {"data: {q: people.csv}\ntasks: [{request: {path: '/{{ pick .q }}'}}]\n", "name one: .q.age (they are age, name)"},
		"unknown function":    {"tasks: [{request: {path: '/{{ pik .q }}'}}]\n", `unknown function "pik"; did you mean "pick"?`},
		"open braces":         {"tasks: [{request: {path: '/{{ seq'}}]\n", "{{ without }}"},
		"randInt order":       {"tasks: [{request: {path: '/{{ randInt 5 1 }}'}}]\n", "the first number must not be above the second"},
		"stream":              {"tasks: [{request: {path: /, stream: ws}}]\n", "stream must be sse or ndjson"},
		"status":              {"tasks: [{request: {path: /}, check: {status: 2000}}]\n", "status 2000 is not an HTTP status"},
		"threshold":           {"thresholds: ['p95 < 1']" + task, "s.yaml:1:14: threshold \"p95 < 1\": a latency needs a unit"},
		"threshold of nobody": {"tasks: [{request: {path: /}}]\nthresholds:\n  - 'POST /x: p95 < 1s'\n", `s.yaml:3:5: threshold "POST /x: p95 < 1s" matches no task`},
		"json and body":       {"tasks: [{request: {path: /, json: 1, body: x}}]\n", "json and body exclude one another"},
		"unknown alias":       {"name: *x" + task, "alias *x has no anchor"},
		"two documents":       {"name: a" + task + "---\nname: b\n", "more than one YAML document"},
		"stages and users":    {"users: 5\nstages: [{users: 5, duration: 1m}]" + task, "s.yaml:1:8: users and stages exclude one another"},
		"stages of two kinds": {"stages: [{users: 5, duration: 1m}, {rate: 5, duration: 1m}]" + task, "s.yaml:1:9: some stages say users"},
		"stage of two kinds":  {"stages: [{users: 5, rate: 5, duration: 1m}]" + task, "s.yaml:1:10: a stage needs users (closed model) or rate"},
		"stage without time":  {"stages: [{users: 5}]" + task, "a stage needs a duration"},
		"stages without load": {"stages: [{users: 0, duration: 1m}]" + task, "no stage has any load"},
		"stages not a list":   {"stages: 5" + task, "s.yaml:1:9: stages must be a list"},
		"a list":              {"- a\n", "s.yaml:1:1: the scenario must be a mapping"},
		"header in two lines": {"headers: {A: \"b\\nc\"}" + task, "s.yaml:1:11: header \"A\""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("s.yaml", []byte(tt.text), files, Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v\nwant     %s", err, tt.want)
			}
		})
	}
}

func TestComplaintsComeTogether(t *testing.T) {
	_, err := Parse("s.yaml", []byte("usres: 1\nspawn_rate: -1\ntasks: []\n"), files, Options{})
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("want three lines, have %v", err)
	}
}

func TestMissingFileNamesTheBuiltIns(t *testing.T) {
	_, err := Load("no-such.yaml", Options{})
	if err == nil || !strings.Contains(err.Error(), "baseline, ramp, peak, breaking") {
		t.Errorf("error = %v", err)
	}
}

func TestBuiltIns(t *testing.T) {
	want := map[string][4]float64{ // users, started a second, requests/s, seconds
		"baseline": {50, 10, 0, 300}, "ramp": {100, 1, 0, 120}, "peak": {100, 50, 0, 60}, "breaking": {200, 50, 0, 300},
		"baseline-open": {0, 0, 50, 300}, "ramp-open": {0, 0, 100, 120}, "peak-open": {0, 0, 100, 60}, "breaking-open": {0, 0, 200, 300},
	}
	for _, b := range Builtins() {
		s, err := Load(b.Name, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := [4]float64{float64(s.Users), s.SpawnRate, s.Rate, s.RunTime.Seconds()}; got != want[b.Name] || s.Name != b.Name {
			t.Errorf("%s = %v, want %v", b.Name, got, want[b.Name])
		}
		if len(s.Tasks) != 5 || s.ThinkTime() != "1s..3s" {
			t.Errorf("%s: %d tasks, think %v", b.Name, len(s.Tasks), s.ThinkTime())
		}
		if ramps := len(s.Stages) == 1 && s.Stages[0].SpawnRate == 0 && s.Stages[0].Duration == s.RunTime; ramps != (b.Name == "ramp-open") {
			t.Errorf("%s: stages %+v", b.Name, s.Stages)
		}
	}
	if len(Builtins()) != len(want) {
		t.Errorf("%d built-in scenarios, want %d", len(Builtins()), len(want))
	}
}

func TestStages(t *testing.T) {
	const task = "\ntasks: [{request: {path: /}}]\n"
	s, err := Parse("s.yaml", []byte("stages: [{rate: 50/s, duration: 1m}, {rate: 0, spawn_rate: 10, duration: 30}]"+task), files, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []Stage{{Rate: 50, Duration: time.Minute}, {SpawnRate: 10, Duration: 30 * time.Second}}
	if diff := cmp.Diff(want, s.Stages); diff != "" || s.Rate != 50 || s.Users != 0 || s.RunTime != 90*time.Second {
		t.Errorf("rate %v, users %d, run time %v\n%s", s.Rate, s.Users, s.RunTime, diff)
	}
	if s, err = Parse("s.yaml", []byte("run_time: 5m\nstages: [{users: 7, duration: 1m}]"+task), files, Options{}); err != nil || s.Users != 7 || s.RunTime != 5*time.Minute {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestDataIsReplaced(t *testing.T) {
	file := t.TempDir() + "/own.jsonl"
	if err := os.WriteFile(file, []byte("{\"query\":\"mine\",\"id\":1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load("baseline", Options{Data: map[string]string{"queries": file}})
	if err != nil {
		t.Fatal(err)
	}
	if got := render(s.Tasks[2].Body); got != `{"query":"mine","search_type":"vector","top_k":5}` {
		t.Errorf("body = %s", got)
	}
	if _, err := Load("baseline", Options{Data: map[string]string{"quieries": file}}); err == nil {
		t.Error("a data set that the scenario does not have was replaced")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("name: a\ntasks: [{request: {path: '/{{ pick .q }}', json: {a: [1, *x]}}}]\n")
	f.Add("data: {q: lines.txt}\nthink_time: exponential(2s)\nthresholds: ['rps > 3']\ntasks:\n- &a {request: {path: /}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("s.yaml", []byte(text), files, Options{})
		if err == nil && len(s.Tasks) == 0 {
			t.Error("a scenario without tasks")
		}
	})
}

func render(tpl *Template) string {
	return renderIn(new(Scenario), tpl)
}

func renderIn(s *Scenario, tpl *Template) string {
	e := s.Env(s.Shared(), rand.New(rand.NewPCG(1, 2)), 3)
	return string(tpl.Append(nil, &e))
}
