// Package qdrant names the operations of Qdrant's gRPC and REST interfaces.
//
// In: a request's method and path. Out: a name from a bounded set: names of collections,
// snapshots and points are folded, so that it can be a label.
package qdrant

import "strings"

// Operation names the operation of "/qdrant.Points/Query" (gRPC, as the :path says) as
// "Points/Query", and of "POST /collections/docs/points/search?wait=true" (REST) as
// "POST /collections/{name}/points/search". ok is false where it is no operation of Qdrant.
func Operation(path string) (op string, ok bool) {
	if rest, found := strings.CutPrefix(path, "/qdrant."); found {
		service, method, both := strings.Cut(rest, "/")
		if !both || !word(service) || !word(method) {
			return "", false
		}
		return rest, true
	}
	method, path, found := strings.Cut(path, " ")
	if !found || !verb(method) || !strings.HasPrefix(path, "/") {
		return "", false
	}
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) > maxParts {
		return "", false
	}
	switch parts[0] {
	case "collections":
		for i := 1; i < len(parts); i++ {
			parts[i] = fold(parts, i)
		}
	case "aliases", "cluster", "telemetry", "metrics", "healthz", "livez", "readyz", "locks", "snapshots", "":
		parts = parts[:1]
	default:
		return "", false
	}
	return method + " /" + strings.Join(parts, "/"), true
}

// maxParts is one more than the longest path of the interface has.
const maxParts = 8

// known are the fixed words of REST paths below a collection.
var known = map[string]bool{"points": true, "search": true, "query": true, "scroll": true, "recommend": true, "discover": true, "count": true, "delete": true, "batch": true,
	"groups": true, "payload": true, "vectors": true, "facet": true, "index": true, "snapshots": true, "upload": true, "recover": true, "cluster": true, "shards": true,
	"aliases": true, "exists": true, "optimizations": true, "matrix": true, "pairs": true, "offsets": true}

// fold is the part with the index i of a path, or what stands for it.
func fold(parts []string, i int) string {
	switch {
	case i == 1:
		return "{name}"
	case known[parts[i]]:
		return parts[i]
	}
	return "{id}"
}

func verb(s string) bool {
	switch s {
	case "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD":
		return true
	}
	return false
}

// word reports whether s is a name as protobuf allows, of a sensible length.
func word(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return s != "" && len(s) <= 48
}
