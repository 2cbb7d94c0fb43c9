package web

import (
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
)

var serve = flag.String("serve", "", "`address` to serve the page at, with a made-up recording, until the test is interrupted")

func TestServe(t *testing.T) {
	if *serve == "" {
		t.Skip("only with -serve 127.0.0.1:PORT, to look at the page")
	}
	t.Fatal(http.ListenAndServe(*serve, New(source{rec: fixture()})))
}

func do(h http.Handler, method, url, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestInterface(t *testing.T) {
	ready := New(source{rec: fixture()})
	waiting := New(source{ready: errors.New("no process listens on :8000")})
	for _, c := range []struct {
		name                string
		h                   http.Handler
		method, url, body   string
		status              int
		contentType, within string
	}{
		{"health", ready, "GET", "/healthz", "", 200, "application/json", "attached"},
		{"health before", waiting, "GET", "/healthz", "", 503, "application/json", "no process listens on :8000"},
		{"recording", ready, "GET", "/api/v1/recording", "", 200, "application/json", `"schema":"ragscope.recording/1"`},
		{"recording before", waiting, "GET", "/api/v1/recording", "", 503, "application/json", "nothing is recorded yet: no process"},
		{"memory report", ready, "GET", "/api/v1/memory", "", 200, "application/json", `"schema":"ragscope.memory/1"`},
		{"memory picture", ready, "GET", "/api/v1/memory?format=svg", "", 200, "image/svg+xml", "RSS, PSS and heap"},
		{"memory in another format", ready, "GET", "/api/v1/memory?format=png", "", 400, "application/json", "want svg"},
		{"memory before", waiting, "GET", "/api/v1/memory", "", 503, "application/json", "nothing is recorded yet: no process"},
		{"flame graph", ready, "GET", "/api/v1/profile/cpu?format=svg", "", 200, "image/svg+xml", "<svg>svg"},
		{"flame graph of an endpoint", ready, "GET", "/api/v1/profile/cpu?format=svg&endpoint=GET+/a", "", 200, "image/svg+xml", "GET /a"},
		{"pprof is the usual format", ready, "GET", "/api/v1/profile/cpu", "", 200, "application/octet-stream", "pprof"},
		{"unknown format", ready, "GET", "/api/v1/profile/cpu?format=png", "", 400, "application/json", "want pprof or svg"},
		{"profile that is not measured", ready, "GET", "/api/v1/profile/off_cpu", "", 404, "application/json", "not measured: start the agent"},
		{"profile that fails", ready, "GET", "/api/v1/profile/cpu?endpoint=broken", "", 500, "application/json", "disk full"},
		{"window with a broken body", ready, "POST", "/api/v1/windows", `{"name"`, 400, "application/json", "the body must be"},
		{"window with a long name", ready, "POST", "/api/v1/windows", `{"name":"` + strings.Repeat("x", 300) + `"}`, 400, "application/json", "at most 200"},
		{"window with a huge body", ready, "POST", "/api/v1/windows", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, 400, "application/json", "too large"},
		{"window without a body", ready, "POST", "/api/v1/windows", "", 201, "application/json", `"id"`},
		{"window before", waiting, "POST", "/api/v1/windows", `{}`, 503, "application/json", "a window needs a target"},
		{"close of nothing", ready, "POST", "/api/v1/windows/abc/close", "", 404, "application/json", "no open window"},
		{"no such thing", ready, "GET", "/api/v2/x", "", 404, "application/json", "no such resource"},
		{"page", ready, "GET", "/", "", 200, "text/html; charset=utf-8", "rag-api"},
		{"page before", waiting, "GET", "/", "", 200, "text/html; charset=utf-8", "no process listens on :8000"},
		{"page's facts", ready, "GET", "/?part=facts&window=all", "", 200, "text/html; charset=utf-8", "Where the time goes"},
	} {
		w := do(c.h, c.method, c.url, c.body)
		if w.Code != c.status || w.Header().Get("Content-Type") != c.contentType || !strings.Contains(w.Body.String(), c.within) {
			t.Errorf("%s: %d %s %.200s\nwant %d %s … %s", c.name, w.Code, w.Header().Get("Content-Type"), w.Body, c.status, c.contentType, c.within)
		}
		if c.status >= 400 {
			var e struct{ Error string }
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Error == "" {
				t.Errorf("%s: not an error in JSON: %s", c.name, w.Body)
			}
		}
	}
}

func open(t *testing.T, h http.Handler, name string) (id string, status int) {
	t.Helper()
	w := do(h, "POST", "/api/v1/windows", `{"name":"`+name+`"}`)
	var got struct{ ID string }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	return got.ID, w.Code
}

func TestWindowGivesItsRecordingOnce(t *testing.T) {
	h := New(source{})
	id, status := open(t, h, "baseline")
	if status != 201 || id == "" {
		t.Fatalf("%d %q", status, id)
	}
	w := do(h, "POST", "/api/v1/windows/"+id+"/close", "")
	var rec recording.Recording
	if err := json.Unmarshal(w.Body.Bytes(), &rec); err != nil || w.Code != 200 || rec.Target.Service != "baseline" {
		t.Errorf("%d %s %v", w.Code, w.Body, err)
	}
	if w := do(h, "POST", "/api/v1/windows/"+id+"/close", ""); w.Code != 404 {
		t.Errorf("closed twice: %d", w.Code)
	}
}

func TestWindowsAreBounded(t *testing.T) {
	discarded := 0
	s := &server{src: source{discarded: &discarded}, windows: newWindows()}
	now := time.Unix(1000, 0)
	s.windows.now = func() time.Time { return now }
	h := http.HandlerFunc(s.openWindow)
	for range maxWindows {
		if _, status := open(t, h, "w"); status != 201 {
			t.Fatal(status)
		}
	}
	if _, status := open(t, h, "one more"); status != 429 {
		t.Errorf("window %d: %d, want 429", maxWindows+1, status)
	}
	now = now.Add(abandoned)
	if _, status := open(t, h, "later"); status != 201 || discarded != maxWindows {
		t.Errorf("after an hour: %d, %d abandoned windows discarded", status, discarded)
	}
}

func TestWindowErrors(t *testing.T) {
	if _, status := open(t, New(source{openError: errors.New("no memory")}), "w"); status != 500 {
		t.Errorf("open fails: %d", status)
	}
	h := New(source{closeError: errors.New("no memory")})
	id, _ := open(t, h, "w")
	if w := do(h, "POST", "/api/v1/windows/"+id+"/close", ""); w.Code != 500 || !strings.Contains(w.Body.String(), "no memory") {
		t.Errorf("close fails: %d %s", w.Code, w.Body)
	}
}

func TestOtherSitesMayNotOpenWindows(t *testing.T) {
	w := do(New(source{}), "POST", "/api/v1/windows", `{}`, "Sec-Fetch-Site", "cross-site")
	if w.Code != 403 || !strings.Contains(w.Body.String(), `"error"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestPageEscapes(t *testing.T) {
	rec := fixture()
	evil := `<script>alert(1)</script>`
	rec.Target.Service = evil
	rec.Endpoints[0].Endpoint = "GET /" + evil
	rec.Endpoints[0].Stages[0].Stage, rec.Endpoints[0].Stages[0].Peer = evil, `"><script>alert(1)</script>`
	rec.Endpoints[0].Calls = []recording.Call{{Peer: evil, Operation: evil}}
	rec.Pools[0].Peer, rec.Pools[0].LimitBasis = evil, evil
	rec.NotMeasured[0].Why = evil
	body := do(New(source{rec: rec}), "GET", "/", "").Body.String()
	if strings.Contains(body, "<script>alert") {
		t.Error("a name from outside became markup")
	}
	if strings.Contains(body, "http://") || strings.Contains(body, "https://") {
		t.Error("the page refers to another server")
	}
}

func TestEmptyRecording(t *testing.T) {
	for _, rec := range []*recording.Recording{nil, {}, {Target: recording.Target{Service: "x"}, Endpoints: []recording.Endpoint{{Endpoint: "GET /"}}, Pools: []recording.Pool{{}}}} {
		w := do(New(source{rec: rec}), "GET", "/", "")
		if w.Code != 200 || strings.Contains(w.Body.String(), "NaN") || strings.Contains(w.Body.String(), "Inf") {
			t.Errorf("%+v: %d", rec, w.Code)
		}
	}
}
