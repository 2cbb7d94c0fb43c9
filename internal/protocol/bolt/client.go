package bolt

import "github.com/ragscope/ragscope/internal/protocol"

// Message is one message, its last byte moved.
type Message struct {
	Kind      string
	Operation string // of RUN: the leading clause, "MATCH", "CALL", "CREATE INDEX"; "OTHER" where it is none that is known
	Code      string // of FAILURE: "Neo.ClientError.Statement.SyntaxError"
	HasMore   bool   // of SUCCESS: the query has more records to PULL
}

func clientKind(tag byte) string {
	switch tag {
	case 0x01:
		return "HELLO"
	case 0x02:
		return "GOODBYE"
	case 0x0F:
		return "RESET"
	case 0x10:
		return "RUN"
	case 0x11:
		return "BEGIN"
	case 0x12:
		return "COMMIT"
	case 0x13:
		return "ROLLBACK"
	case 0x2F:
		return "DISCARD"
	case 0x3F:
		return "PULL"
	case 0x54:
		return "TELEMETRY"
	case 0x66:
		return "ROUTE"
	case 0x6A:
		return "LOGON"
	case 0x6B:
		return "LOGOFF"
	}
	return ""
}

// Client is the direction from driver to server.
type Client struct {
	framer
	phase   phase
	version [20]byte // of the handshake, as far as it arrived
	n       int
	out     []Message
}

type phase uint8

const (
	joining  phase = iota // nothing seen yet
	offering              // the 20 bytes of the handshake
	choosing              // a manifest was offered: version and capabilities may follow
	settling              // the capabilities, a number of variable length
	counting              // the number of versions in the server's manifest
	listing               // those versions
	talking               // messages
)

// NewClient makes the stream of the direction from driver to server.
func NewClient() *Client {
	return &Client{framer: framer{known: func(tag byte) bool { return clientKind(tag) != "" }}}
}

// Feed takes the next transfer and returns the messages that end in it, in order.
func (c *Client) Feed(p protocol.Piece) []Message {
	c.out = c.out[:0]
	if p.Head = c.handshake(p.Head, &p.N); p.N > 0 {
		c.feed(p, c.message)
	}
	return c.out
}

// Miss tells that transfers may be missing before the next one.
func (c *Client) Miss() {
	if c.phase != joining {
		c.phase = talking
	}
	c.miss()
}

// magic opens every Bolt connection.
const magic = "\x60\x60\xB0\x17"

// handshake consumes what comes before the first message: magic and four offers; then, if one of
// them is the manifest and the server took it, the chosen version and capabilities.
func (c *Client) handshake(b []byte, moved *int) []byte {
	all := len(b)
	for len(b) > 0 && c.phase != talking {
		switch c.phase {
		case joining:
			if c.phase = talking; len(b) >= 4 && string(b[:4]) == magic {
				c.phase = offering
			} else if !c.begins(b) {
				c.lose()
			}
		case offering:
			k := copy(c.version[c.n:], b)
			b = b[k:]
			if c.n += k; c.n == len(c.version) {
				c.phase, c.n = choosing, 0
			}
		case choosing: // a HELLO's chunk is never empty, a version's first two bytes are 0
			if c.n == 0 && b[0] != 0 || c.n == 1 && b[0] != 0 {
				if c.phase = talking; c.n == 1 {
					c.size[0], c.sizes = 0, 1 // it was the first byte of a chunk's size
				}
				continue
			}
			b = b[1:]
			if c.n++; c.n == 4 {
				c.phase = settling
			}
		case settling:
			if b[0] < 0x80 {
				c.phase = talking
			}
			b = b[1:]
		}
	}
	*moved -= all - len(b)
	return b
}

func (c *Client) message(b []byte) {
	if len(b) < 2 {
		return
	}
	m := Message{Kind: clientKind(b[1])}
	if b[1] == 0x10 {
		query, _ := text(b[2:])
		m.Operation = operation(query)
	}
	c.out = append(c.out, m)
}
