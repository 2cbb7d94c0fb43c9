package scenario

import (
	"maps"
	"math"
	"math/rand/v2"
	"regexp"
	"testing"
	"testing/fstest"
	"time"
)

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func TestTemplates(t *testing.T) {
	head := "data: {one: one.txt, odd: odd.jsonl, obj: obj.jsonl, few: [7], who: [{name: a \"b\", n: [1]}]}\ntasks: [{request: {"
	dir := maps.Clone(files)
	tests := map[string]struct{ request, want string }{
		"whole number":   {`path: /, json: {n: "{{ randInt 4 4 }}"}`, `{"n":4}`},
		"inside text":    {`path: /, json: {n: "no {{ randInt 4 4 }}!"}`, `{"n":"no 4!"}`},
		"seq and user":   {`path: /, json: ["{{ seq }}", "u{{ user }}"]`, `[1,"u3"]`},
		"plain body":     {`path: /, body: "a={{ user }}"`, `a=3`},
		"quotes":         {`path: /, json: {q: "say {{ pick .odd }}"}`, `{"q":"say \"hi\" \u0026 go?"}`},
		"row is a value": {`path: /, json: {q: "{{ pick .obj.tags }}", n: "{{ pick .obj.n }}"}`, `{"q":["a",1],"n":7}`},
		"list of values": {`path: /, json: {q: "{{ pick .few }}", s: "{{ .few }}"}`, `{"q":7,"s":7}`},
		"list of rows":   {`path: /, json: {q: "{{ .who.name }}", n: "{{ .who.n }}"}`, `{"q":"a \"b\"","n":[1]}`},
		"environment":    {`path: /, json: {a: "{{ env \"RAGSCOPE_TEST_NO_SUCH\" \"b\" }}", c: "{{ choice \"x\" }}{{ choice 4 }}"}`, `{"a":"b","c":"x4"}`},
		"usual field":    {`path: /, json: {q: "{{ pick .obj }}"}`, `{"q":"why"}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir["one.txt"] = file("only\n")
			dir["odd.jsonl"] = file("\"\\\"hi\\\" & go?\"\n")
			dir["obj.jsonl"] = file(`{"query":"why","tags":["a", 1],"n":7}` + "\n")
			s, err := Parse("s.yaml", []byte(head+tt.request+"}}]\n"), dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := renderIn(s, s.Tasks[0].Body); got != tt.want {
				t.Errorf("body = %s, want %s", got, tt.want)
			}
		})
	}
	dir["odd.jsonl"] = file("\"a/b & c\"\n")
	s, err := Parse("s.yaml", []byte(`data: {odd: odd.jsonl}
tasks: [{request: {path: "/x/{{ pick .odd }}/y?q={{ pick .odd }}"}}]`), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := render(s.Tasks[0].Path), "/x/a%2Fb%20&%20c/y?q=a%2Fb+%26+c"; got != want {
		t.Errorf("path = %s, want %s", got, want)
	}
	if got := s.Tasks[0].Pattern; got != "/x/{}/y" {
		t.Errorf("pattern = %s", got)
	}
}

func TestUUIDsAreOfVersion4(t *testing.T) {
	s := read(t, `tasks: [{request: {path: "/{{ uuid }}"}}]`)
	form := regexp.MustCompile(`^/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	if got := render(s.Tasks[0].Path); !form.MatchString(got) {
		t.Errorf("path = %s", got)
	}
}

// Weights may be any positive numbers: 3, 1, 0.5 and 0.2 share the requests in their ratio.
func TestFloatWeights(t *testing.T) {
	c := &Class{}
	weights := []float64{3, 1, .5, .2}
	var sum float64
	for _, w := range weights {
		c.Turns = append(c.Turns, Sequence{Weight: w})
		sum += w
	}
	r, p := rand.New(rand.NewPCG(1, 1)), c.Picker()
	const n = 100_000
	counts := make([]float64, len(weights))
	for range n {
		counts[p.Pick(r)]++
	}
	for i, w := range weights {
		share := w / sum
		if sigma := math.Sqrt(share * (1 - share) / n); math.Abs(counts[i]/n-share) > 5*sigma {
			t.Errorf("task %d: share %.4f, want %.4f", i, counts[i]/n, share)
		}
	}
}

func TestZipfFavoursTheFirst(t *testing.T) {
	table := zipfTable(4, 1)
	want := []float64{1, .5, 1. / 3, .25}
	var total, last float64
	for _, w := range want {
		total += w
	}
	for i, upTo := range table {
		if got := upTo - last; math.Abs(got-want[i]/total) > 1e-12 {
			t.Errorf("rank %d: %v, want %v", i+1, got, want[i]/total)
		}
		last = upTo
	}
}

func TestThinkTimes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, text := range []string{"0s", "2s", "1s..3s", "exponential(2s)", "pacing(5s)"} {
		th, err := ParseThink(text)
		if err != nil || th.String() != text {
			t.Errorf("%s reads as %v, %v", text, th, err)
		}
	}
	th, _ := ParseThink("1s..3s")
	for range 1000 {
		if d := th.Draw(r, 0); d < time.Second || d > 3*time.Second {
			t.Fatalf("1s..3s drew %v", d)
		}
	}
	th, _ = ParseThink("exponential(2s)")
	var sum time.Duration
	for range 100_000 {
		sum += th.Draw(r, 0)
	}
	if mean := sum.Seconds() / 100_000; math.Abs(mean-2) > 0.05 {
		t.Errorf("mean of exponential(2s) = %.3f s", mean)
	}
	th, _ = ParseThink("pacing(5s)")
	if a, b := th.Draw(r, 2*time.Second), th.Draw(r, 6*time.Second); a != 3*time.Second || b != 0 {
		t.Errorf("pacing(5s) pauses %v after 2 s and %v after 6 s, want 3 s and 0 s", a, b)
	}
	for _, wrong := range []string{"", "fast", "pacing(0s)", "sometimes(2s)", "1s..", "exponential(2s", "exponential()", "-1s"} {
		if th, err := ParseThink(wrong); err == nil {
			t.Errorf("%q reads as %v", wrong, th)
		}
	}
}

func TestThresholds(t *testing.T) {
	tests := map[string]Threshold{
		"POST /api/v1/chat: p95 < 1s":       {Where: "POST /api/v1/chat", Clock: Response, Metric: "quantile", Q: .95, Op: "<", Value: 1},
		"GET /s [a: b]: service p50<=200ms": {Where: "GET /s [a: b]", Clock: Service, Metric: "quantile", Q: .5, Op: "<=", Value: .2},
		"first_token p99.9 < 1.5s":          {Clock: FirstToken, Metric: "quantile", Q: .999, Op: "<", Value: 1.5},
		"mean < 50ms":                       {Clock: Response, Metric: "mean", Op: "<", Value: .05},
		"error_rate < 1%":                   {Metric: "error_rate", Op: "<", Value: .01},
		"rps > 20":                          {Metric: "rps", Op: ">", Value: 20},
		"failures <= 0":                     {Metric: "failures", Op: "<=", Value: 0},
	}
	for text, want := range tests {
		want.Text = text
		got, err := ParseThreshold(text)
		if err != nil || math.Abs(got.Value-want.Value) > 1e-12 || math.Abs(got.Q-want.Q) > 1e-12 {
			t.Errorf("%s: %+v, %v", text, got, err)
			continue
		}
		got.Value, got.Q = want.Value, want.Q
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", text, got, want)
		}
	}
	for _, wrong := range []string{"", "p95", "p95 < 1", "p95 < fast", "p0 < 1s", "speed > 3", "error_rate < 1s", "p95 = 1s", "service rps > 3"} {
		if got, err := ParseThreshold(wrong); err == nil {
			t.Errorf("%q reads as %+v", wrong, got)
		}
	}
}

func TestFilterByTags(t *testing.T) {
	s, err := Load("baseline", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Filter([]string{"search"}, []string{"vector"}); err != nil || len(s.Tasks) != 1 || s.Tasks[0].Name != "/api/v1/retrieval/search [hybrid]" {
		t.Errorf("left %v, %v", s.Tasks, err)
	}
	if err := s.Filter([]string{"nosuch"}, nil); err == nil {
		t.Error("no task was left and nobody complained")
	}
}
