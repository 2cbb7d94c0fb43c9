package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/recording"
)

func TestNormalise(t *testing.T) {
	tests := map[string]string{
		"":                                      "",
		"--help":                                "--help",
		"report --results r":                    "report --results r",
		"sweep":                                 "sweep",
		"--host http://x -u50 -r 10":            "run --host http://x -u 50 -r 10",
		"run --tags search chat -t1m":           "run --tags search,chat -t 1m",
		"-H http://x -T a b -E c --headless":    "run -H http://x -T a,b -E c --headless",
		"-f locustfile.py --host=http://x -t 5": "run -f locustfile.py --host=http://x -t 5",
	}
	for in, want := range tests {
		got := normalise(append([]string{"loader"}, strings.Fields(in)...))
		if !slices.Equal(got[1:], strings.Fields(want)) {
			t.Errorf("%s\n got %q\nwant %q", in, got[1:], strings.Fields(want))
		}
	}
}

// ragAPI answers like the suite's API.
func ragAPI(t *testing.T, requests *atomic.Int64) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/api/v1/chat/stream":
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: {\"type\":\"token\",\"data\":{\"content\":\"a\"}}\n\ndata: {\"type\":\"token\",\"data\":{\"content\":\"b\"}}\n\ndata: [DONE]\n\n")
		case "/api/v1/chat":
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			fmt.Fprint(w, "{}")
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func loader(args ...string) int {
	return run(context.Background(), context.Background(), append([]string{"loader"}, args...))
}

func TestRunWritesEverything(t *testing.T) {
	var requests atomic.Int64
	api, dir := ragAPI(t, &requests), t.TempDir()
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/windows" {
			fmt.Fprint(w, `{"id":"w1"}`)
			return
		}
		fmt.Fprint(w, `{"schema":"ragscope.recording/1","endpoints":[{"endpoint":"GET /health","requests":3}]}`)
	}))
	defer agent.Close()
	prefix := filepath.Join(dir, "sub", "run")
	code := loader("--host", api, "-u5", "-r", "100", "-t", "1s", "--think-time", "10ms", "--headless", "--only-summary",
		"--csv", prefix, "--html", filepath.Join(dir, "u{u}r{r}t{t}.html"), "--json-file", filepath.Join(dir, "out"), "--junit", prefix+".xml", "--hlog", prefix+".hlog", "--agent", agent.URL)
	if code != command.Failed {
		t.Errorf("exit code %d, want 1: chat answers 503", code)
	}
	total := column(t, prefix+"_stats.csv", "Aggregated", "Request Count")
	if total != fmt.Sprint(requests.Load()) || total == "0" {
		t.Errorf("the CSV counts %s, the server %d", total, requests.Load())
	}
	rec, err := recording.Read(prefix + "_recording.json")
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(rec.Scenario.Requests) != total || rec.Scenario.Users != 5 || rec.Scenario.Name != "suite" {
		t.Errorf("recording: %+v", rec.Scenario)
	}
	var joined, streams bool
	for _, e := range rec.Endpoints {
		joined = joined || e.Endpoint == "GET /health" && e.Requests == 3 && e.Client != nil
		streams = streams || e.Endpoint == "POST /api/v1/chat/stream" && e.Client.FirstToken.Count == e.Client.Requests && e.Client.Failures == 0
	}
	if !joined || !streams {
		t.Errorf("joined %v, streams %v: %+v", joined, streams, rec.Endpoints)
	}
	for _, file := range []string{prefix + ".xml", prefix + ".hlog", prefix + "_stats_history.csv", prefix + "_failures.csv", prefix + "_exceptions.csv", filepath.Join(dir, "u5r100t1.html"), filepath.Join(dir, "out.json")} {
		if info, err := os.Stat(file); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	if last := lastRow(t, prefix+"_stats_history.csv"); last[17] != total {
		t.Errorf("the history ends with %s requests, want %s", last[17], total)
	}
	var stats []map[string]any
	if b, err := os.ReadFile(filepath.Join(dir, "out.json")); err != nil || json.Unmarshal(b, &stats) != nil || len(stats) == 0 {
		t.Errorf("JSON: %v", err)
	}
}

func rows(t *testing.T, file string) [][]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func lastRow(t *testing.T, file string) []string { all := rows(t, file); return all[len(all)-1] }

func column(t *testing.T, file, name, head string) string {
	t.Helper()
	all := rows(t, file)
	for _, row := range all {
		if row[1] == name {
			return row[slices.Index(all[0], head)]
		}
	}
	return ""
}

func TestExitCodes(t *testing.T) {
	var requests atomic.Int64
	api, dir := ragAPI(t, &requests), t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	locustfiles := here + "/../../internal/locust/locustfile/testdata/"
	t.Chdir(dir)
	occupied := filepath.Join(dir, "file")
	if err := os.WriteFile(occupied, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, []byte("host: "+api+"\nrun-time: 200ms\nheadless: true\ntags: [health]\nonly-summary: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(dir, "wrong.yaml")
	if err := os.WriteFile(wrong, []byte("tasks: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	promises := filepath.Join(dir, "promises.txt")
	if err := os.WriteFile(promises, []byte("# ours\nhttp_req_failed:rate<1%\nGET /health: p95 < 20s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, taken, _ := strings.Cut(strings.TrimPrefix(api, "http://"), ":")
	short := []string{"--host", api, "-t", "200ms", "--think-time", "1ms", "--headless", "--only-summary"}
	tests := map[string]struct {
		args []string
		want int
	}{
		"clean":                 {append(short, "--tags", "health"), 0},
		"by configuration":      {[]string{"run", "--config", config}, 0},
		"failures":              {append(short, "--tags", "chat", "--exclude-tags", "stream"), 1},
		"failures, code 5":      {append(short, "--tags", "chat", "-E", "stream", "--exit-code-on-error", "5"), 5},
		"failures, code 0":      {append(short, "--tags", "chat", "-E", "stream", "--exit-code-on-error", "0"), 0},
		"threshold missed":      {append(short, "--tags", "health", "--threshold", "rps > 1000000"), 1},
		"thresholds of a file":  {append(short, "--tags", "health", "--threshold", "@"+promises), 0},
		"suite's targets":       {append(short, "--threshold", "@targets", "-u", "9"), 1},
		"no threshold file":     {append(short, "--threshold", "@nosuch"), 2},
		"dead host":             {append(short, "--host", "http://127.0.0.1:1"), 1},
		"list":                  {[]string{"--list"}, 0},
		"list of scenarios":     {[]string{"run", "--list-scenarios"}, 0},
		"open scenario":         {append(short, "--scenario", "peak-open", "--tags", "health"), 0},
		"no host":               {[]string{"-u", "1", "--headless"}, 2},
		"port taken":            {[]string{"--host", api, "--web-port", taken}, 3},
		"autoquit alone":        {[]string{"--host", api, "--autoquit", "1"}, 2},
		"half a certificate":    {[]string{"--host", api, "--tls-cert", "x"}, 2},
		"no such certificate":   {[]string{"--host", api, "-P", "0", "--tls-cert", "x", "--tls-key", "x"}, 3},
		"autostart, no host":    {[]string{"--autostart"}, 2},
		"autostart, autoquit":   {[]string{"--host", api, "-P", "0", "--autostart", "--autoquit", "0", "-t", "200ms", "--think-time", "1ms", "--tags", "health"}, 0},
		"autostart, failures":   {[]string{"--host", api, "-P", "0", "--autostart", "--autoquit", "0", "-t", "200ms", "--think-time", "1ms", "--tags", "chat", "-E", "stream"}, 1},
		"host without scheme":   {[]string{"--host", "localhost:8000", "--headless"}, 2},
		"unknown flag":          {append(short, "--nosuch"), 2},
		"unknown command":       {[]string{"sweep"}, 2},
		"user class":            {append(short, "RAGUser"), 1},
		"locustfile":            {append(short, "-f", locustfiles+"suite.py", "--tags", "nosuch"), 2},
		"hard locustfile":       {append(short, "-f", locustfiles+"hard.py"), 2},
		"convert":               {[]string{"convert", locustfiles + "hard.py", "-o", filepath.Join(dir, "hard.yaml")}, 0},
		"convert, strict":       {[]string{"convert", "--strict", locustfiles + "hard.py", "-o", filepath.Join(dir, "strict.yaml")}, 1},
		"convert nothing":       {[]string{"convert"}, 2},
		"no locustfile":         {append(short, "-f", "nosuch.py"), 1},
		"ratios":                {[]string{"--show-task-ratio-json"}, 0},
		"full history, no csv":  {append(short, "--csv-full-history"), 2},
		"bad run time":          {append(short, "-t", "soon"), 2},
		"no users":              {append(short, "-u", "0"), 2},
		"users and rate":        {append(short, "-u", "5", "--rate", "5"), 2},
		"bad threshold":         {append(short, "--threshold", "fast"), 2},
		"threshold of nobody":   {append(short, "--threshold", "GET /x: p95 < 1s"), 2},
		"no such scenario":      {append(short, "--scenario", "nosuch.yaml"), 2},
		"wrong scenario":        {append(short, "--scenario", wrong), 2},
		"no task left":          {append(short, "--tags", "nosuch"), 2},
		"results in a file":     {append(short, "--csv", filepath.Join(occupied, "x")), 3},
		"agent is not there":    {append(short, "--tags", "health", "--agent", "http://127.0.0.1:1"), 0},
		"log level of Locust":   {append(short, "--tags", "health", "-L", "WARNING"), 0},
		"unknown configuration": {[]string{"run", "--config", occupied + "x"}, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := loader(tt.args...); got != tt.want {
				t.Errorf("loader %s: exit code %d, want %d", strings.Join(tt.args, " "), got, tt.want)
			}
		})
	}
	rec, err := recording.Read("recording.json")
	if err != nil || rec.Scenario == nil {
		t.Errorf("recording.json: %v", err)
	}
}
