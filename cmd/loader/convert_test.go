package main

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ragscope/ragscope/internal/locust/locusttest"
)

// api answers what the locustfiles of the converter's tests ask for, and notes what they sent
// besides: headers and forms that are right, by a name for each.
type api struct {
	mu    sync.Mutex
	ids   int
	right map[string]int
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	note := func(name string, right bool) {
		if a.right == nil {
			a.right = map[string]int{}
		}
		a.right[fmt.Sprintf("%s %v", name, right)]++
	}
	switch p := r.URL.Path; {
	case p == "/api/v1/login":
		note("login", string(body) == `{"user":"ann","password":"one"}` || strings.ReplaceAll(string(body), ": ", ":") == `{"user":"bob", "password":"two"}` || strings.Contains(string(body), `"two"`) || strings.Contains(string(body), `"one"`))
		fmt.Fprint(w, `{"data": {"token": "tok"}}`)
	case strings.HasSuffix(p, "/orders"):
		note("authorised", r.Header.Get("Authorization") == "Bearer tok")
		note("reference", len(r.Header.Get("X-Reference")) == 12 && strings.Contains(string(body), r.Header.Get("X-Reference")))
		a.ids++
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"id": %d, "state": "open"}`, a.ids)
	case strings.HasSuffix(p, "/pay"):
		note("form", strings.HasPrefix(string(body), "reference=ref-") && strings.HasSuffix(string(body), "&by=card"))
	case p == "/news":
		note("query", r.URL.RawQuery == "lang=de&n=5")
	case p == "/robots.txt":
		user, password, _ := r.BasicAuth()
		note("robot", user == "bot" && password == "secret" && r.UserAgent() == "robot")
	case p == "/pong":
		note("token", r.Header.Get("X-Token") == "none")
	case p == "/step/3":
		fmt.Fprint(w, "three")
	case p == "/api/v1/retrieval/search":
		note("search", strings.Contains(string(body), `"top_k"`) && r.Header.Get("Content-Type") == "application/json")
		fmt.Fprint(w, `{"results": [1], "answer": "yes"}`)
	default:
		fmt.Fprint(w, `{"response": 1}`)
	}
}

// counts are the requests by method and name in a _stats.csv, and the failures.
func counts(t *testing.T, prefix string) (map[string]float64, string) {
	t.Helper()
	out, failures := map[string]float64{}, ""
	for _, row := range rows(t, prefix+"_stats.csv")[1:] {
		var n float64
		if _, err := fmt.Sscan(row[2], &n); err != nil {
			t.Fatal(err)
		}
		if row[0] == "" {
			failures = row[3]
			continue
		}
		out[row[0]+" "+row[1]] = n
	}
	return out, failures
}

// A real Locust runs a locustfile, the loader what convert makes of it, for the same time against
// servers of their own: both send the same kinds of requests, with the same names, in the same
// shares, with the same content.
func TestConvertedLocustfileBesideRealLocust(t *testing.T) {
	bin := locusttest.Need(t)
	const source = "../../internal/locust/locustfile/testdata/"
	dir := t.TempDir()
	suite, err := os.ReadFile(source + "suite.py")
	if err != nil {
		t.Fatal(err)
	}
	// Locust takes whole weights only, and the test has no time to think for seconds.
	text := strings.NewReplacer("@task(3)", "@task(30)", "@task(1)", "@task(10)", "@task(0.5)", "@task(5)", "@task(0.2)", "@task(2)",
		"between(1, 3)", "between(0.01, 0.03)", "between(0.1, 0.5)", "between(0.01, 0.03)").Replace(string(suite))
	quick := filepath.Join(dir, "suite.py")
	if err := os.WriteFile(quick, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// Groups of requests whose shares among one another do not depend on how fast answers come.
	groups := map[string][][]string{
		quick: {{"POST /api/v1/retrieval/search [hybrid]", "POST /api/v1/chat", "POST /api/v1/retrieval/search [vector-only]", "GET /health"}},
		source + "shop.py": {{"GET /api/v1/search", "GET /news?lang=de&n=5", "POST /api/v1/orders"}, {"GET /ping", "GET /pong"},
			{"GET /step/1", "PATCH /step/2", "GET /step/3"}},
	}
	for file, groups := range groups {
		t.Run(filepath.Base(file), func(t *testing.T) { besideLocust(t, bin, file, groups) })
	}
}

func besideLocust(t *testing.T, bin, file string, groups [][]string) {
	dir := t.TempDir()
	var seen [2]api
	flags := func(i int, name string) []string {
		s := httptest.NewServer(&seen[i])
		t.Cleanup(s.Close)
		return []string{"-f", file, "--host", s.URL, "-u", "8", "-r", "100", "-t", "5s", "--headless", "--only-summary", "--stop-timeout", "5", "--csv", filepath.Join(dir, name)}
	}
	locust := exec.Command(filepath.Join(bin, "locust"), flags(0, "locust")...)
	var said strings.Builder
	locust.Stdout, locust.Stderr = &said, &said
	if err := locust.Start(); err != nil {
		t.Fatal(err)
	}
	if code := loader(flags(1, "loader")...); code != 0 {
		t.Errorf("the loader ended with %d", code)
	}
	if err := locust.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	theirs, _ := counts(t, filepath.Join(dir, "locust"))
	ours, failures := counts(t, filepath.Join(dir, "loader"))
	if failures != "0" {
		t.Errorf("%s requests of the converted scenario failed", failures)
	}
	for name := range theirs {
		if ours[name] == 0 {
			t.Errorf("Locust sends %s, the loader does not: %v", name, ours)
		}
	}
	for name := range ours {
		if theirs[name] == 0 {
			t.Errorf("the loader sends %s, Locust does not: %v", name, theirs)
		}
	}
	for _, names := range groups {
		shares(t, names, theirs, ours)
	}
	for i, who := range []string{"Locust", "the loader"} {
		for name, n := range seen[i].right {
			if strings.HasSuffix(name, " false") {
				t.Errorf("%s sent %d requests that the server calls %s", who, n, name)
			}
		}
	}
	if len(seen[0].right) != len(seen[1].right) {
		t.Errorf("the servers saw %v and %v", seen[0].right, seen[1].right)
	}
}

// shares holds the share of each name among the names of a group to the difference that chance
// makes in 1 of 100,000 runs (4.4 standard deviations of a difference of two binomial shares).
func shares(t *testing.T, names []string, a, b map[string]float64) {
	t.Helper()
	var na, nb float64
	for _, name := range names {
		na, nb = na+a[name], nb+b[name]
	}
	if na < 50 || nb < 50 {
		t.Errorf("%v: %v and %v requests are too few to compare", names, na, nb)
	}
	for _, name := range names {
		p := (a[name] + b[name]) / (na + nb)
		sigma := math.Sqrt(p * (1 - p) * (1/na + 1/nb))
		diff := a[name]/na - b[name]/nb
		t.Logf("%-50s Locust %5.0f (%5.2f %%)  loader %5.0f (%5.2f %%)  %+.1f sigma", name, a[name], a[name]/na*100, b[name], b[name]/nb*100, diff/sigma)
		if math.Abs(diff) > 4.4*sigma {
			t.Errorf("%s: share %.4f of Locust, %.4f of the loader (sigma %.4f)", name, a[name]/na, b[name]/nb, sigma)
		}
	}
}
