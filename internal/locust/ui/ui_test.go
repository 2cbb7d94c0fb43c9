package ui

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/scenario"
)

func fetch(t *testing.T, method, address, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
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
	return res, string(text)
}

// swarm asks for a load and returns whether that was taken, and the message.
func swarm(t *testing.T, base, form string) (bool, string) {
	t.Helper()
	res, text := fetch(t, http.MethodPost, base+"/swarm", form)
	var a struct {
		Success bool
		Message string
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", res.Status, text)
	}
	return a.Success, a.Message
}

func TestOrdersThatMakeNoSense(t *testing.T) {
	_, base := served(t, suite, target(t), nil)
	for form, want := range map[string]string{
		"":                           missing,
		"user_count=3":               missing,
		"user_count=3&spawn_rate=0":  missing,
		"user_count=x&spawn_rate=1":  "is not a number of users",
		"user_count=0&spawn_rate=1":  "at least one user",
		"user_count=1&spawn_rate=-1": "is not a number of users a second",
		"rate=fast":                  "is not a rate",
		"user_count=1&spawn_rate=1&run_time=5 minutes":      badRunTime,
		"user_count=1&spawn_rate=1&host=localhost:8000":     "is not a base URL",
		"user_count=1&spawn_rate=1&tags=nosuch":             "no task of scenario Suite is left",
		"user_count=1&spawn_rate=1&think_time=long":         "is not a think time",
		"user_count=1&spawn_rate=1&host=http%3A%2F%2Fa%3Cb": "",
	} {
		ok, message := swarm(t, base, form)
		if want == "" {
			if !ok {
				t.Errorf("%s: %s", form, message)
			}
			fetch(t, http.MethodGet, base+"/stop", "")
			continue
		}
		if ok || !strings.Contains(message, want) {
			t.Errorf("%s: success %v, %q; want %q", form, ok, message, want)
		}
	}
}

// The life of a run of the open model: start at a rate, change it, reset, look, stop; then a
// second one of the closed model starts from nothing.
func TestOpenModelRun(t *testing.T) {
	ended := make(chan *load.Result, 2)
	u, base := served(t, suite, target(t), func(c *Config) {
		c.Begin = func(*scenario.Scenario) ([]load.Sink, func(*load.Result) *recording.Recording, error) {
			return nil, func(r *load.Result) *recording.Recording { ended <- r; return r.Recording("a test") }, nil
		}
	})
	if res, _ := fetch(t, http.MethodGet, base+"/recording.json", ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("a recording of nothing: %s", res.Status)
	}
	if _, page := fetch(t, http.MethodGet, base+"/stats/report", ""); !strings.Contains(page, "Suite") {
		t.Error("no report before the first run")
	}
	if ok, message := swarm(t, base, "rate=200&tags=good"); !ok {
		t.Fatal(message)
	}
	if ok, message := swarm(t, base, "user_count=5&spawn_rate=5"); ok || !strings.Contains(message, "open model") {
		t.Errorf("users in the open model: %s", message)
	}
	measured := func() (n int64) {
		u.look(func(r *load.Result) { n = r.All().Requests })
		return n
	}
	for measured() < 5 {
		time.Sleep(time.Millisecond)
	}
	if ok, message := swarm(t, base, "rate=50"); !ok {
		t.Error(message)
	}
	var rec recording.Recording
	if _, text := fetch(t, http.MethodGet, base+"/recording.json", ""); json.Unmarshal([]byte(text), &rec) != nil || rec.Scenario == nil || rec.Scenario.Requests < 5 {
		t.Errorf("recording while it runs: %.300s", text)
	}
	before := measured()
	fetch(t, http.MethodGet, base+"/stats/reset", "")
	if after := measured(); after >= before {
		t.Errorf("%d requests before the reset, %d after", before, after)
	}
	_, text := fetch(t, http.MethodGet, base+"/stop", "")
	res := <-ended
	if all := res.All(); all.Failures != 0 || len(res.Scenario.Tasks) != 1 || res.Scenario.Rate != 50 || !strings.Contains(text, "Test stopped") {
		t.Errorf("%d failures, %d tasks, rate %g, %s", all.Failures, len(res.Scenario.Tasks), res.Scenario.Rate, text)
	}
	if ok, message := swarm(t, base, "user_count=1&spawn_rate=1&run_time=1"); !ok {
		t.Fatal(message)
	}
	second := <-ended // its time is over
	if _, _, err := u.Wait(); err != nil || second.Scenario.Users != 1 || second.All().Requests == 0 {
		t.Errorf("%v, %+v", err, second.Scenario)
	}
}

func TestStagesAndTasks(t *testing.T) {
	_, base := served(t, "stages: [{users: 2, duration: 1h}]\n"+strings.TrimSpace(suite), target(t), nil)
	if res, _ := fetch(t, http.MethodPost, base+"/user", `{"user_class_name": "Other"}`); res.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown class: %s", res.Status)
	}
	if res, text := fetch(t, http.MethodPost, base+"/user", `{"user_class_name": "Suite", "tasks": ["bad"]}`); res.StatusCode != http.StatusCreated || strings.TrimSpace(text) != "{}" {
		t.Errorf("%s %s", res.Status, text)
	}
	if ok, message := swarm(t, base, "host="); !ok || message != "Swarming started using shape class 'Suite'" {
		t.Errorf("%v, %s", ok, message)
	}
	if _, text := fetch(t, http.MethodGet, base+"/tasks", ""); strings.Contains(text, `"a"`) || !strings.Contains(text, `"bad"`) {
		t.Errorf("tasks: %s", text)
	}
}

func TestLogin(t *testing.T) {
	_, base := served(t, suite, "", func(c *Config) { c.Login = &Login{User: "me", Password: "secret"} })
	if res, _ := fetch(t, http.MethodGet, base+"/", "", "Accept", "text/html"); res.StatusCode != http.StatusFound || res.Header.Get("Location") != "login" {
		t.Errorf("the page: %s, to %s", res.Status, res.Header.Get("Location"))
	}
	for _, path := range []string{"/stop", "/stats/requests", "/live", "/recording.json", "/logs", "/agent"} {
		if res, _ := fetch(t, http.MethodGet, base+path, ""); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	if res, _ := fetch(t, http.MethodPost, base+"/swarm", "user_count=1&spawn_rate=1"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("swarm: %s", res.Status)
	}
	if res, page := fetch(t, http.MethodPost, base+"/login", url.Values{"username": {"me"}, "password": {"wrong"}}.Encode()); res.StatusCode != http.StatusUnauthorized || !strings.Contains(page, "wrong") {
		t.Errorf("a wrong password: %s", res.Status)
	}
	res, _ := fetch(t, http.MethodPost, base+"/login", url.Values{"username": {"me"}, "password": {"secret"}}.Encode())
	session := res.Header.Get("Set-Cookie")
	session, attributes, _ := strings.Cut(session, ";")
	if res.StatusCode != http.StatusSeeOther || !strings.Contains(attributes, "HttpOnly") || !strings.Contains(attributes, "SameSite=Strict") {
		t.Fatalf("%s, %s", res.Status, attributes)
	}
	if res, _ := fetch(t, http.MethodGet, base+"/stats/requests", "", "Cookie", session); res.StatusCode != http.StatusOK {
		t.Errorf("with the session: %s", res.Status)
	}
	if res, _ := fetch(t, http.MethodGet, base+"/stats/requests", "", "Authorization", "Basic bWU6c2VjcmV0"); res.StatusCode != http.StatusOK {
		t.Errorf("with basic authentication: %s", res.Status)
	}
}

func TestBasePathAndAgent(t *testing.T) {
	dead := httptest.NewServer(http.NotFoundHandler())
	_, base := served(t, suite, "", func(c *Config) { c.BasePath, c.Agent = "/load/test/", dead.URL })
	for path, want := range map[string]int{"/load/test/": 200, "/load/test/worker-count": 200, "/load/test/assets/page.js": 200, "/load/test/assets/page.html": 404, "/load/test": 307, "/worker-count": 404, "/load/test/agent": 502} {
		if res, text := fetch(t, http.MethodGet, base+path, ""); res.StatusCode != want {
			t.Errorf("%s: %s, want %d: %.100s", path, res.Status, want, text)
		}
	}
}

func TestChart(t *testing.T) {
	start := time.Unix(1000, 0)
	var c chart
	c.clear()
	second := func(n int, ms ...time.Duration) {
		var samples []load.Sample
		for _, d := range ms {
			samples = append(samples, load.Sample{Intended: 0, Sent: d * time.Millisecond / 2, End: d * time.Millisecond})
		}
		c.add(samples)
		c.tick(load.Progress{Start: start, Elapsed: time.Duration(n) * time.Second, Users: 3})
	}
	second(1, 10, 20, 30, 1000)
	second(2)
	got := c.from(0, 0)
	f := func(v float64) *float64 { return &v }
	want := columns{Epoch: 1, At: []float64{1001, 1002}, Users: []int{3, 3}, RPS: []*float64{f(4), f(0)}, Fails: []*float64{f(0), f(0)},
		R50: []*float64{f(20), nil}, R95: []*float64{f(30), nil}, S50: []*float64{f(10), nil}, S95: []*float64{f(15), nil},
		Heat: [][]int{{16, 1, 18, 1, 19, 1, 32, 1}, {}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := c.from(1, 1); got.From != 1 || !slices.Equal(got.At, []float64{1002}) {
		t.Errorf("what is new: %+v", got)
	}
	for n := range chartSeconds {
		second(n + 3)
	}
	if got := c.from(1, 0); got.From != 2 || len(got.At) != chartSeconds {
		t.Errorf("kept %d points from %d on", len(got.At), got.From)
	}
	if got := c.from(1, c.first+len(c.points)); len(got.At) != 0 {
		t.Errorf("%d points that nobody has asked for", len(got.At))
	}
	if got := rows([]float64{0, .00001, 1e9}); !slices.Equal(got, []int{0, 2, allRows - 1, 1}) {
		t.Errorf("beyond the heatmap: %v", got)
	}
}
