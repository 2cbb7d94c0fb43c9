package target

import (
	"regexp"
	"strings"
)

// learn makes a template of a path that no known route matches.
func (r *Router) learn(path string) *route {
	if t := r.recent[path]; t != nil {
		return t
	}
	t := r.learnNew(path)
	if len(path) <= maxRecentPath {
		if len(r.recent) == maxRecent {
			clear(r.recent)
		}
		r.recent[strings.Clone(path)] = t // it may be a part of something longer
	}
	return t
}

// Bounds of the paths whose routes are remembered, 64 kB together: a service has few that are asked for often.
const (
	maxRecent     = 512
	maxRecentPath = 128 // bytes
)

func (r *Router) learnNew(path string) *route {
	template := templateOf(path)
	if t := r.learned[template]; t != nil {
		return t
	}
	if r.declared+len(r.learned) >= MaxRoutes {
		return r.other
	}
	t := newRoute(template, nil)
	r.learned[template] = t
	return t
}

// Bounds of a learned template; a path beyond them is no route that somebody wrote.
const (
	maxSegments      = 12
	maxSegmentLength = 40 // bytes
)

// templateOf replaces each segment that looks like the value of a parameter by {id}.
func templateOf(path string) string {
	if !strings.HasPrefix(path, "/") {
		return Other // "*" of OPTIONS, an authority of CONNECT, or no HTTP at all
	}
	segments := strings.Split(path[1:], "/")
	if len(segments) > maxSegments {
		return Other
	}
	for i, s := range segments {
		if isValue(s) {
			segments[i] = "{id}"
		}
	}
	return "/" + strings.Join(segments, "/")
}

var (
	number = regexp.MustCompile(`^[-+]?[0-9]+(\.[0-9]+)?$`)
	uuid   = regexp.MustCompile(`^(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$`)
	hexa   = regexp.MustCompile(`^(?i)[0-9a-f]{8,}$`)
	opaque = regexp.MustCompile(`^[A-Za-z0-9_-]{20,}$`) // identifiers such as ULIDs and base64
)

// isValue says whether a segment is a number, a UUID, a hash, an opaque identifier, or holds
// characters that no one writes in a route. Most segments are words, so those are told without
// regular expressions.
func isValue(s string) bool {
	digits, plain := 0, true
	for _, c := range []byte(s) {
		switch {
		case '0' <= c && c <= '9':
			digits++
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '.', c == '_', c == '~', c == '@', c == ':', c == '-':
		default:
			plain = false
		}
	}
	switch {
	case len(s) > maxSegmentLength, !plain:
		return true
	case digits == 0:
		return len(s) >= 32 && uuid.MatchString(s)
	}
	return number.MatchString(s) || uuid.MatchString(s) || hexa.MatchString(s) || opaque.MatchString(s)
}
