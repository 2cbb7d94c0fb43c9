package bolt

import "github.com/ragscope/ragscope/internal/protocol"

func serverKind(tag byte) string {
	switch tag {
	case 0x70:
		return "SUCCESS"
	case 0x71:
		return "RECORD"
	case 0x7E:
		return "IGNORED"
	case 0x7F:
		return "FAILURE"
	}
	return ""
}

// Server is the direction from server to driver.
type Server struct {
	framer
	phase phase
	count int // versions to go in the manifest, then bytes of them
	shift uint
	out   []Message
}

// NewServer makes the stream of the direction from server to driver.
func NewServer() *Server {
	return &Server{framer: framer{known: func(tag byte) bool { return serverKind(tag) != "" }, brief: 0x71}}
}

// Feed takes the next transfer and returns the messages that end in it, in order.
func (s *Server) Feed(p protocol.Piece) []Message {
	s.out = s.out[:0]
	if p.Head = s.handshake(p.Head, &p.N); p.N > 0 {
		s.feed(p, s.message)
	}
	return s.out
}

// Miss tells that transfers may be missing before the next one.
func (s *Server) Miss() {
	if s.phase != joining {
		s.phase = talking
	}
	s.miss()
}

// maxVersions bounds a manifest; Neo4j's has three.
const maxVersions = 64

// handshake consumes the server's answer to the offers: a version, or a manifest of versions
// (their number, four bytes each, capabilities).
func (s *Server) handshake(b []byte, moved *int) []byte {
	all := len(b)
	for len(b) > 0 && s.phase != talking {
		switch s.phase {
		case joining:
			s.phase = talking
			switch {
			case all == 4 && *moved == 4 && b[0] == 0 && b[3] < 0x20:
				b = nil
			case len(b) >= 4 && string(b[:4]) == "\x00\x00\x01\xFF" && (len(b) == 4 || b[4]>>4 != 0xB):
				s.phase, b = counting, b[4:]
			case !s.begins(b):
				s.lose()
			}
		case counting:
			s.count |= int(b[0]&0x7F) << s.shift
			s.shift += 7
			if b[0] < 0x80 {
				s.phase, s.count = listing, 4*s.count
			}
			b = b[1:]
			if s.shift > 14 || s.count > 4*maxVersions {
				s.phase = talking
				s.lose()
			}
		case listing:
			k := min(s.count, len(b))
			s.count -= k
			if b = b[k:]; s.count == 0 {
				s.phase = settling
			}
		case settling:
			if b[0] < 0x80 {
				s.phase = talking
			}
			b = b[1:]
		}
	}
	*moved -= all - len(b)
	return b
}

func (s *Server) message(b []byte) {
	if len(b) < 2 {
		return
	}
	m := Message{Kind: serverKind(b[1])}
	switch b[1] {
	case 0x70:
		entries(b[2:], func(key, value []byte) {
			if string(key) == "has_more" {
				m.HasMore = len(value) > 0 && value[0] == 0xC3
			}
		})
	case 0x7F:
		entries(b[2:], func(key, value []byte) {
			if m.Code == "" && (string(key) == "code" || string(key) == "neo4j_code") {
				m.Code = code(value)
			}
		})
	}
	s.out = append(s.out, m)
}

// code is a failure's code: dotted words, "" where it is anything else.
func code(value []byte) string {
	b, whole := text(value)
	if !whole || len(b) > 96 {
		return ""
	}
	for _, c := range b {
		if c != '.' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return ""
		}
	}
	return string(b)
}
