package request

import (
	"bytes"
	"strings"

	"github.com/ragscope/ragscope/internal/protocol"
	"github.com/ragscope/ragscope/internal/protocol/bolt"
	"github.com/ragscope/ragscope/internal/protocol/http1"
	"github.com/ragscope/ragscope/internal/protocol/peer"
	"github.com/ragscope/ragscope/internal/protocol/qdrant"
	"github.com/ragscope/ragscope/internal/protocol/resp"
)

// recognise chooses the dialect by the first bytes that a client sends, and for connections
// joined midway by the port as well. nil: none that we know.
func recognise(p protocol.Piece, port uint16, midway bool) dialect {
	b := p.Head
	byPort := midway && !bytes.Contains(b, []byte(" HTTP/1.")) // whatever the port says, this is HTTP
	switch {
	case len(b) >= 4 && bytes.Equal(b[:4], []byte{0x60, 0x60, 0xb0, 0x17}), byPort && port == 7687:
		return &boltDialect{client: bolt.NewClient(), server: bolt.NewServer()}
	case len(b) >= 4 && b[0] == '*' && b[1] >= '1' && b[1] <= '9', byPort && port == 6379:
		return &respDialect{commands: resp.NewCommands(), replies: resp.NewReplies()}
	case looksLikeHTTP(b):
		return &httpDialect{port: port, requests: http1.NewRequests(), responses: http1.NewResponses()}
	case midway && len(b) > 4 && b[0] == 0 && b[2]&0xf0 == 0xb0:
		return &boltDialect{client: bolt.NewClient(), server: bolt.NewServer()}
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

// respDialect is Redis. Commands written together are one call, a pipeline.
type respDialect struct {
	commands *resp.Commands
	replies  *resp.Replies
	begun    []begun
	answers  []answer
}

func (d *respDialect) system() string { return "redis" }
func (d *respDialect) lost() int      { return d.commands.Lost() + d.replies.Lost() }
func (d *respDialect) miss()          { d.commands.Miss(); d.replies.Miss() }

func (d *respDialect) sent(p protocol.Piece) []begun {
	d.begun = d.begun[:0]
	for _, c := range d.commands.Feed(p) {
		// clients prepare a connection with ever new CLIENT subcommands
		c.Handshake = c.Handshake || strings.HasPrefix(c.Name, "CLIENT")
		k := len(d.begun)
		if k > 0 && d.begun[k-1].handshake == c.Handshake {
			b := &d.begun[k-1]
			b.answers++
			b.lookups += c.Keys
			if !c.Handshake {
				b.operation = "pipeline"
			}
			continue
		}
		d.begun = append(d.begun, begun{operation: c.Name, answers: 1, handshake: c.Handshake, lookups: c.Keys})
	}
	return d.begun
}

func (d *respDialect) received(p protocol.Piece) []answer {
	d.answers = d.answers[:0]
	for _, r := range d.replies.Feed(p) {
		if r.Push {
			continue
		}
		a := answer{err: r.Error}
		switch {
		case r.Error != "" || r.Nil:
		case r.Elements > 0:
			a.hits = r.Elements - r.Nils
		default:
			a.hits = 1
		}
		d.answers = append(d.answers, a)
	}
	return d.answers
}

// boltDialect is Neo4j. Messages written together are one call, named by its query's clause.
type boltDialect struct {
	client  *bolt.Client
	server  *bolt.Server
	begun   []begun
	answers []answer
}

func (d *boltDialect) system() string { return "neo4j" }
func (d *boltDialect) lost() int      { return d.client.Lost() + d.server.Lost() }
func (d *boltDialect) miss()          { d.client.Miss(); d.server.Miss() }

func (d *boltDialect) sent(p protocol.Piece) []begun {
	d.begun = d.begun[:0]
	for _, m := range d.client.Feed(p) {
		handshake := false
		switch m.Kind {
		case "HELLO", "LOGON", "LOGOFF":
			handshake = true
		case "GOODBYE", "":
			continue
		}
		name := m.Kind
		if m.Operation != "" {
			name = m.Operation
		}
		k := len(d.begun)
		if k > 0 && d.begun[k-1].handshake == handshake {
			b := &d.begun[k-1]
			b.answers++
			if m.Operation != "" || b.operation == "TELEMETRY" {
				b.operation = name
			}
			continue
		}
		d.begun = append(d.begun, begun{operation: name, answers: 1, handshake: handshake})
	}
	return d.begun
}

func (d *boltDialect) received(p protocol.Piece) []answer {
	d.answers = d.answers[:0]
	for _, m := range d.server.Feed(p) {
		if m.Kind == "RECORD" {
			continue
		}
		d.answers = append(d.answers, answer{err: m.Code})
	}
	return d.answers
}

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
