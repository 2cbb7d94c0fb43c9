package request

import (
	"bytes"
	"strings"

	"github.com/ragscope/ragscope/internal/protocol"
	"github.com/ragscope/ragscope/internal/protocol/http1"
	"github.com/ragscope/ragscope/internal/protocol/peer"
	"github.com/ragscope/ragscope/internal/protocol/qdrant"
)

// recognise chooses the dialect by the first bytes that a client sends, and for connections
// joined midway by the port as well. nil: none that we know.
func recognise(p protocol.Piece, port uint16, midway bool) dialect {
	b := p.Head
	byPort := midway && !bytes.Contains(b, []byte(" HTTP/1.")) // whatever the port says, this is HTTP
	switch {
	case len(b) >= 4 && bytes.Equal(b[:4], []byte{0x60, 0x60, 0xb0, 0x17}), byPort && port == 7687:
		return newBoltDialect()
	case len(b) >= 4 && b[0] == '*' && b[1] >= '1' && b[1] <= '9', byPort && port == 6379:
		return newRedisDialect()
	case looksLikeHTTP(b):
		return &httpDialect{port: port, requests: http1.NewRequests(), responses: http1.NewResponses()}
	case midway && len(b) > 4 && b[0] == 0 && b[2]&0xf0 == 0xb0:
		return newBoltDialect()
	}
	return nil
}

func looksLikeHTTP(b []byte) bool {
	i := bytes.IndexByte(b, ' ')
	if i < 3 || i > 7 {
		return false
	}
	for _, c := range b[:i] {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}

// silent is a connection whose protocol we do not know: its bytes mean nothing to us.
type silent struct{}

func (silent) system() string                   { return "" }
func (silent) sent(protocol.Piece) []begun      { return nil }
func (silent) received(protocol.Piece) []answer { return nil }
func (silent) lost() int                        { return 0 }
func (silent) miss()                            {}
func (silent) forget()                          {}

// httpDialect is HTTP/1: Qdrant's REST, Ollama, OpenAI and anything else.
type httpDialect struct {
	port      uint16
	name      string
	requests  *http1.Stream
	responses *http1.Stream
	begun     []begun
	answers   []answer
}

func (d *httpDialect) system() string { return d.name }
func (d *httpDialect) lost() int      { return d.requests.Lost() + d.responses.Lost() }
func (d *httpDialect) miss()          { d.requests.Miss(); d.responses.Miss() }
func (d *httpDialect) forget()        {}

func (d *httpDialect) sent(p protocol.Piece) []begun {
	d.begun = d.begun[:0]
	for _, ev := range d.requests.Feed(p) {
		m := ev.Message
		if !ev.Begin || m == nil {
			continue
		}
		path, _, _ := strings.Cut(m.Target, "?")
		d.name = peer.System(m.Host, d.port, path)
		b := begun{operation: m.Method + " " + foldPath(path), answers: 1}
		if d.name == "qdrant" {
			if op, ok := qdrant.Operation(m.Method + " " + path); ok {
				b.operation = op
			}
		}
		if m.Method == "HEAD" {
			d.responses.NextHasNoBody()
		}
		if m.Method == "POST" {
			b.body = newLLMBody(path, ev.BodyOffset)
		}
		d.begun = append(d.begun, b)
	}
	return d.begun
}

func (d *httpDialect) received(p protocol.Piece) []answer {
	d.answers = d.answers[:0]
	failed := ""
	for _, ev := range d.responses.Feed(p) {
		if ev.Begin && ev.Message != nil && ev.Message.Status >= 400 {
			failed = statusText(ev.Message.Status)
			if !ev.End {
				d.answers = append(d.answers, answer{err: failed, more: true})
			}
		}
		if ev.End {
			d.answers = append(d.answers, answer{err: failed})
			failed = ""
		}
	}
	return d.answers
}

func statusText(status int) string {
	return string([]byte{byte('0' + status/100%10), byte('0' + status/10%10), byte('0' + status%10)})
}

// foldPath keeps operations few: segments that look like identifiers become {id}.
func foldPath(path string) string {
	if len(path) > maxPath {
		path = path[:maxPath]
	}
	parts := strings.Split(path, "/")
	for i, s := range parts {
		if isID(s) {
			parts[i] = "{id}"
		}
	}
	return strings.Join(parts, "/")
}

const maxPath = 256

// isID: only digits, or long and with a digit (UUIDs, hashes, keys).
func isID(s string) bool {
	digits := 0
	for _, c := range s {
		if c >= '0' && c <= '9' {
			digits++
		}
	}
	return s != "" && (digits == len(s) || digits > 0 && len(s) >= 16)
}
