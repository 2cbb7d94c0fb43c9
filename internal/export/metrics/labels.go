package metrics

import (
	"strconv"
	"strings"

	"github.com/ragscope/ragscope/internal/request"
)

// Bounds of the label sets. A value beyond its bound becomes `_other`.
const (
	maxServices   = 32
	maxRoutes     = 200 // per service
	maxOperations = 64  // per system
	maxModels     = 32
	maxErrors     = 32
	maxFunctions  = 100 // that held up an event loop, of all services
	maxPeers      = 8   // addresses of one system
)

const other = "_other"

// closed maps what was seen on the wire to a bounded set of label values. Its own memory is
// bounded too: raw values beyond 16 for each label are cleaned anew each time.
type closed struct {
	limit  int
	clean  func(string) string
	raw    map[string]string
	labels map[string]bool
}

func newClosed(limit int, clean func(string) string) *closed {
	return &closed{limit: limit, clean: clean, raw: map[string]string{}, labels: map[string]bool{}}
}

func (c *closed) label(raw string) string {
	if l, ok := c.raw[raw]; ok {
		return l
	}
	l := valid(c.clean(raw))
	if !c.labels[l] {
		if len(c.labels) >= c.limit {
			l = other
		} else {
			c.labels[l] = true
		}
	}
	if len(c.raw) < 16*c.limit {
		c.raw[strings.Clone(raw)] = l
	}
	return l
}

// valid makes a string fit for a label, which must be UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "?") }

func asIs(s string) string { return s }

// methods are those that semconv knows; any other is `_OTHER`, its word for it.
var methods = map[string]bool{"CONNECT": true, "DELETE": true, "GET": true, "HEAD": true,
	"OPTIONS": true, "PATCH": true, "POST": true, "PUT": true, "QUERY": true, "TRACE": true}

func methodLabel(m string) string {
	if methods[m] {
		return m
	}
	return "_OTHER"
}

// splitEndpoint takes "POST /api/v1/chat" apart.
func splitEndpoint(endpoint string) (method, route string) {
	m, r, ok := strings.Cut(endpoint, " ")
	if !ok {
		return "", endpoint
	}
	return m, r
}

// templatePath replaces path segments that look like ids by {id} and cuts the query. Routes
// arrive as templates already; this keeps ids out of the labels where a target has none.
func templatePath(path string) string {
	path, _, _ = strings.Cut(path, "?")
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if isID(s) {
			segments[i] = "{id}"
		}
	}
	return strings.Join(segments, "/")
}

// isID tells whether a path segment is a number, an address, or a long string of hex digits
// and dashes (uuid, hash).
func isID(s string) bool {
	if s == "" {
		return false
	}
	digits, hex := 0, 0
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9' || c == '.' || c == ':' || c == '-':
			digits++
			hex++
		case c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			hex++
		}
	}
	return digits == len(s) || hex == len(s) && len(s) >= 16
}

// systemLabel is the peer label of a span: the name of the recognised system, without an
// address that may follow it.
func systemLabel(peer string) string {
	name, _, _ := strings.Cut(peer, " ")
	switch name {
	case "", "redis", "qdrant", "neo4j", "ollama", "openai", "http":
		return name
	}
	return other
}

// operationLabel is db_operation_name: a Redis command, the method of a gRPC service without
// its package ("Points/Query"), or a REST path with ids taken out.
func operationLabel(op string) string {
	if strings.HasPrefix(op, "/") {
		return op[strings.LastIndexByte(op[:strings.LastIndexByte(op, '/')+1], '.')+1:]
	}
	if m, path, ok := strings.Cut(op, " "); ok && strings.HasPrefix(path, "/") {
		return m + " " + templatePath(path)
	}
	return strings.ToUpper(op)
}

// rpcMethodLabel is semconv's rpc.method, "qdrant.Points/Query".
func rpcMethodLabel(op string) string { return strings.TrimPrefix(op, "/") }

// errorLabel is the first word of what the protocol said: "NOAUTH", "UNAVAILABLE", "503".
func errorLabel(e string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(e), " ")
	return strings.TrimRight(word, ":,.")
}

// httpStatus is the status code in an error's label, "" where it holds none.
func httpStatus(label string) string {
	if n, err := strconv.Atoi(label); err == nil && n >= 100 && n <= 599 {
		return label
	}
	return ""
}

func statusLabel(code int) string {
	if code < 100 || code > 599 {
		return "" // no status line seen
	}
	return strconv.Itoa(code)
}

func llmOperation(op string) string {
	switch op {
	case "chat", "text_completion", "embeddings", "generate_content":
		return op
	}
	return other
}

// peerNames gives each address of a system a stable name without the address: "redis",
// "redis-2", …, in the order in which they were first seen.
type peerNames struct {
	names map[request.Peer]string
	count map[string]int
}

func (p *peerNames) name(peer request.Peer) string {
	if n, ok := p.names[peer]; ok {
		return n
	}
	system := systemLabel(peer.System)
	if system == "" {
		system = other
	}
	if p.count[system] >= maxPeers {
		return system + "-other"
	}
	p.count[system]++
	n := system
	if c := p.count[system]; c > 1 {
		n += "-" + strconv.Itoa(c)
	}
	p.names[peer] = n
	return n
}

// traceID finds the trace id in a request's id: a W3C traceparent, or 32 hex digits. "" when
// the id is something else.
func traceID(id string) string {
	if len(id) == 55 && id[2] == '-' && id[35] == '-' && id[52] == '-' {
		id = id[3:35]
	}
	if len(id) != 32 {
		return ""
	}
	zero := true
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ""
		}
		zero = zero && c == '0'
	}
	if zero { // the specification's invalid id
		return ""
	}
	return id
}
