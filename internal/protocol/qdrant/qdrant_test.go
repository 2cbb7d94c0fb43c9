package qdrant

import (
	"strings"
	"testing"
)

func TestOperation(t *testing.T) {
	for in, want := range map[string]string{
		"/qdrant.Points/Query":                              "Points/Query",
		"/qdrant.Qdrant/HealthCheck":                        "Qdrant/HealthCheck",
		"POST /collections/my docs/points/search?wait=true": "POST /collections/{name}/points/search",
		"POST /collections/points/points/query/batch":       "POST /collections/{name}/points/query/batch",
		"GET /collections/a/points/7f3c":                    "GET /collections/{name}/points/{id}",
		"GET /collections":                                  "GET /collections",
		"PUT /collections/a":                                "PUT /collections/{name}",
		"GET /":                                             "GET /",
		"GET /telemetry?x":                                  "GET /telemetry",
		"DELETE /collections/a/snapshots/secret-name":       "DELETE /collections/{name}/snapshots/{id}",
		"/qdrant.Points":                                    "",
		"/qdrant.Points/a/b":                                "",
		"/other.Service/Query":                              "",
		"POST /api/chat":                                    "",
		"FETCH /collections":                                "",
		"":                                                  "",
		"GET " + strings.Repeat("/collections", 20):         "",
	} {
		got, ok := Operation(in)
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q %t, want %q", in, got, ok, want)
		}
	}
}

func FuzzOperation(f *testing.F) {
	f.Add("POST /collections/a/points/search")
	f.Fuzz(func(t *testing.T, s string) {
		if op, ok := Operation(s); ok == (op == "") || len(op) > 160 {
			t.Fatalf("%q %t", op, ok)
		}
	})
}

func BenchmarkOperation(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Operation("/qdrant.Points/Query")
	}
}
