package llm

import (
	"bytes"
	"strings"

	"github.com/ragscope/ragscope/internal/protocol"
)

// Operations, as OpenTelemetry's gen_ai conventions name them.
const (
	Chat           = "chat"
	TextCompletion = "text_completion"
	Embeddings     = "embeddings"
)

// Request is what a call asks for.
type Request struct {
	Operation string
	Model     string // "" where the part of the body that names it was not captured
	Stream    bool   // also where that part was not captured: the API's default
	explicit  bool   // Stream was said
}

// MaxModel bounds a model's name, in bytes.
const MaxModel = 96

// endpoint tells the operation of a path, and whether its API streams unless told otherwise.
func endpoint(path string) (operation string, streams bool) {
	path, _, _ = strings.Cut(path, "?")
	switch path {
	case "/api/chat":
		return Chat, true
	case "/api/generate":
		return TextCompletion, true
	case "/api/embed", "/api/embeddings":
		return Embeddings, false
	}
	switch { // by suffix: gateways put a prefix before it
	case strings.HasSuffix(path, "/chat/completions"), strings.HasSuffix(path, "/v1/responses"), strings.HasSuffix(path, "/v1/messages"):
		return Chat, false
	case strings.HasSuffix(path, "/completions"):
		return TextCompletion, false
	case strings.HasSuffix(path, "/v1/embeddings"):
		return Embeddings, false
	}
	return "", false
}

// IsCall reports whether a request to path is a call to a language model.
func IsCall(path string) bool {
	operation, _ := endpoint(path)
	return operation != ""
}

// parseRequest reads the beginning of a request's body; ok is false where path is no model call.
func parseRequest(path string, body []byte) (r Request, ok bool) {
	r.Operation, r.Stream = endpoint(path)
	if r.Operation == "" {
		return Request{}, false
	}
	if i := bytes.IndexByte(body, '{'); i >= 0 { // behind a chunk's size, perhaps
		walk(body[i:], func(depth int, key, value []byte) {
			if depth == 1 {
				r.take(key, value)
			}
		})
	}
	return r, true
}

// ParsePiece is parseRequest for a body captured with a gap: clients that put the messages first
// name the model at the end.
func ParsePiece(path string, p protocol.Piece) (r Request, ok bool) {
	if len(p.Tail) > 0 && p.Gap() == 0 {
		var joined [2048]byte
		if len(p.Head)+len(p.Tail) <= len(joined) {
			n := copy(joined[:], p.Head)
			n += copy(joined[n:], p.Tail)
			return parseRequest(path, joined[:n])
		}
	}
	if r, ok = parseRequest(path, p.Head); ok {
		r.Tail(p.Tail)
	}
	return r, ok
}

// Tail adds what the end of a cut body says.
func (r *Request) Tail(tail []byte) {
	for _, key := range [...]string{"model", "stream"} {
		// The key counts only if it stands in the outermost object: what follows closes one level and ends.
		if v := find(tail, key); v != nil && closes(v) {
			r.take([]byte(key), v)
		}
	}
}

func (r *Request) take(key, value []byte) {
	switch string(key) {
	case "model":
		if m := text(value); r.Model == "" && len(m) > 0 && len(m) <= MaxModel && bytes.IndexByte(m, '\\') < 0 {
			r.Model = string(m)
		}
	case "stream":
		if !r.explicit && (isTrue(value) || bytes.HasPrefix(value, []byte("false"))) {
			r.Stream, r.explicit = isTrue(value), true
		}
	}
}

// closes reports whether b, which begins outside any string, closes exactly one level of JSON and
// then ends, a last chunk's framing apart.
func closes(b []byte) bool {
	depth := 1
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				rest := bytes.Trim(b[i+1:], "\r\n\t ")
				return len(rest) == 0 || string(rest) == "0"
			}
		case '"':
			if i = quoted(b, i); i < 0 {
				return false
			}
		}
	}
	return false
}
