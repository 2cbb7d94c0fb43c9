package target

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

const description = `{"openapi": "3.1.0", "paths": {
	"/": {"get": {}},
	"/items/{id}": {"get": {}, "summary": "not a method", "parameters": []},
	"/items/special": {"post": {}},
	"/items/{id}/tags/{tag}": {"get": {}},
	"/items/all/tags/none": {"get": {}},
	"/files/{file_path}": {"get": {}},
	"/raw/{rest:path}": {"get": {}},
	"/docs/{name}.json": {"get": {}},
	"/api/v1/chat": {"post": {}},
	"/slash/": {"get": {}}
}}`

func TestEndpoint(t *testing.T) {
	r, err := parseRouter([]byte(description))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/", "GET /"},
		{"GET", "/items/5", "GET /items/{id}"},
		{"GET", "/items/5?x=/items/special", "GET /items/{id}"},
		{"POST", "/items/special", "POST /items/special"},
		{"GET", "/items/special", "GET /items/{id}"}, // the literal route has no GET
		{"DELETE", "/items/5", "DELETE /items/{id}"}, // 405 of a known route
		{"OPTIONS", "/api/v1/chat", "OPTIONS /api/v1/chat"},
		{"GET", "/items/5/tags/red", "GET /items/{id}/tags/{tag}"},
		{"GET", "/items/all/tags/none", "GET /items/all/tags/none"},
		{"GET", "/items/all/tags/some", "GET /items/{id}/tags/{tag}"}, // back from a literal dead end
		{"GET", "/files/a/b/c.txt", "GET /files/{file_path}"},
		{"GET", "/raw/a/b", "GET /raw/{rest:path}"},
		{"GET", "/docs/pets.json", "GET /docs/{name}.json"},
		{"GET", "/slash/", "GET /slash/"},
		{"GET", "/slash", "GET /slash"},                 // another resource: a redirect
		{"POST", "/api/v1/chat/", "POST /api/v1/chat/"}, // 307
		{"GET", "/items/", "GET /items/"},               // a parameter is never empty
		{"GET", "/docs", "GET /docs"},                   // not described
		{"GET", "/metrics", "GET /metrics"},             // not described
		{"GET", "/users/17/orders", "GET /users/{id}/orders"},
		{"GET", "/wp-admin/%2e%2e/x", "GET /wp-admin/{id}/x"},
		{"BREW", "/items/5", "_other /items/{id}"},
		{"OPTIONS", "*", "OPTIONS _other"},
		{"GET", "", "GET _other"},
	} {
		for range 2 { // the second answer is a stored one
			if got := r.Endpoint(c.method, c.path); got != c.want {
				t.Errorf("%s %s: %q, want %q", c.method, c.path, got, c.want)
			}
		}
	}
}

func TestTemplateOf(t *testing.T) {
	for path, want := range map[string]string{
		"/users/42":    "/users/{id}",
		"/t/-1.5/x":    "/t/{id}/x",
		"/v1/v2/api-3": "/v1/v2/api-3",
		"/o/550e8400-e29b-41d4-a716-446655440000": "/o/{id}",
		"/c/deadbeef":                   "/c/deadbeef", // a word until it has a digit
		"/c/deadbee1":                   "/c/{id}",
		"/s/01ARZ3NDEKTSV4RRFFQ69G":     "/s/{id}",
		"/s/" + strings.Repeat("a", 41): "/s/{id}",
		"/collections/my_docs/points":   "/collections/my_docs/points",
		strings.Repeat("/a", 13):        Other,
		"/":                             "/",
	} {
		if got := templateOf(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestRoutesAreBounded(t *testing.T) {
	r := LearnRouter()
	seen := map[string]bool{}
	for i := range 3 * MaxRoutes {
		seen[r.Endpoint("GET", fmt.Sprintf("/word%c%c", 'a'+i/26, 'a'+i%26))] = true
	}
	if len(seen) != MaxRoutes+1 || !seen["GET "+Other] || len(r.Routes()) != MaxRoutes {
		t.Errorf("%d endpoints, %d routes; want %d and %s", len(seen), len(r.Routes()), MaxRoutes, Other)
	}
	if got := r.Endpoint("GET", "/wordaa"); got != "GET /wordaa" {
		t.Errorf("a known route became %q", got)
	}
	for i := range 1000 {
		r.Endpoint(fmt.Sprintf("M%d", i), "/wordaa")
	}
	if n := len(r.learned["/wordaa"].endpoints); n != 1 {
		t.Errorf("invented methods are kept: %d", n)
	}
}

func TestDescribedRoutesAreBounded(t *testing.T) {
	var paths []string
	for i := range MaxRoutes + 50 {
		paths = append(paths, fmt.Sprintf(`"/r%04d": {"get": {}}`, i))
	}
	r, err := parseRouter([]byte(`{"paths": {` + strings.Join(paths, ",") + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Endpoint("GET", "/r0000"); got != "GET /r0000" {
		t.Errorf("got %q", got)
	}
	if got := r.Endpoint("GET", "/r0249"); got != "GET "+Other {
		t.Errorf("got %q", got)
	}
}

func TestFetchRouter(t *testing.T) {
	var agent string
	answer := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(description)) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agent = r.UserAgent()
		if r.URL.Path != "/openapi.json" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		answer(w, r)
	}))
	defer server.Close()
	addr := netip.MustParseAddrPort(server.Listener.Addr().String())

	r, err := FetchRouter(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Endpoint("GET", "/items/7"); got != "GET /items/{id}" || agent != UserAgent {
		t.Errorf("%q, agent %q", got, agent)
	}
	for name, a := range map[string]http.HandlerFunc{
		"404":          http.NotFound,
		"redirect":     func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) },
		"no JSON":      func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"other JSON":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) },
		"wrong types":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"paths": [1]}`)) },
		"far too long": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxOpenAPI+1)) },
	} {
		answer = a
		if _, err := FetchRouter(t.Context(), addr); !errors.Is(err, ErrNoOpenAPI) {
			t.Errorf("%s: %v, want ErrNoOpenAPI", name, err)
		}
	}
}

func TestFetchRouterGivesUpInTime(t *testing.T) {
	silent := listen(t) // accepts, and says nothing
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := FetchRouter(ctx, netip.MustParseAddrPort(silent.Addr().String()))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkEndpoint(b *testing.B) {
	r, err := parseRouter([]byte(description))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Endpoint("GET", "/items/5/tags/red")
	}
}
