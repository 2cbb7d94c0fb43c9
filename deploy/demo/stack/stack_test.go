package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
)

func TestStepsWaitForEachOther(t *testing.T) {
	var mu sync.Mutex
	var order []string
	do := func(name string, after ...string) step {
		return step{name, after, func(context.Context) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, name)
			return "done", nil
		}}
	}
	err := runSteps(t.Context(), newProgress(&bytes.Buffer{}), []step{do("c", "b", "not there"), do("b", "a"), do("a")})
	if err != nil || !slices.Equal(order, []string{"a", "b", "c"}) {
		t.Errorf("order %v, %v", order, err)
	}
}

func TestFirstFailureCancelsTheOthers(t *testing.T) {
	bad := errors.New("no space left")
	var out bytes.Buffer
	err := runSteps(t.Context(), newProgress(&out), []step{
		{"long", nil, func(ctx context.Context) (string, error) { <-ctx.Done(); return "", context.Cause(ctx) }},
		{"bad", nil, func(context.Context) (string, error) { return "", bad }},
		{"later", []string{"bad"}, func(context.Context) (string, error) { t.Error("ran after a failure"); return "", nil }},
	})
	if !errors.Is(err, bad) || !strings.HasPrefix(err.Error(), "bad: ") {
		t.Errorf("got %v", err)
	}
	if strings.Contains(out.String(), "long") {
		t.Errorf("a cancelled step is reported as if it had failed:\n%s", out.String())
	}
}

func TestSettings(t *testing.T) {
	lookup := func(env map[string]string) func(string) (string, bool) {
		return func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	}
	s, err := loadSettings(lookup(map[string]string{"DEMO_SCENARIOS": "peak, baseline", "DEMO_RATE": "12.5", "XDG_CACHE_HOME": "/c"}))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.scenarios, []string{"peak", "baseline"}) || s.rate != 12.5 || s.cache != "/c/ragscope" || s.redisPool != 10 {
		t.Errorf("got %+v", s)
	}
	if s.root == "" || s.state != filepath.Join(s.root, ".demo") {
		t.Errorf("checkout %q, state %q", s.root, s.state)
	}
	for variable, value := range map[string]string{
		"DEMO_REDIS_POOL": "0", "DEMO_TOKENS": "many", "DEMO_API_PORT": "70000", "DEMO_CACHE": "yes", "DEMO_SCENARIOS": "baseline,storm",
		"DEMO_RATE": "-1", "DEMO_SECONDS": "1",
	} {
		if _, err := loadSettings(lookup(map[string]string{variable: value})); err == nil || !strings.Contains(err.Error(), variable) {
			t.Errorf("%s=%s: got %v", variable, value, err)
		}
	}
}

func TestNoHintInTheAPI(t *testing.T) {
	s := settings{}
	for _, entry := range apiEnv(s, "") {
		if strings.Contains(strings.ToLower(entry), "ragscope") || strings.HasPrefix(entry, "DEMO_") {
			t.Errorf("the API is told %s", entry)
		}
	}
	sources, err := filepath.Glob("../api/*.py")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no sources: %v", err)
	}
	for _, path := range sources {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(bytes.ToLower(text), []byte("ragscope")) {
			t.Errorf("%s names ragscope", path)
		}
	}
}

func TestJavaVersion(t *testing.T) {
	for text, want := range map[string]int{"javac 17.0.16\n": 17, "javac 1.8.0_392": 8, "javac 21": 21, "javac 25-ea": 25, "": 0, "command not found": 0} {
		if got := javaVersion(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

const book = `The Book
1. Contents

  1.1. Pipes ... 3

1.1. Pipes

    A pipe joins two programs: what the one writes, the other reads, and neither has to
    know of the other, which is what makes small programs useful together.

    $ cat file | sort

    |a |table|of things|that is |not prose|

1.2. A very long
title

    Short one.

1.3.` + "\u00a0" + `Sockets

    A socket joins two machines, and what was said about pipes holds for them as well.
`

func TestCutPassages(t *testing.T) {
	got := cutPassages(book, 7)
	if len(got) != 2 || got[0].Title != "Pipes" || got[1].Title != "Sockets" || got[0].ID != 7 || got[1].ID != 8 {
		t.Fatalf("got %+v", got)
	}
	for _, p := range got {
		if strings.ContainsAny(p.Text, "|$\n") {
			t.Errorf("not prose: %q", p.Text)
		}
	}
}

func TestQueriesAreDistinctAndTheSame(t *testing.T) {
	passages := []passage{{1, "Pipes", "…"}, {2, "Pipes", "…"}, {3, "What is a socket?", "…"}, {4, "", "…"}}
	got := queries(passages)
	if len(got) != 2 || !slices.Equal(got, queries(passages)) {
		t.Errorf("got %v", got)
	}
	if !slices.Contains(got, query{"What is a socket?"}) {
		t.Errorf("a title that is a question was changed: %v", got)
	}
}

func TestFlattenPooling(t *testing.T) {
	flat, err := flattenPooling(map[string][]byte{
		"config.json":           []byte(`{"hidden_size":384}`),
		"1_Pooling/config.json": []byte(`{"pooling_mode_mean_tokens":true}`),
		"modules.json":          []byte(`[{"path":""},{"path":"1_Pooling"},{"path":"2_Normalize"}]`),
		"model.safetensors":     []byte("weights"),
	})
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(flat["config.json"], &config); err != nil || config["pooling_mode_mean_tokens"] != true || config["hidden_size"] != 384.0 {
		t.Errorf("config.json: %s, %v", flat["config.json"], err)
	}
	if string(flat["modules.json"]) != `[{"path":""},{"path":""},{"path":"2_Normalize"}]` || len(flat) != 3 {
		t.Errorf("modules.json: %s; files %d", flat["modules.json"], len(flat))
	}
}

func TestOnlyOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "thing")
	made := 0
	for i, key := range []string{"a", "a", "b"} {
		again, err := onlyOnce(path, key, func() error { made++; return nil })
		if err != nil || again != (i != 1) {
			t.Errorf("run %d: again %v, %v", i, again, err)
		}
	}
	if _, err := onlyOnce(path, "c", func() error { return errors.New("failed") }); err == nil {
		t.Error("a failure was swallowed")
	}
	if again, _ := onlyOnce(path, "c", func() error { made++; return nil }); !again || made != 3 {
		t.Errorf("after a failure: again %v, made %d times", again, made)
	}
}

func TestEnoughAndCapacity(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for _, test := range []struct {
		name     string
		seen     []observation
		enough   string // a word of the reason
		capacity float64
	}{
		{"idle", []observation{{4, 0.2, ms(30), 4, ms(900)}}, "", 0},
		{"CPU", []observation{{4, 0.2, ms(30), 4, ms(900)}, {8, 0.5, ms(40), 8, ms(900)}, {12, 0.9, ms(60), 12, ms(900)}}, "CPU", 10},
		{"CPU at once", []observation{{4, 0.7, ms(30), 4, ms(900)}}, "CPU", 4},
		{"latency", []observation{{4, 0.2, ms(150), 4, ms(900)}, {6, 0.4, ms(5900), 6, ms(900)}}, "p95", 4},
		{"failures", []observation{{4, 0.1, ms(30), 4, ms(900)}, {6, 0.2, ms(30), 2, ms(900)}}, "answered", 4},
		{"a queue", []observation{{4, 0.2, ms(900), 4, ms(900)}, {6, 0.3, ms(1900), 6, ms(1700)}, {9, 0.4, ms(3500), 9, ms(3600)}}, "last answer", 6},
		{"a queue at once", []observation{{4, 0.2, ms(3500), 4, ms(9000)}}, "last answer", 2},
		{"slow but steady", []observation{{4, 0.1, ms(1800), 4, ms(900)}, {6, 0.2, ms(1950), 6, ms(900)}}, "", 0},
		{"answers that are generated", []observation{{4, 0.1, ms(60), 4, ms(900)}, {6, 0.2, ms(2100), 6, ms(900)}}, "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			why := enough(test.seen)
			if (why == "") != (test.enough == "") || !strings.Contains(why, test.enough) {
				t.Errorf("enough: %q, want %q", why, test.enough)
			}
			if why == "" {
				return
			}
			if got := capacity(test.seen); got < test.capacity-0.01 || got > test.capacity+0.01 {
				t.Errorf("capacity %.2f, want %.2f", got, test.capacity)
			}
		})
	}
}

func TestParseCPU(t *testing.T) {
	got := parseCPU("cpu  100 10 50 800 40 0 5 15 99 99\ncpu0 1 1 1 1\n")
	if got.allTicks != 1020 || got.busyTicks != 180 {
		t.Errorf("got %+v", got)
	}
}

func TestPlanKeepsTheSuitesRatios(t *testing.T) {
	runs := plan(settings{scenarios: scenarioNames, scenarioTime: time.Second}, 10)
	if len(runs) != 4 || runs[0].rate != 10 || runs[1].users != 42 || runs[2].rate != 20 || runs[3].rate != 40 {
		t.Errorf("got %+v", runs)
	}
	argv := strings.Join(runs[1].argv(settings{apiPort: 1}, "p"), " ")
	if !strings.Contains(argv, "--users 42") || strings.Contains(argv, "--rate") {
		t.Errorf("ramp: %s", argv)
	}
}

func TestReadTotals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x_stats.csv")
	header := "Type,Name,Request Count,Failure Count,Median Response Time,Requests/s,50%,95%,99%\r\n"
	for _, test := range []struct {
		text string
		want totals
		ok   bool
	}{
		{header + "POST,/a,1,0,2,1,2,3,4\r\n,Aggregated,750,20,160,31.26,160,530,750\r\n", totals{750, 20, 31.26, 160e6, 530e6, 750e6}, true},
		{header + ",Aggregated,0,0,0,0.0,N/A,N/A,N/A\r\n", totals{}, true},
		{header, totals{}, false},
		{"Type,Name\r\n,Aggregated\r\n", totals{}, false},
	} {
		if err := os.WriteFile(path, []byte(test.text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := readTotals(path)
		if (err == nil) != test.ok || (test.ok && got != test.want) {
			t.Errorf("%q: %+v, %v", test.text, got, err)
		}
	}
}

func TestReplaceKeepsTheOldUntilTheNewIsThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	for _, content := range []string{"first", "second"} {
		if err := os.MkdirAll(dir+".partial", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir+".partial", "f"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := replace(dir, dir+".partial"); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(filepath.Join(dir, "f")); string(got) != content {
			t.Errorf("got %q, want %q", got, content)
		}
	}
	if err := replace(dir, dir+".missing"); err == nil {
		t.Error("a missing folder was put in place")
	}
}

func TestVerdict(t *testing.T) {
	rec := &recording.Recording{
		Bottlenecks: []recording.Bottleneck{{Rank: 1, Priority: "P0", Where: "redis 127.0.0.1:28379", WaitedSeconds: 12.3, Share: 0.61, Recommendation: "Raise the pool to 30."}},
		Endpoints: []recording.Endpoint{{
			Requests: 10, Latency: recording.Dist{Sum: 4}, Client: &recording.Client{Requests: 10},
			Stages: []recording.Stage{{Stage: "unexplained", Dist: recording.Dist{Sum: 0.1}}},
		}},
		Losses:      []recording.Loss{{Source: "ring", Count: 2}},
		NotMeasured: []recording.NotMeasured{{What: "allocations", Why: "off"}},
	}
	got := strings.Join(verdict(rec), "\n")
	for _, want := range []string{"P0  redis 127.0.0.1:28379", "12.3 s", "61 %", "Raise the pool", "sent by the loader 10, of them seen by the agent 10", "unexplained 2.5 %", "not understood 2", "allocations"} {
		if !strings.Contains(got, want) {
			t.Errorf("the verdict does not say %q:\n%s", want, got)
		}
	}
	if got := verdict(&recording.Recording{}); !strings.Contains(got[0], "No bottleneck") {
		t.Errorf("an empty recording: %q", got)
	}
}
