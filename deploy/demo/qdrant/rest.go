package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// callStats counts gRPC answers by method and status, for /metrics.
type callStats struct {
	mu      sync.Mutex
	answers map[callKey]callTotal
}

type callKey struct {
	method string
	code   uint32
}

type callTotal struct {
	count   uint64
	seconds float64
}

func newCallStats() *callStats { return &callStats{answers: map[callKey]callTotal{}} }

func (c *callStats) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	start := time.Now()
	reply, err := next(ctx, req)
	c.mu.Lock()
	defer c.mu.Unlock()
	key := callKey{info.FullMethod, uint32(status.Code(err))}
	total := c.answers[key]
	total.count++
	total.seconds += since(start)
	c.answers[key] = total
	return reply, err
}

// restHandler serves what clients ask at start, and what monitoring reads.
func restHandler(s *store, calls *callStats) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"title": "qdrant - vector search engine", "version": version})
	})
	for _, route := range []string{"healthz", "livez", "readyz"} {
		mux.HandleFunc("GET /"+route, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, route+" check passed") })
	}
	mux.HandleFunc("GET /collections", func(w http.ResponseWriter, _ *http.Request) {
		list := []map[string]string{}
		for _, name := range s.names() {
			list = append(list, map[string]string{"name": name})
		}
		writeResult(w, map[string]any{"collections": list})
	})
	mux.HandleFunc("GET /collections/{name}", func(w http.ResponseWriter, r *http.Request) { describeCollection(w, s, r.PathValue("name")) })
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		writeMetrics(w, s, calls)
	})
	return mux
}

func describeCollection(w http.ResponseWriter, s *store, name string) {
	params, points, ok := s.describe(name)
	if !ok {
		writeJSON(w, http.StatusNotFound, map[string]any{"status": map[string]string{"error": "Not found: " + notFound(name).Error()}, "time": 0})
		return
	}
	writeResult(w, map[string]any{
		"status":                "green",
		"optimizer_status":      "ok",
		"points_count":          points,
		"indexed_vectors_count": 0,
		"segments_count":        1,
		"payload_schema":        map[string]any{},
		"config": map[string]any{"params": map[string]any{
			"vectors": map[string]any{"size": params.GetSize(), "distance": params.GetDistance().String()},
		}},
	})
}

// writeMetrics uses the real server's names, as far as the stand-in has the figures.
func writeMetrics(w io.Writer, s *store, calls *callStats) {
	family := func(name, kind, help string) { fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind) }
	names := s.names()
	counts := make([]int, len(names))
	total := 0
	for i, name := range names {
		_, counts[i], _ = s.describe(name)
		total += counts[i]
	}
	family("app_info", "gauge", "information about qdrant server")
	fmt.Fprintf(w, "app_info{name=\"qdrant\",version=%q} 1\n", version)
	family("collections_total", "gauge", "number of collections")
	fmt.Fprintf(w, "collections_total %d\n", len(names))
	family("collections_vector_total", "gauge", "total number of vectors in all collections")
	fmt.Fprintf(w, "collections_vector_total %d\n", total)
	family("collection_points", "gauge", "approximate amount of points per collection")
	for i, name := range names {
		fmt.Fprintf(w, "collection_points{id=%q} %d\n", name, counts[i])
	}

	calls.mu.Lock()
	answers := maps.Clone(calls.answers)
	calls.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(answers), func(a, b callKey) int {
		return cmp.Or(cmp.Compare(a.method, b.method), cmp.Compare(a.code, b.code))
	})
	family("grpc_responses_total", "counter", "total number of responses")
	for _, k := range keys {
		fmt.Fprintf(w, "grpc_responses_total{endpoint=%q,status=\"%d\"} %d\n", k.method, k.code, answers[k].count)
	}
	family("grpc_responses_avg_duration_seconds", "gauge", "average response duration")
	for _, k := range keys {
		fmt.Fprintf(w, "grpc_responses_avg_duration_seconds{endpoint=%q,status=\"%d\"} %g\n", k.method, k.code, answers[k].seconds/float64(answers[k].count))
	}
}

func writeResult(w http.ResponseWriter, result any) {
	writeJSON(w, http.StatusOK, map[string]any{"result": result, "status": "ok", "time": 0})
}

func writeJSON(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// The client is gone when this fails, and there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(body)
}
