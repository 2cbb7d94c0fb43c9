package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ragscope/ragscope/internal/locust/locusttest"
)

func startLocust(t *testing.T, program, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	file, err := filepath.Abs("testdata/locustfile.py")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-f", file, "--host", host, "--web-host", "127.0.0.1", "--web-port", port, "--csv", "run", "--csv-full-history", "--stop-timeout", "10")
	cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("locust:\n%s", log.String())
		}
	})
	base := "http://127.0.0.1:" + port
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if res, err := http.Get(base + "/worker-count"); err == nil {
			res.Body.Close()
			return base
		}
	}
	t.Fatalf("locust does not start: %s", log.String())
	return ""
}

// answer is what can be compared of one.
type answer struct {
	Status int
	Type   string // of the content
	Allow  string // CORS
	Name   string // proposed for a download
	Shape  any    // of JSON: keys and types; else the beginning of the text
}

// shape is a JSON value without what differs from run to run.
func shape(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, m := range v {
			switch text, isText := m.(string); {
			case k == "median_response_time": // an int, or a float where it was clamped to the fastest or slowest
				out[k] = "number"
			case strings.HasPrefix(k, "response_time_percentile_0") && m == nil: // as long as there is nothing to compare with
				out[k] = "int"
			case k == "message" || k == "state" || k == "name" || k == "method" || k == "error" || isText && k == "host":
				out[k] = text
			default:
				out[k] = shape(m)
			}
		}
		return out
	case []any:
		if len(v) > 0 { // lines of a log
			if _, ok := v[0].(string); ok {
				return "texts"
			}
		}
		out := []any{}
		for _, m := range v {
			out = append(out, shape(m))
		}
		return out
	case json.Number:
		if strings.ContainsAny(v.String(), ".e") {
			return "float"
		}
		return "int"
	}
	return fmt.Sprintf("%T", v)
}

var moment = regexp.MustCompile(`\d{4}-\d\d-\d\d-\d\dh\d\d`)

func ask(t *testing.T, method, address, body string) answer {
	t.Helper()
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if body[0] == '{' {
			req.Header.Set("Content-Type", "application/json")
		}
	}
	if method == http.MethodOptions {
		req.Header.Set("Origin", "http://elsewhere")
		req.Header.Set("Access-Control-Request-Method", "POST")
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{Status: res.StatusCode, Type: res.Header.Get("Content-Type"), Allow: res.Header.Get("Access-Control-Allow-Origin")}
	// Locust names the file, we the scenario; its full history has quotes.
	a.Name = strings.NewReplacer("locustfile.py", "Suite", `"`, "", "; ", ";").Replace(moment.ReplaceAllString(res.Header.Get("Content-Disposition"), "WHEN"))
	switch {
	case a.Type == "application/json":
		var v any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v\n%s", address, err, text)
		}
		a.Shape = shape(v)
	case strings.HasPrefix(a.Type, "text/csv"):
		head, _, _ := strings.Cut(string(text), "\n")
		a.Shape = head
	case strings.HasPrefix(a.Type, "text/html") && len(text) < 10 && a.Status == http.StatusOK:
		a.Shape = string(text)
	}
	if a.Status >= 400 {
		a.Type, a.Shape = "", nil // its words are each program's own
	}
	return a
}

// interview drives a run through the interface, as a script would, and returns the answers.
func interview(t *testing.T, base string) map[string]answer {
	t.Helper()
	out := map[string]answer{}
	get := func(name, path string) { out[name] = ask(t, http.MethodGet, base+path, "") }
	post := func(name, path, body string) { out[name] = ask(t, http.MethodPost, base+path, body) }
	state := func(want string, enough func(stats map[string]any) bool) {
		t.Helper()
		for until := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			res, err := http.Get(base + "/stats/requests")
			if err != nil {
				t.Fatal(err)
			}
			var v map[string]any
			err = json.NewDecoder(res.Body).Decode(&v)
			res.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			if v["state"] == want && enough(v) {
				return
			}
			if time.Now().After(until) {
				t.Fatalf("%s: still %v", base, v)
			}
		}
	}
	get("ready", "/stats/requests")
	get("tasks before", "/tasks")
	get("workers", "/worker-count")
	get("swarm by GET", "/swarm")
	get("nothing", "/nosuch")
	get("login without login", "/login")
	post("swarm without fields", "/swarm", "x=1")
	post("swarm with a bad run time", "/swarm", "user_count=2&spawn_rate=10&run_time=soon")
	post("swarm without a spawn rate", "/swarm", "user_count=2")
	post("swarm at no rate", "/swarm", "user_count=2&spawn_rate=0")
	post("swarm", "/swarm", url.Values{"user_count": {"3"}, "spawn_rate": {"50"}, "run_time": {"10m"}}.Encode())
	state("running", func(v map[string]any) bool {
		stats := v["stats"].([]any)
		return v["user_count"] == 3.0 && len(v["errors"].([]any)) == 1 && len(stats) == 3 && stats[2].(map[string]any)["num_requests"].(float64) > 20
	})
	get("running", "/stats/requests")
	get("tasks", "/tasks")
	get("exceptions", "/exceptions")
	get("logs", "/logs")
	for _, file := range []string{"/stats/requests/csv", "/stats/failures/csv", "/exceptions/csv", "/stats/requests_full_history/csv", "/stats/report", "/stats/report?download=1"} {
		get(file, file)
	}
	out["preflight"] = ask(t, http.MethodOptions, base+"/swarm", "")
	post("swarm again", "/swarm", "user_count=1&spawn_rate=50")
	state("running", func(v map[string]any) bool { return v["user_count"] == 1.0 })
	get("reset", "/stats/reset")
	get("stop", "/stop")
	state("stopped", func(v map[string]any) bool { return v["user_count"] == 0.0 })
	get("stopped", "/stats/requests")
	return out
}

// A script that drives Locust's interface drives ours: the same answers, keys and types, from
// both at the same server.
func TestInterfaceIsLocusts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Locust")
	}
	t.Parallel()
	host := target(t)
	theirs := startLocust(t, filepath.Join(locusttest.Need(t), "locust"), host)
	_, ours := served(t, suite, host, nil)
	want, got := interview(t, theirs), interview(t, ours)
	for _, m := range []map[string]answer{want, got} {
		for name, a := range m { // after a reset a task may have been asked again, or not
			if s, ok := a.Shape.(map[string]any); ok && name == "stopped" {
				s["errors"], s["stats"] = nil, s["stats"].([]any)[len(s["stats"].([]any))-1]
				total := s["stats"].(map[string]any)
				for _, k := range []string{"min_response_time", "avg_content_length", "current_rps", "current_fail_per_sec"} {
					total[k] = nil // an int when nothing was asked
				}
				s["current_rps"], s["current_fail_per_sec"] = nil, nil
			}
		}
	}
	names := make([]string, 0, len(want))
	for name := range want {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if diff := cmp.Diff(want[name], got[name]); diff != "" {
			t.Errorf("%s (-locust +ours):\n%s", name, diff)
		}
	}
}
